"""A scaling fit as plain data, ready for JSON: what `archfront fit --json` prints and the report shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.laws.accuracy import describe_accuracy
from analysis.laws.backtest import Cut
from analysis.laws.fit_law import Study, predict_point, study_law
from analysis.laws.forecast import calibrate_bands, predict_band, unexplained
from analysis.laws.intervals import allocation, repeat_worth, warnings_of
from analysis.laws.isoflop import IsoFlop, fit_isoflop
from analysis.laws.options import FitOptions
from analysis.laws.run_checks import outlier_notes
from analysis.laws.runs import Runs
from analysis.laws.shape_effect import shape_effect
from analysis.statistics.arrays import Array
from analysis.statistics.intervals import LEVEL, percentile_interval
from analysis.text.words import plural
from search_space.errors import SpecError


@dataclass(frozen=True)
class FitResult:
    """A fit as plain data and what it came from, for those who draw it."""

    data: dict[str, Any]
    """Plain data, ready for JSON."""
    runs: Runs
    study: Study | None
    """The law of the loss; None for the form `isoflop`, which has none."""
    isoflop: IsoFlop | None
    """Parabolas of the budgets and their minima; None where the runs have no parabolas, or were not asked for them."""


def fit_runs(runs: Runs, options: FitOptions) -> FitResult:
    """Fit the runs.

    Raises SpecError for runs that cannot be fitted, and for a prediction too far outside them that was not asked for with `far`.
    """
    started = time.perf_counter()
    if options.form == "isoflop":
        if options.predict:
            raise SpecError("isoflop predicts the best size for a budget and no loss, found --predict; choose another form for that")
        if "accuracy" in runs.variables:
            raise SpecError("a curve from loss to accuracy goes with a law of the loss, found --form isoflop; choose another form")
        found = fit_isoflop(runs, options.refits, options.seed)
        answered = FitResult(describe_isoflop(found, runs), runs, None, found)
    else:
        study = study_law(runs, options)
        answer = describe_law(study) | {"predictions": [predict_point(study, point, options.far) for point in options.predict]}
        effects = [shape_effect(study.form, runs, name, min(options.refits, 1000), options.seed) for name in options.columns.effects]
        answer["effects"] = [vars(effect) | {"sentence": effect.sentence} for effect in effects]
        if "accuracy" in runs.variables:
            answer["accuracy"] = describe_accuracy(runs, answer["predictions"], options.seed)
        answered = FitResult(answer, runs, study, None)
    answered.data["total_seconds"] = time.perf_counter() - started
    return answered


def describe_law(study: Study) -> dict[str, Any]:
    """The fit, its intervals and its backtest."""
    fit, refits = study.refits.fit, study.refits
    without: dict[str, Any] = dict.fromkeys(refits.without_width)
    return {
        "form": fit.form.name,
        "formula": fit.form.formula,
        "source": fit.form.source,
        "parameters": fit.parameters,
        "objective": fit.objective,
        "loss_function": fit.loss_function,
        "runs": len(study.runs),
        "trainings": len(set(study.runs.groups.tolist())),
        "interval_level": LEVEL,
        "intervals": {name: list(ends) for name, ends in refits.intervals.items()} | without,
        "standard_errors": refits.standard_errors | without,
        "unidentified": refits.unidentified,
        "allocation": _derived(study, allocation),
        "repeat_worth": _derived(study, repeat_worth),
        "residual_spread": float(fit.residuals.std()),
        "backtest": describe_backtest(study),
        "seconds": study.fit_seconds,
        "columns": dict(study.runs.columns),
        "notes": [*study.runs.notes, *warnings_of(study.runs, fit.form.variables), *outlier_notes(fit.residuals, study.runs.lines)],
    }


def _derived(study: Study, of: Callable[[Mapping[str, Array]], Array | None]) -> dict[str, Any] | None:
    """A quantity that follows from the parameters, with its interval; None where the law has it not or the runs leave it open."""
    known = {name: values for name, values in study.refits.parameters.items() if name not in study.refits.unidentified}
    draws = of(known)
    at_optimum = of({name: np.array([value]) for name, value in study.refits.fit.parameters.items()})
    if draws is None or at_optimum is None:
        return None
    return {"exponent": float(at_optimum[0]), "interval": list(percentile_interval(draws)), "standard_error": float(draws.std(ddof=1))}


def describe_backtest(study: Study) -> dict[str, Any]:
    """What hiding the largest runs showed, headline first."""
    rows = [_describe_cut(study, cut) for cut in study.cuts]
    scores = [row["covered"] for row in rows if row["covered"] is not None]
    covered = float(np.mean(scores)) if scores else None
    error = float(np.mean([row["mean_absolute_error"] for row in rows])) if rows else None
    return {
        "headline": _headline(len(rows), error, covered) + _departure(study),
        "mean_absolute_error": error,
        "covered": covered,
        "cuts": rows,
        "weights": dict(study.calibration.weights),
        "allowance": study.calibration.allowance,
    }


def _describe_cut(study: Study, cut: Cut) -> dict[str, Any]:
    """One backtest; its band uses only what earlier cuts on the axis had shown, so that `covered` is a forecast's honest score."""
    errors = cut.forecasts[study.form.name].centre - cut.logs
    row = {"axis": cut.axis, "seen_up_to": cut.limit, "times_beyond": cut.times_beyond, "hidden": int(cut.hidden.sum())}
    row |= {"mean_error": float(errors.mean()), "mean_absolute_error": float(np.abs(errors).mean())}
    earlier = [known for other in study.cuts if other.limit < cut.limit and (known := other.known_to(cut))]
    if not earlier:
        return row | {"covered": None, "band_width": None}
    seen = study.runs.where(~cut.hidden)
    band = predict_band(cut.forecasts, calibrate_bands(earlier, list(cut.forecasts), seen), seen)
    losses = np.exp(cut.logs)
    width = float(np.mean((band.high - band.low) / band.centre))
    return row | {"covered": float(np.mean((band.low <= losses) & (losses <= band.high))), "band_width": width}


def _departure(study: Study) -> str:
    """What the residuals say of the form, where they are too large for one recipe."""
    if not unexplained(study.refits.fit):
        return ""
    return (
        f"; runs differ from the law by {study.refits.fit.residuals.std():.1%}, more than trainings of one recipe do: the form is wrong "
        "for them, or the recipe changes with size, and bands are wider for it"
    )


def _headline(cuts: int, error: float | None, covered: float | None) -> str:
    if error is None:
        return "too few runs to hide any: nothing is known of how the law extrapolates"
    share = "" if covered is None else f", and {LEVEL:.0%} bands held {covered:.0%} of them"
    return f"with the largest runs hidden in {plural(cuts, 'way')}, the law missed their loss by {error:.2%} on average{share}"


def describe_isoflop(found: IsoFlop, runs: Runs) -> dict[str, Any]:
    """Approach 2 as plain data."""
    return {
        "form": "isoflop",
        "formula": "N_opt = k_N C^a, D_opt = k_D C^b at the minima of parabolas of log loss in log N",
        "source": "Hoffmann et al. 2022, arXiv 2203.15556, approach 2",
        "parameters": found.parameters,
        "runs": len(runs),
        "trainings": len(set(runs.groups.tolist())),
        "interval_level": LEVEL,
        "intervals": {name: list(percentile_interval(values)) for name, values in found.draws.items()},
        "standard_errors": {name: float(values.std(ddof=1)) for name, values in found.draws.items()},
        "parabolas": [{name: value for name, value in vars(parabola).items() if name != "rows"} for parabola in found.parabolas],
        "columns": dict(runs.columns),
        "notes": [*runs.notes, *found.notes],
    }
