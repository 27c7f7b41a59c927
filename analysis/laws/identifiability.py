"""What a grid of trainings can tell of a law, before any of them runs: which unknowns it would leave open, and the cure.

The forecast is the Cramér-Rao bound at a typical law: the floor is 60 % of the loss at the middle of the grid, the other terms share the
rest, exponents are 0.35, and log losses have the noise that the planted studies of docs/scaling.md have. A bound, so a real fit knows less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.laws.fit_law import form_named
from analysis.laws.forms import Form, design, inner_slopes, log_sum, log_terms
from analysis.laws.isoflop import LEAST_SIZES
from analysis.statistics.arrays import Array
from analysis.text.words import joined

LOSS_NOISE = 0.003
"""Standard deviation of log loss between a training and its law: residual and seed."""
FLOOR_SHARE = 0.6
TYPICAL_EXPONENT = 0.35
TYPICAL_OUTER = 0.1
"""Kaplan's outer power, about (arXiv 2001.08361, table 2)."""
HALF_WIDTH = 1.645
"""Standard errors on either side of a 90 % interval."""
OPEN = 0.6
"""Half-width over the exponent from which it counts as open: the interval's ends then lie a factor of 4 apart."""
INSEPARABLE = 0.99
"""Correlation of two logarithms from which their terms cannot be told apart."""
LEAST_LEVELS = {"params": 4, "flops": 4, "tokens": 3, "width": 3, "depth": 3, "repeats": 2}
"""Distinct values that a variable needs: floor, coefficient and exponent take three, and one size more is to be hidden and predicted."""
LEAST_BUDGETS = 3
"""Fewest budgets from whose isoFLOP parabolas exponents are fitted."""
VARIABLE_WORDS = {
    "params": "sizes",
    "flops": "budgets of FLOPs",
    "tokens": "token counts",
    "width": "widths",
    "depth": "depths",
    "repeats": "numbers of repeats",
}
CURES = {
    "params": "add to scaling.budgets",
    "flops": "add to scaling.budgets",
    "tokens": "add to scaling.tokens, or to scaling.tokens_per_parameter",
    "width": "add to scaling.budgets",
    "depth": "add shapes with another aspect_ratio or num_unique_layers",
    "repeats": "add a shape with sharing",
}


@dataclass(frozen=True)
class Resolution:
    """What a grid can tell of a form."""

    exponents: Mapping[str, float]
    """Half the width of the best 90 % interval of each exponent that the grid can tell; empty for isoFLOP parabolas."""
    warnings: tuple[str, ...]
    """Why the grid cannot identify the form, each with the cure; none where it can."""

    def __str__(self) -> str:
        return ", ".join(f"{name} to ±{half:.2g}" for name, half in self.exponents.items())


def resolution(form: str, variables: Mapping[str, Array]) -> Resolution:
    """What planned runs tell of a form, by its name and variables (rows,): `params`, `tokens`, `flops`, `width`, `depth`, `repeats`."""
    if form == "isoflop":
        return Resolution({}, tuple(_parabolas(variables)))
    law = form_named(form)
    found = [*_few(law, variables), *_together(law, variables)]
    halves = _half_widths(law, variables)
    known = {name: half for name, half in halves.items() if half <= OPEN * _typical(law)[name]}
    still_open = [name for name in halves if name not in known]
    if still_open and not found:
        cure = "add shapes with other aspect_ratios, " if "depth" in law.variables else ""
        found.append(
            f"{joined(still_open)} would stay open: the grid spans too little; {cure}widen the range of budgets and tokens, or fit a "
            "smaller form"
        )
    return Resolution(known, tuple(found))


def _few(law: Form, variables: Mapping[str, Array]) -> list[str]:
    """Variables with too few values, and too few rows altogether."""
    found = []
    for name in law.variables:
        levels = _levels(variables[name])
        if levels == 1:
            found.append(f"all trainings have the same {name}, so that {law.name} cannot tell its term from the floor; {CURES[name]}")
        elif levels < LEAST_LEVELS[name]:
            found.append(
                f"{levels} {VARIABLE_WORDS[name]} are too few for {law.name}, which needs {LEAST_LEVELS[name]} to be fitted and checked; "
                f"{CURES[name]}"
            )
    rows = len(next(iter(variables.values())))
    if rows <= len(law.unknowns):
        found.append(f"{rows} losses cannot fix the {len(law.unknowns)} unknowns of {law.name}; add budgets, shapes or token counts")
    return found


def _together(law: Form, variables: Mapping[str, Array]) -> list[str]:
    """Pairs of variables that move as one."""
    logs = {name: np.log(variables[name]) for name in law.variables if _levels(variables[name]) > 1}
    names, found = list(logs), []
    for place, left in enumerate(names):
        for right in names[place + 1 :]:
            correlation = float(np.corrcoef(logs[left], logs[right])[0, 1])
            if abs(correlation) > INSEPARABLE:
                cure = (
                    "add other tokens per parameter, or a list of tokens"
                    if "tokens" in (left, right)
                    else "add shapes with another aspect_ratio or num_unique_layers"
                )
                found.append(
                    f"log {left} and log {right} move together (correlation {correlation:.3f}), so that {law.name} cannot tell their terms "
                    f"apart; {cure}"
                )
    return found


def _parabolas(variables: Mapping[str, Array]) -> list[str]:
    """What isoFLOP parabolas lack."""
    budgets = np.round(np.log(variables["flops"]), 1)
    sizes = [_levels(variables["params"][budgets == budget]) for budget in np.unique(budgets)]
    found = []
    if len(sizes) < LEAST_BUDGETS:
        found.append(f"{len(sizes)} budgets of FLOPs are too few for a power law through their minima; {CURES['flops']}")
    if min(sizes) < LEAST_SIZES:
        found.append(
            f"a budget of FLOPs is spent at {min(sizes)} sizes, too few for a parabola that is checked; state scaling.budgets.flops and "
            f"{LEAST_SIZES} or more numbers of tokens"
        )
    return found


def _levels(values: Array) -> int:
    """Values that differ by more than the tolerance of a size."""
    ordered = np.sort(np.log(values))
    return 1 + int((np.diff(ordered) > 0.05).sum())


def _typical(law: Form) -> dict[str, float]:
    return {name: TYPICAL_OUTER if name == law.outer else TYPICAL_EXPONENT for name in law.exponents}


def _half_widths(law: Form, variables: Mapping[str, Array]) -> dict[str, float]:
    """Half-widths of the exponents' 90 % intervals at the bound; infinite where a direction is open."""
    plan = design(law, variables)
    others = sum(bool(term.powers) for term in law.terms)
    floor = FLOOR_SHARE if others < len(law.terms) else 0.0
    shares = [(1 - floor) / others if term.powers else floor for term in law.terms]
    theta = np.array([[*np.log(shares), *_typical(law).values()]])
    inside, terms = log_sum(log_terms(plan, theta))
    slopes = inner_slopes(plan, terms)[0]
    if law.outer:
        slopes *= theta[0, -1]
        slopes[-1] = inside[0]
    values, vectors = np.linalg.eigh(slopes @ slopes.T)
    spread = LOSS_NOISE**2 * (vectors**2 / np.maximum(values, 1e-300)).sum(axis=1)
    halves = dict(zip(law.unknowns, (HALF_WIDTH * np.sqrt(spread)).tolist(), strict=True))
    return {name: halves[name] for name in law.exponents}


def rows_of(columns: Sequence[Mapping[str, float]]) -> dict[str, Array]:
    """Rows as columns."""
    return {name: np.array([row[name] for row in columns], dtype=float) for name in columns[0]}
