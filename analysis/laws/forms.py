"""Scaling laws as data: every form here is `log L = s * log(sum of terms)`, each term a coefficient over powers of variables.

Taking logarithms turns a term into an affine function of the unknowns (log coefficient, exponents), so value, gradient and curvature of
every form come from one log-sum-exp. A new law is a new `Form`, not new code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.statistics.arrays import Array
from search_space.errors import SpecError

EXPONENT_BOUNDS = (1e-3, 4.0)
EFFECT_BOUNDS = (-4.0, 4.0)
COEFFICIENT_REACH = 14.0


@dataclass(frozen=True, slots=True)
class Power:
    """A variable raised to minus an unknown, or minus a known, exponent."""

    variable: str
    exponent: str | None
    """Name of the unknown; None where the exponent is 1."""
    signed: bool = False
    """Whether the exponent may be negative: an effect whose direction is the question."""


@dataclass(frozen=True, slots=True)
class Term:
    """`coefficient / (variable ** exponent * ...)`; without powers, a floor."""

    coefficient: str
    powers: tuple[Power, ...] = ()


@dataclass(frozen=True)
class Form:
    """A law: its terms and where it comes from."""

    name: str
    formula: str
    """The formula as a person would write it, in the names of `parameter_names`."""
    source: str
    """Paper, or how the form was derived."""
    terms: tuple[Term, ...]
    outer: str | None = None
    """Name of the power that the sum of the terms is raised to; None where it is 1."""

    @cached_property
    def coefficients(self) -> tuple[str, ...]:
        """Names of the coefficients, one a term."""
        return tuple(term.coefficient for term in self.terms)

    @cached_property
    def exponents(self) -> tuple[str, ...]:
        """Names of the unknown exponents in order of appearance, the outer power last."""
        names = dict.fromkeys(power.exponent for term in self.terms for power in term.powers if power.exponent)
        return (*names, *([self.outer] if self.outer else []))

    @cached_property
    def unknowns(self) -> tuple[str, ...]:
        """Order of the vector that is fitted: coefficients (there as logarithms), then exponents."""
        return self.coefficients + self.exponents

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Variables that the form reads."""
        return tuple(dict.fromkeys(power.variable for term in self.terms for power in term.powers))

    @cached_property
    def signed(self) -> frozenset[str]:
        """Exponents that may be negative."""
        return frozenset(power.exponent for term in self.terms for power in term.powers if power.exponent and power.signed)

    def with_effect(self, variable: str, beside: str = "params") -> Form:
        """The form with `variable ** -effect` beside every power of `beside`: what the variable does at equal `beside`."""
        effect = Power(variable, f"effect_{variable}", signed=True)
        terms = tuple(
            Term(term.coefficient, (*term.powers, effect)) if any(power.variable == beside for power in term.powers) else term
            for term in self.terms
        )
        return Form(f"{self.name}+{variable}", f"{self.formula}, {beside}'s term times {variable}^-effect", self.source, terms, self.outer)


@dataclass(frozen=True)
class Design:
    """A form at given points: log term k of row i is `offset[k, i] + sum over (j, column) in columns[k] of theta[j] * column[i]`.

    Logarithms of the variables are centred, which makes the unknowns nearly independent; `centres` undoes it.
    """

    form: Form
    columns: tuple[tuple[tuple[int, Array], ...], ...]
    offsets: tuple[Array, ...]
    centres: Mapping[str, float]
    rows: int


def design(form: Form, variables: Mapping[str, Array], centres: Mapping[str, float] | None = None) -> Design:
    """Lay the form out at the rows of `variables` (each of shape (rows,), positive); `centres` default to the rows' own means of logs."""
    for name in form.variables:
        if name not in variables:
            raise SpecError(f"{form.name} needs {', '.join(form.variables)}, found no {name}; name its column, or choose another form")
    logs = {name: np.log(np.asarray(variables[name], dtype=np.float64)) for name in form.variables}
    centres = centres or {name: float(values.mean()) for name, values in logs.items()}
    rows = len(next(iter(logs.values())))
    place = {name: index for index, name in enumerate(form.unknowns)}
    columns, offsets = [], []
    for term in form.terms:
        parts, offset = [(place[term.coefficient], np.ones(rows))], np.zeros(rows)
        for power in term.powers:
            column = centres[power.variable] - logs[power.variable]
            if power.exponent is None:
                offset = offset + column
            else:
                parts.append((place[power.exponent], column))
        columns.append(tuple(parts))
        offsets.append(offset)
    return Design(form, tuple(columns), tuple(offsets), dict(centres), rows)


def log_terms(plan: Design, theta: Array) -> list[Array]:
    """Logarithm of every term, each of shape (fits, rows), for `theta` of shape (fits, unknowns)."""
    values = []
    for parts, offset in zip(plan.columns, plan.offsets, strict=True):
        value = theta[:, parts[0][0], None] + offset  # the coefficient, whose column is 1
        for index, column in parts[1:]:
            value += theta[:, index, None] * column
        values.append(value)
    return values


def log_sum(values: list[Array]) -> tuple[Array, list[Array]]:
    """Log of the sum of exponentials and each term's share of the sum."""
    peak = values[0]
    for value in values[1:]:
        peak = np.maximum(peak, value)
    weights = [np.exp(value - peak) for value in values]
    total = weights[0].copy()
    for weight in weights[1:]:
        total += weight
    return peak + np.log(total), [weight / total for weight in weights]


def inner_slopes(plan: Design, shares: list[Array]) -> Array:
    """Derivatives of the log-sum by the unknowns, shape (fits, unknowns, rows): each term's columns by its share."""
    slopes = np.zeros((len(shares[0]), len(plan.form.unknowns), plan.rows))
    for parts, share in zip(plan.columns, shares, strict=True):
        for index, column in parts:
            slopes[:, index] += share * column
    return slopes


def log_loss(plan: Design, theta: Array) -> Array:
    """Logarithm of the predicted loss, shape (fits, rows)."""
    value = log_sum(log_terms(plan, theta))[0]
    return value if plan.form.outer is None else theta[:, -1, None] * value


def form_parameters(form: Form, theta: Array, centres: Mapping[str, float]) -> dict[str, Array]:
    """The law's parameters by name, each of shape (fits,), as the formula writes them (no centring, no logarithms).

    A form with an outer power s states its exponents and coefficients as Kaplan does: term k inside the power is (C_k / x)^(a_k / s).
    """
    values = {name: theta[:, place] for place, name in enumerate(form.unknowns)}
    result: dict[str, Array] = {}
    for term in form.terms:
        log_coefficient = values[term.coefficient]
        exponents = [values[power.exponent] if power.exponent else np.ones(len(theta)) for power in term.powers]
        for power, exponent in zip(term.powers, exponents, strict=True):
            log_coefficient = log_coefficient + exponent * centres[power.variable]
        with np.errstate(over="ignore"):
            result[term.coefficient] = np.exp(log_coefficient / exponents[0] if form.outer else log_coefficient)
    for name in form.exponents:
        result[name] = values[name] * (values[form.outer] if form.outer and name != form.outer else 1.0)
    return result


def bounds(form: Form, log_losses: Array) -> tuple[Array, Array]:
    """Box of the unknowns: exponents small and not negative (unless signed), centred coefficients within e^14 of the losses."""
    low = [float(log_losses.min()) - COEFFICIENT_REACH] * len(form.coefficients)
    high = [float(log_losses.max()) + COEFFICIENT_REACH] * len(form.coefficients)
    boxes = [EFFECT_BOUNDS if name in form.signed else EXPONENT_BOUNDS for name in form.exponents]
    return np.array(low + [box[0] for box in boxes]), np.array(high + [box[1] for box in boxes])


_N, _D = Power("params", "alpha"), Power("tokens", "beta")

CHINCHILLA = Form(
    "chinchilla", "L = E + A/N^alpha + B/D^beta", "Hoffmann et al. 2022, arXiv 2203.15556, approach 3",
    (Term("E"), Term("A", (_N,)), Term("B", (_D,))),
)  # fmt: skip
CHINCHILLA_TIED = Form(
    "chinchilla-tied", "L = E + A/N^alpha + B/D^alpha", "chinchilla with one exponent, as Muennighoff et al. 2023, arXiv 2305.16264",
    (Term("E"), Term("A", (_N,)), Term("B", (Power("tokens", "alpha"),))),
)  # fmt: skip
CHINCHILLA_PRODUCT = Form(
    "chinchilla-product", "L = E + A/N^alpha + B/D^beta + G/(N^alpha D^beta)", "chinchilla with the product of its terms: N and D interact",
    (Term("E"), Term("A", (_N,)), Term("B", (_D,)), Term("G", (_N, _D))),
)  # fmt: skip
NO_FLOOR = Form(
    "no-floor", "L = A/N^alpha + B/D^beta", "chinchilla with E = 0",
    (Term("A", (_N,)), Term("B", (_D,))),
)  # fmt: skip
KAPLAN = Form(
    "kaplan", "L = ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D", "Kaplan et al. 2020, arXiv 2001.08361, equation 1.5",
    (Term("N_c", (Power("params", "alpha_N"),)), Term("D_c", (Power("tokens", None),))), "alpha_D",
)  # fmt: skip
SHAPE = Form(
    "shape", "L = E + W/width^omega + G/(depth^gamma repeats^rho) + B/D^beta",
    "derived in docs/scaling.md from arXiv 2602.05970 (depth and width apart) and arXiv 2604.21106 (repeats as a weaker depth)",
    (Term("E"), Term("W", (Power("width", "omega"),)),
     Term("G", (Power("depth", "gamma"), Power("repeats", "rho", signed=True))), Term("B", (_D,))),
)  # fmt: skip


def power_law(variable: str, floor: bool = True) -> Form:
    """`L = E + A/x^alpha` in one variable, or without the floor E."""
    name, formula = ("power", "L = E + A/x^alpha") if floor else ("power-no-floor", "L = A/x^alpha")
    terms = (Term("A", (Power(variable, "alpha"),)),)
    return Form(name, f"{formula}, x = {variable}", "Kaplan et al. 2020, arXiv 2001.08361", ((Term("E"), *terms) if floor else terms))
