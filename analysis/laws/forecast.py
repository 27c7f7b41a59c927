"""Predicts a loss that nobody has measured, with a band that says how sure that is.

A bootstrap of one form's parameters alone is far too narrow out of sample: it knows nothing of the form being wrong. Here three things are
added, each learnt from the data's own hidden runs (`analysis/laws/backtest.py`):

- several forms predict, each weighted by one over its squared backtest error (Bates and Granger 1969, The Combination of Forecasts): forms
  that extrapolate equally well and disagree widen the band;
- a run differs from its law by the residual, and by the seed noise where replicates show it;
- an allowance in quadrature, without which the bands would not have held 90 % of the hidden runs (a conformal step; Vovk et al. 2005).

Where a recipe changes with size, no cut below has seen what comes next, but the residuals of the fit have a shape and are larger than
trainings differ: both widen a band, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.laws.backtest import Cut, Forecast
from analysis.laws.fit import Fit
from analysis.laws.runs import Runs
from analysis.statistics.arrays import Array
from analysis.statistics.intervals import LEVEL, percentile_interval

EXPECTED_RESIDUAL = 0.01
"""Deviation of log losses from a law that seeds, data and rounding explain; what is above is the form's, or the recipe's."""
FORM_ERROR = 5.0
"""Half-width of a band, over what the deviation of the residuals has too much, chosen by four tables (docs/findings.md, 2026-11-28: bands
of new runs where the recipe changes with size)."""
BAND_DRAWS = 2000


@dataclass(frozen=True)
class Band:
    """Predicted losses of new runs at some points: all arrays (points,)."""

    centre: Array
    """Median of the combined forms."""
    low: Array
    high: Array


@dataclass(frozen=True)
class BandCalibration:
    """What the backtest says of the forms."""

    weights: Mapping[str, float]
    """Share of each form in a prediction; they add to 1."""
    allowance: float
    """Half-width, in log loss, that is added in quadrature to a band outside the runs."""
    cuts: int
    """Backtests that this rests on; with 0 nothing tells the forms apart, and all weigh the same."""


def calibrate_bands(cuts: Sequence[Cut], forms: Sequence[str], runs: Runs, seed: int = 0) -> BandCalibration:
    """Weigh the forms and size the allowance by the cuts."""
    if not cuts:
        return BandCalibration(dict.fromkeys(forms, 1 / len(forms)), 0.0, 0)
    errors = np.array([np.median([cut.squared_error(form) for cut in cuts]) for form in forms])
    shares = 1 / np.maximum(errors, 1e-12)
    weights = {form: float(share) for form, share in zip(forms, shares / shares.sum(), strict=True)}
    missing, mass = [], []
    for cut in cuts:
        band = _band(cut.forecasts, weights, 0.0, runs, seed)
        above = cut.logs > np.log(band.centre)
        half = np.where(above, np.log(band.high / band.centre), np.log(band.centre / band.low))
        error = np.abs(cut.logs - np.log(band.centre))
        missing.append(np.sqrt(np.maximum(error**2 - half**2, 0.0)))
        mass.append(np.full(len(error), 1 / len(error)))
    return BandCalibration(weights, _weighted_quantile(np.concatenate(missing), np.concatenate(mass), LEVEL), len(cuts))


def predict_band(forecasts: Mapping[str, Forecast], calibration: BandCalibration, runs: Runs, seed: int = 0) -> Band:
    """The band of new runs at the forecasts' points, for laws that were fitted to `runs`."""
    weights = calibration.weights
    drift = np.sqrt(sum(weight * forecasts[form].drift ** 2 for form, weight in weights.items()))
    widening = np.hypot(np.hypot(calibration.allowance, drift), FORM_ERROR * unexplained(_best(forecasts, weights).fit))
    return _band(forecasts, weights, widening, runs, seed)


def unexplained(fit: Fit) -> float:
    """Deviation of a fit's residuals, in log loss, above what trainings of one recipe explain."""
    return max(float(fit.residuals.std()) - EXPECTED_RESIDUAL, 0.0)


def law_interval(forecast: Forecast) -> tuple[Array, Array]:
    """Ends of the 90 % interval of the law itself at the points, were the form true: no noise, no other forms."""
    ends = [percentile_interval(column) for column in forecast.draws.T]
    return np.exp([low for low, _ in ends]), np.exp([high for _, high in ends])


def seed_noise(runs: Runs) -> float | None:
    """Standard deviation of log loss between trainings that differ in nothing but the seed; None without such replicates."""
    keys = [tuple(values[row] for values in runs.variables.values()) for row in range(len(runs))]
    logs: dict[tuple[float, ...], dict[int, float]] = {}
    for key, group, loss in zip(keys, runs.groups.tolist(), runs.losses, strict=True):
        logs.setdefault(key, {})[group] = float(np.log(loss))
    squares = [(float(np.var(list(same.values()))) * len(same), len(same) - 1) for same in logs.values() if len(same) > 1]
    if not squares:
        return None
    return float(np.sqrt(sum(square for square, _ in squares) / sum(freedom for _, freedom in squares)))


def _best(forecasts: Mapping[str, Forecast], weights: Mapping[str, float]) -> Forecast:
    return forecasts[max(weights, key=lambda form: weights[form])]


def _band(forecasts: Mapping[str, Forecast], weights: Mapping[str, float], widening: float | Array, runs: Runs, seed: int) -> Band:
    """Bands of the mixed forms and of a run's noise, with a half-width in log loss that is added in quadrature."""
    generator = np.random.default_rng(seed)
    draws = []
    for form, weight in weights.items():
        own = forecasts[form].draws
        draws.append(own[generator.integers(0, len(own), round(weight * BAND_DRAWS))])
    mixed = np.concatenate(draws)
    mixed = mixed + generator.choice(_noise(_best(forecasts, weights), runs), size=mixed.shape)
    low, centre, high = np.quantile(mixed, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2], axis=0)
    return Band(
        np.exp(centre),
        np.exp(centre - np.hypot(centre - low, widening)),
        np.exp(centre + np.hypot(high - centre, widening)),
    )


def _noise(forecast: Forecast, runs: Runs) -> Array:
    """Differences of runs from their law: centred residuals, widened for the unknowns that were fitted and up to the seed noise."""
    residuals = forecast.fit.residuals - np.median(forecast.fit.residuals)
    widened = residuals * np.sqrt(len(residuals) / (len(residuals) - len(forecast.fit.theta)))
    least = seed_noise(runs) or 0.0
    spread = float(widened.std())
    return np.asarray(widened * (least / spread) if 0 < spread < least else widened)


def _weighted_quantile(values: Array, mass: Array, level: float) -> float:
    order = np.argsort(values, kind="stable")
    place = int(np.searchsorted(np.cumsum(mass[order]) / mass.sum(), level))
    return float(values[order][min(place, len(values) - 1)])
