"""Does shape matter beyond N? Kaplan et al. 2020 (arXiv 2001.08361) claim that it hardly does; here the claim is tested on the runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.laws.fit import fit_law, predict_losses
from analysis.laws.forms import Form
from analysis.laws.intervals import resample
from analysis.laws.runs import Runs
from analysis.statistics.intervals import percentile_interval
from search_space.errors import SpecError

HARDLY = 0.01
"""Relative change of the loss within which an effect counts as hardly any."""


@dataclass(frozen=True)
class ShapeEffect:
    """What doubling one dimension of the shape does to the loss at equal N and D, where most runs are."""

    variable: str
    form: str
    """The law whose N term the effect was added to."""
    change: float
    """Relative change of the loss; negative is better."""
    low: float
    high: float
    """Ends of the 90 % interval."""

    @property
    def sentence(self) -> str:
        """The answer in words."""
        size = f"doubling {self.variable} at equal N and D changes the loss by {self.change:+.2%} [{self.low:+.2%}, {self.high:+.2%}]"
        if self.low >= -HARDLY and self.high <= HARDLY:
            told = "" if self.low <= 0 <= self.high else ", although more than nothing"
            return f"{size}: it hardly matters beyond N{told}"
        if self.low <= 0 <= self.high:
            return f"{size}: these runs cannot tell whether it matters"
        return f"{size}: it matters beyond N"


def shape_effect(form: Form, runs: Runs, variable: str, refits: int = 1000, seed: int = 0) -> ShapeEffect:
    """Put `variable ** -effect` beside N in the form, fit, and state it at the runs' median; raises SpecError where it never varies."""
    if variable not in runs.variables:
        raise SpecError(f"an effect needs its column, found none for {variable}; known are {', '.join(runs.variables)}")
    if np.ptp(np.log(runs.variables[variable])) < 1e-9:
        raise SpecError(f"the effect of {variable} needs runs that differ in it, found one value; add runs with another {variable}")
    widened = form.with_effect(variable)
    fit = fit_law(widened, runs.variables, runs.losses)
    median = {name: np.repeat(np.median(runs.variables[name]), 2) for name in widened.variables}
    median[variable] = median[variable] * np.array([1.0, 2.0])
    theta = resample(fit, runs, refits, seed).theta
    losses = predict_losses(widened, np.concatenate([fit.theta[None], theta]), fit.centres, median)
    changes = losses[:, 1] / losses[:, 0] - 1
    return ShapeEffect(variable, form.name, float(changes[0]), *percentile_interval(changes[1:]))
