"""Hides the largest runs, fits the rest, predicts the hidden ones: how wrong each form is when it is asked to extrapolate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.laws.fit import Fit, fit_law, predict_losses
from analysis.laws.forms import Form
from analysis.laws.intervals import Refits, resample
from analysis.laws.runs import Runs
from analysis.statistics.arrays import Array

AXES = ("params", "tokens", "flops")
SHARES = (0.1, 0.2, 0.35, 0.5)
"""Shares of the runs that are hidden, one cut each."""
SPARE_RUNS = 4
"""Runs that a cut must leave beyond the unknowns of the form."""
CUT_REFITS = 40


@dataclass(frozen=True)
class Forecast:
    """What one form says of given points."""

    fit: Fit
    centre: Array
    """Logarithm of the predicted loss, shape (points,)."""
    draws: Array
    """Logarithm of the loss that each refit predicts, shape (refits, points)."""
    drift: Array
    """What a quadratic in the logarithms of the variables makes of the fit's residuals at the points: how far off the form may be there,
    in log loss, shape (points,)."""


@dataclass(frozen=True)
class Cut:
    """One backtest: the runs above `limit` on `axis` were hidden."""

    axis: str
    limit: float
    """The largest value that was seen."""
    times_beyond: float
    """Largest hidden value over `limit`."""
    hidden: NDArray[np.bool_]
    """Shape (rows,)."""
    logs: Array
    """Logarithms of the hidden losses."""
    forecasts: dict[str, Forecast]
    """What each form said of the hidden runs, by the form's name."""

    def squared_error(self, form: str) -> float:
        """Mean squared error of the form's predicted log loss."""
        return float(np.mean((self.logs - self.forecasts[form].centre) ** 2))

    def known_to(self, later: Cut) -> Cut | None:
        """What was known of this cut to a later one on the same axis, which saw more runs: only hidden runs that the later one saw."""
        known = ~later.hidden[self.hidden]
        if self.axis != later.axis or not known.any():
            return None
        forecasts = {
            form: Forecast(own.fit, own.centre[known], own.draws[:, known], own.drift[known]) for form, own in self.forecasts.items()
        }
        return replace(self, hidden=self.hidden & ~later.hidden, logs=self.logs[known], forecasts=forecasts)


def backtest(runs: Runs, forms: Sequence[Form], loss_function: str = "huber", seed: int = 0) -> list[Cut]:
    """Every cut that leaves enough runs, for each axis from the smallest hidden share to the largest."""
    axes = AXES if len(forms[0].variables) > 1 else forms[0].variables
    return [
        Cut(
            axis,
            limit,
            float(runs.variables[axis].max() / limit),
            hidden,
            np.log(runs.losses[hidden]),
            {form.name: forecast(form, runs.where(~hidden), runs.where(hidden), loss_function, CUT_REFITS, seed) for form in forms},
        )
        for axis, limit, hidden in _cuts(runs, axes, max(len(form.unknowns) for form in forms) + SPARE_RUNS)
    ]


def forecast(form: Form, seen: Runs, points: Runs, loss_function: str, refits: int, seed: int) -> Forecast:
    """Fit the form to the seen runs and predict the losses of `points`."""
    resampled = resample(fit_law(form, seen.variables, seen.losses, loss_function, quick=True), seen, refits, seed)
    return forecast_of(resampled, seen, points.variables)


def forecast_of(refits: Refits, seen: Runs, points: Mapping[str, Array]) -> Forecast:
    """What a form that was fitted to the seen runs, and resampled, says of `points` (each variable (points,))."""
    fit = refits.fit
    draws = np.log(predict_losses(fit.form, refits.theta, fit.centres, points))
    return Forecast(fit, np.log(fit.predict(points)), draws, _drift(fit, seen, points))


def _drift(fit: Fit, seen: Runs, points: Mapping[str, Array]) -> Array:
    """The residuals of a recipe that changes with size, followed to the points by a quadratic of least squares, shape (points,)."""
    columns = {name: np.log(seen.variables[name]) for name in fit.form.variables}
    scales = {name: (logs.mean(), logs.std()) for name, logs in columns.items() if logs.std() > 0}

    def powers(values: Mapping[str, Array]) -> Array:
        first = [(np.log(values[name]) - centre) / spread for name, (centre, spread) in scales.items()]
        second = [one * other for number, one in enumerate(first) for other in first[number:]]
        return np.stack([np.ones_like(values[fit.form.variables[0]], dtype=float), *first, *second], axis=1)

    found = np.linalg.lstsq(powers(seen.variables), fit.residuals, rcond=1e-6)[0]
    return np.asarray(powers(points) @ found)


def _cuts(runs: Runs, axes: Sequence[str], least: int) -> Iterator[tuple[str, float, NDArray[np.bool_]]]:
    for axis in axes:
        values, sizes = runs.variables[axis], set()
        for share in SHARES:
            hidden = values > np.quantile(values, 1 - share) * (1 + 1e-6)
            if hidden.sum() >= 2 and (~hidden).sum() >= least and hidden.sum() not in sizes:
                sizes.add(int(hidden.sum()))
                yield axis, float(values[~hidden].max()), hidden
