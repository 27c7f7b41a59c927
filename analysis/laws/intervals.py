"""What a fit's parameters can be, given that the runs are a sample: refits under random weights of whole trainings.

The Bayesian bootstrap (Rubin 1981) gives each training a weight from the exponential distribution instead of a count. It estimates the same
spread as resampling with replacement, but never drops a size altogether, which on a ladder of few sizes makes its intervals cover as they
say (benchmarks/scaling_coverage.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.laws.fit import HUBER_DELTA, Fit, refine, screened_starts
from analysis.laws.forms import Design, bounds, design, form_parameters, inner_slopes, log_sum, log_terms
from analysis.laws.newton import objective
from analysis.laws.runs import Runs
from analysis.statistics.arrays import Array
from analysis.statistics.intervals import percentile_interval

STAYED = 0.01
"""Relative width of an interval that says too much where the runs leave its parameter open: refits stayed where they began."""
REFITS = 1000
AT_BOUND = 0.05
"""Share of refits at a bound from which a parameter counts as unidentified."""
WIDEST_EXPONENT, WIDEST_COEFFICIENT, WIDEST_FLOOR = 4.0, 1e4, 2.0
"""Ratio of an interval's ends above which the runs do not say what the parameter is."""
AS_GOOD = 1.01
"""Objective over the best one up to which a refit from elsewhere counts as good."""
MIXED = 0.01
"""Part of a direction above which an unknown belongs to it."""
FLAT = 1e-6
"""Change of log loss per unit of an unknown below which there is none."""


@dataclass(frozen=True)
class Refits:
    """A fit and its refits under other weights of the trainings."""

    fit: Fit
    theta: Array
    """Shape (refits, unknowns)."""
    low: Array
    """Bounds of the unknowns, shape (unknowns,)."""
    high: Array
    confounded: Mapping[str, str]
    """Parameters that the runs cannot tell apart even without noise, each with the ones that it is mixed with."""

    @cached_property
    def parameters(self) -> dict[str, Array]:
        """Each parameter's values, shape (refits,)."""
        return form_parameters(self.fit.form, self.theta, self.fit.centres)

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """Each parameter's 90 % interval."""
        return {name: percentile_interval(values) for name, values in self.parameters.items()}

    @property
    def without_width(self) -> list[str]:
        """Parameters that the runs leave open and whose refits all stayed where they began: an interval of theirs would be a lie."""
        return [name for name in self.unidentified if math.isclose(*self.intervals[name], rel_tol=STAYED)]

    @property
    def standard_errors(self) -> dict[str, float]:
        """Each parameter's standard deviation over the refits."""
        return {name: float(values.std(ddof=1)) for name, values in self.parameters.items()}

    @property
    def unidentified(self) -> dict[str, str]:
        """Parameters that the runs do not determine, each with the reason."""
        found = dict(self.confounded)
        for place, name in enumerate(self.fit.form.unknowns):
            bound = (self.theta[:, place] <= self.low[place]) | (self.theta[:, place] >= self.high[place])
            low, high = self.intervals[name]
            if name in found:
                continue
            if bound.mean() > AT_BOUND:
                found[name] = f"{bound.mean():.0%} of the refits end at the bound of {name}"
            elif name not in self.fit.form.signed and high > low * self._widest(place):
                found[name] = f"the 90 % interval of {name} runs from {low:.3g} to {high:.3g}"
        return found

    def _widest(self, place: int) -> float:
        if place >= len(self.fit.form.terms):
            return WIDEST_EXPONENT
        return WIDEST_COEFFICIENT if self.fit.form.terms[place].powers else WIDEST_FLOOR


def resample(fit: Fit, runs: Runs, refits: int = REFITS, seed: int = 0) -> Refits:
    """Refit under `refits` draws of weights, from the fit's optimum; the same seed gives the same bits."""
    weights = training_weights(runs.groups, refits, np.random.default_rng(seed))
    plan, logs = design(fit.form, runs.variables, fit.centres), np.log(runs.losses)
    theta = refine(plan, logs, weights, np.repeat(fit.theta[None], refits, axis=0), fit.loss_function, quick=True)
    confounded = _confounded(fit, plan)
    if confounded:
        theta = _spread(plan, runs.losses, weights, theta, fit.loss_function)
    return Refits(fit, theta, *bounds(fit.form, logs), confounded)


def _spread(plan: Design, losses: Array, weights: Array, theta: Array, loss_function: str) -> Array:
    """Refits as good as `theta` from starts all over the grid of exponents.

    Where the runs leave a direction open, refits from one start all stay at one point of a valley, which would look like an answer.
    """
    logs = np.log(losses)
    starts = np.resize(screened_starts(plan, losses, len(theta)), theta.shape)
    elsewhere = refine(plan, logs, weights, starts, loss_function)
    reached, best = (objective(plan, logs, weights, values, HUBER_DELTA) for values in (elsewhere, theta))
    return np.where((reached <= best * AS_GOOD)[:, None], elsewhere, theta)


def _confounded(fit: Fit, plan: Design) -> dict[str, str]:
    """Unknowns in a direction along which the predictions at the runs do not change."""
    inside, shares = log_sum(log_terms(plan, fit.theta[None]))
    slopes = inner_slopes(plan, shares)[0]
    if fit.form.outer:
        slopes *= fit.theta[-1]
        slopes[-1] = inside[0]
    sizes = np.sqrt((slopes**2).mean(axis=1))
    found = {
        name: f"{name} changes no prediction at these runs" for name, size in zip(fit.form.unknowns, sizes, strict=True) if size < FLAT
    }
    live = [place for place, name in enumerate(fit.form.unknowns) if name not in found]
    scaled = slopes[live] / sizes[live, None]
    values, vectors = np.linalg.eigh(scaled @ scaled.T / scaled.shape[1])
    for value, vector in zip(values, vectors.T, strict=True):
        mixed = [fit.form.unknowns[place] for place, part in zip(live, vector, strict=True) if abs(part) > MIXED]
        if value < FLAT**2:
            found |= {name: f"the runs tell only a combination of {', '.join(mixed)}" for name in mixed}
    return found


def training_weights(groups: NDArray[np.int64], draws: int, generator: np.random.Generator) -> Array:
    """Exponential weights of mean 1, equal within a training, shape (draws, rows)."""
    numbers, places = np.unique(groups, return_inverse=True)
    return generator.exponential(size=(draws, len(numbers)))[:, places]


def allocation(values: Mapping[str, Array]) -> Array | None:
    """Exponent a of N_opt proportional to C^a at C = 6 N D, shape of the values; None where the law has no N and D exponents.

    Minimising A/N^alpha + B/D^beta under N D = C/6 sets alpha A/N^alpha = beta B/D^beta, so N^(alpha+beta) is proportional to C^beta
    (Hoffmann et al. 2022, equation 4). Kaplan's form has the same minimum with its own exponents.
    """
    for of_params, of_tokens in (("alpha", "beta"), ("alpha_N", "alpha_D")):
        if of_params in values and of_tokens in values:
            return np.asarray(values[of_tokens] / (values[of_params] + values[of_tokens]))
    return None


def repeat_worth(values: Mapping[str, Array]) -> Array | None:
    """Exponent phi, shape of the values: a block that is executed r times is worth r^phi blocks; None where the law has no repeats.

    In the shape law depth^gamma repeats^rho = (depth repeats^(rho / gamma))^gamma. phi is 1 where an execution is as good as a new block
    and 0 where it adds nothing; Schwethelm et al. 2026 (arXiv 2604.21106) define it so and measure 0.46 on looped models.
    """
    return np.asarray(values["rho"] / values["gamma"]) if {"rho", "gamma"} <= values.keys() else None


def warnings_of(runs: Runs, variables: Iterable[str]) -> list[str]:
    """What in the choice of runs keeps a law from being identified, in sentences."""
    logs = {name: np.log(runs.variables[name]) for name in variables}
    constant = [name for name, values in logs.items() if np.ptp(values) < 1e-9]
    found = [f"all runs have the same {name}: its term cannot be told from the floor; add runs with another {name}" for name in constant]
    varied = [name for name in logs if name not in constant]
    for place, left in enumerate(varied):
        for right in varied[place + 1 :]:
            correlation = float(np.corrcoef(logs[left], logs[right])[0, 1])
            if abs(correlation) > 0.99:
                found.append(
                    f"{left} and {right} move together (correlation {correlation:.3f}): their terms cannot be told apart; "
                    "add runs off that line"
                )
    if len(set(runs.groups.tolist())) < 10:
        found.append(f"only {len(set(runs.groups.tolist()))} trainings: intervals rest on few; add trainings")
    return found
