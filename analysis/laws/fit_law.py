"""Fits a scaling law to runs, resamples it, backtests it against its rivals, and predicts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.laws import forms
from analysis.laws.backtest import Cut, Forecast, backtest, forecast_of
from analysis.laws.fit import fit_law
from analysis.laws.forecast import Band, BandCalibration, calibrate_bands, law_interval, predict_band
from analysis.laws.forms import Form
from analysis.laws.intervals import Refits, resample
from analysis.laws.options import FORMS, VARIABLES, FitOptions
from analysis.laws.run_table import read_runs
from analysis.laws.runs import Runs, runs_from_records
from analysis.records.record import read_records
from analysis.statistics.arrays import Array
from search_space.errors import SpecError, unknown_key

JOINT_FORMS = (forms.CHINCHILLA, forms.CHINCHILLA_TIED, forms.NO_FLOOR, forms.KAPLAN)
"""Forms of N and D that are asked for every prediction, whichever one is fitted."""
FAR_BEYOND = 10.0
"""Times beyond the runs, in any variable, from which a prediction must be asked for, unless the runs span more than that."""
PREDICTION_REFITS = 500
"""Refits of the forms that were not asked for."""


@dataclass(frozen=True)
class Study:
    """A law that was fitted, resampled and backtested: everything that is printed or drawn."""

    runs: Runs
    refits: Refits
    others: Mapping[str, Refits]
    """The other forms of the combination, by name."""
    cuts: tuple[Cut, ...]
    calibration: BandCalibration
    fit_seconds: float

    @property
    def form(self) -> Form:
        """The law."""
        return self.refits.fit.form

    def forecasts(self, points: Mapping[str, Array]) -> dict[str, Forecast]:
        """What each form of the combination says of the points, the fitted law first."""
        return {name: forecast_of(own, self.runs, points) for name, own in {self.form.name: self.refits, **self.others}.items()}

    def band(self, points: Mapping[str, Array]) -> Band:
        """Where the losses of new runs at the points are expected."""
        return predict_band(self.forecasts(points), self.calibration, self.runs)


def load_runs(path: Path, options: FitOptions) -> Runs:
    """Runs of a CSV or of a study's directory."""
    if path.is_dir():
        if options.columns.accuracy is not None:
            raise SpecError(f"--accuracy names a column of a table, found the study {path}; write losses and a task's accuracies as CSV")
        if options.columns.perplexity:
            raise SpecError(f"--perplexity is about a column of a table, found the study {path}; leave it out")
        return runs_from_records(read_records(path), options.columns.params or "parameters")
    return read_runs(path, options.columns, options.checkpoints)


def forms_by_name(against: str = "flops") -> dict[str, Form]:
    """Every form that is fitted to runs, by its name; those in one variable with this one."""
    one_variable = (forms.power_law(against), forms.power_law(against, floor=False))
    return {form.name: form for form in (*JOINT_FORMS, forms.CHINCHILLA_PRODUCT, forms.SHAPE, *one_variable)}


def form_named(name: str, against: str = "flops") -> Form:
    """The form of that name; raises SpecError with the likeliest one that exists."""
    if against not in VARIABLES:
        raise unknown_key(f"variable {against}", against, VARIABLES)
    known = forms_by_name(against)
    if name not in known:
        raise unknown_key(f"form {name}", name, FORMS)
    return known[name]


def study_law(runs: Runs, options: FitOptions) -> Study:
    """Fit, resample and backtest one form together with those that may predict as well."""
    form = form_named(options.form, options.against)
    if len(runs) <= len(form.unknowns) and runs.variables.keys() >= {*form.variables}:
        raise SpecError(
            f"{form.name} has {len(form.unknowns)} unknowns and needs more runs than that, found {runs.found}; add runs, or choose a "
            "smaller form"
        )
    started = time.perf_counter()
    fit = fit_law(form, runs.variables, runs.losses, options.loss_function)
    fit_seconds = time.perf_counter() - started
    one_variable = (forms.power_law(options.against), forms.power_law(options.against, floor=False))
    rivals: tuple[Form, ...] = one_variable if form.name.startswith("power") else JOINT_FORMS
    compared = [form, *(rival for rival in rivals if rival.name != form.name and len(rival.unknowns) < len(runs))]
    others = [fit_law(other, runs.variables, runs.losses, options.loss_function) for other in compared[1:]]
    cuts = backtest(runs, compared, options.loss_function, options.seed)
    return Study(
        runs,
        resample(fit, runs, options.refits, options.seed),
        {other.form.name: resample(other, runs, PREDICTION_REFITS, options.seed) for other in others},
        tuple(cuts),
        calibrate_bands(cuts, [other.name for other in compared], runs, options.seed),
        fit_seconds,
    )


def predict_point(study: Study, point: Mapping[str, float], far: bool = False) -> dict[str, Any]:
    """The loss of a new run at `point` with its band, as plain data; raises SpecError far outside the runs unless `far` is asked for."""
    place = {**point}
    if {"params", "tokens"} <= place.keys():
        place.setdefault("flops", 6 * place["params"] * place["tokens"])
    needed = dict.fromkeys(name for own in (study.refits, *study.others.values()) for name in own.fit.form.variables)
    for name in needed:
        if name not in place:
            raise SpecError(f"a prediction needs {', '.join(needed)}, found no {name}; write {name}=VALUE in the point")
    beyond = {name: _times_beyond(study.runs.variables[name], place[name]) for name in study.form.variables}
    outside = _far(study.runs, beyond)
    if outside and not far:
        raise SpecError(f"{outside}; train larger runs, or add --far to have the prediction all the same, marked")
    points = {name: np.array([value]) for name, value in place.items()}
    forecasts = study.forecasts(points)
    band = predict_band(forecasts, study.calibration, study.runs)
    law = forecasts[study.form.name]
    (low,), (high,) = law_interval(law)
    return {
        "at": place,
        "loss": float(band.centre[0]),
        "low": float(band.low[0]),
        "high": float(band.high[0]),
        "law": {"loss": float(np.exp(law.centre[0])), "low": float(low), "high": float(high)},
        "by_form": {name: float(np.exp(own.centre[0])) for name, own in forecasts.items()},
        "times_beyond_runs": beyond,
        "extrapolated": any(times > 1 for times in beyond.values()),
        "far": outside,
    }


def _times_beyond(values: Array, value: float) -> float:
    """How many times above the largest or below the smallest; 1 inside."""
    return float(max(value / values.max(), values.min() / value, 1.0))


def _far(runs: Runs, beyond: Mapping[str, float]) -> str | None:
    """Why a point is too far outside the runs: beyond them by more than they span themselves, and by more than FAR."""
    for name, times in beyond.items():
        limit = max(FAR_BEYOND, float(runs.variables[name].max() / runs.variables[name].min()))
        if times > limit * (1 + 1e-9):
            return f"{name} is {times:.3g} times outside the runs, where their own span bears no more than {limit:.3g} times"
    return None
