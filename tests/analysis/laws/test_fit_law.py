"""Scaling laws: published optima are met, planted ones are found again, and intervals hold what they say."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.law_report.law_figures import best_allocation, intervals_figure, isoflop_figure, scaling_figures
from analysis.law_report.law_tables import parameters_table
from analysis.law_report.law_text import fit_text
from analysis.laws import forms
from analysis.laws.backtest import backtest
from analysis.laws.fit import fit_law, predict_losses
from analysis.laws.fit_law import Study, forms_by_name, load_runs, predict_point, study_law
from analysis.laws.fit_result import describe_backtest, describe_law, fit_runs
from analysis.laws.forecast import calibrate_bands, seed_noise
from analysis.laws.forms import Form
from analysis.laws.intervals import Refits, allocation, resample, warnings_of
from analysis.laws.isoflop import fit_isoflop
from analysis.laws.newton import _derivatives, objective
from analysis.laws.options import Columns, FitOptions, options_from, parse_point
from analysis.laws.run_table import read_runs
from analysis.laws.runs import Runs, runs_from_records
from analysis.laws.shape_effect import shape_effect
from analysis.records.record import append
from analysis.statistics.arrays import Array
from analysis.statistics.intervals import percentile_interval
from search_space.errors import SpecError
from tests.support.sample_study import sample_records
from tests.support.variable_projection import project_law
from trials.commands.laws import add_fit_arguments

CHINCHILLA_RUNS = Path(__file__).resolve().parents[2] / "data" / "chinchilla_epoch.csv"
CHINCHILLA_COLUMNS = Columns(params="N", tokens="D", loss="loss")
PLANTED = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
QUICK = FitOptions(columns=CHINCHILLA_COLUMNS, refits=200)


@pytest.fixture(scope="module")
def published() -> Runs:
    """The 240 runs."""
    return read_runs(CHINCHILLA_RUNS, CHINCHILLA_COLUMNS)


@pytest.fixture(scope="module")
def refits(published: Runs) -> Refits:
    """The published law with 4,000 refits."""
    return resample(fit_law(forms.CHINCHILLA, published.variables, published.losses), published, 4000, seed=0)


@pytest.fixture(scope="module")
def quick_study(published: Runs) -> Study:
    """The published runs, fitted and backtested."""
    return study_law(published, QUICK)


def fit_command(path: Path, options: FitOptions) -> dict[str, Any]:
    """What `archfront fit --json` prints of a table or a directory."""
    return fit_runs(load_runs(path, options), options).data


def surface(params: Array, tokens: Array) -> Array:
    """The planted loss."""
    return np.asarray(PLANTED["E"] + PLANTED["A"] / params ** PLANTED["alpha"] + PLANTED["B"] / tokens ** PLANTED["beta"])


def grid(sizes: int = 6, lengths: int = 5, noise: float = 0.0, seed: int = 0) -> Runs:
    """Runs of a grid of sizes and tokens on the planted surface, with relative noise."""
    params, tokens = (axis.ravel() for axis in np.meshgrid(np.geomspace(2e7, 1e9, sizes), np.geomspace(4e8, 2e10, lengths)))
    losses = surface(params, tokens) * np.exp(noise * np.random.default_rng(seed).standard_normal(len(params)))
    return Runs(losses, {"params": params, "tokens": tokens, "flops": 6 * params * tokens}, np.arange(len(params)))


def drawn_variables(form: Form, rows: int) -> dict[str, Array]:
    """Values of all that a form reads, e^4 apart at most, drawn by a seed."""
    random = np.random.default_rng(0)
    return {name: np.exp(random.uniform(0, 4, rows)) for name in form.variables}


def write_runs(path: Path, runs: Runs, **columns: object) -> Path:
    """A CSV with `params`, `tokens`, `loss` and constant or listed columns."""
    rows = ["params,tokens,loss" + "".join(f",{name}" for name in columns)]
    for place, loss in enumerate(runs.losses):
        extra = [value[place] if isinstance(value, list) else value for value in columns.values()]
        rows.append(",".join(map(str, [runs.variables["params"][place], runs.variables["tokens"][place], loss, *extra])))
    path.write_text("\n".join(rows) + "\n")
    return path


# --- the optimum


def test_the_huber_optimum_of_the_published_runs_is_met_to_eight_digits(published: Runs) -> None:
    fit = fit_law(forms.CHINCHILLA, published.variables, published.losses)
    assert fit.objective == pytest.approx(0.0010182740178, rel=1e-10)
    assert fit.parameters == pytest.approx({"A": 477.826, "B": 2143.417, "E": 1.817218, "alpha": 0.3473105, "beta": 0.3671724}, rel=5e-7)


def test_the_least_absolute_deviations_of_the_published_runs_are_met(published: Runs) -> None:
    fit = fit_law(forms.CHINCHILLA, published.variables, published.losses, "lad")
    assert fit.objective <= 1.129494664
    assert fit.objective == pytest.approx(1.129494664, rel=2e-8)
    assert fit.parameters == pytest.approx({"A": 482.005, "B": 2085.432, "E": 1.816864, "alpha": 0.347813, "beta": 0.365854}, rel=5e-6)


def test_variable_projection_finds_the_same_optimum_by_another_route(published: Runs) -> None:
    direct, projected = (route(forms.CHINCHILLA, published.variables, published.losses) for route in (fit_law, project_law))
    assert projected.objective == pytest.approx(direct.objective, rel=1e-8)
    assert projected.parameters == pytest.approx(direct.parameters, rel=1e-5)


def test_a_fit_takes_under_half_a_second_of_processor_time(published: Runs) -> None:
    def seconds() -> float:
        began = time.process_time()
        fit_law(forms.CHINCHILLA, published.variables, published.losses)
        return time.process_time() - began

    assert min(seconds() for _ in range(3)) < 0.5


EVERY_FORM = pytest.mark.parametrize("form", forms_by_name().values(), ids=lambda form: form.name)


@EVERY_FORM
def test_gradient_and_curvature_are_those_of_the_objective(form: Form) -> None:
    runs = grid(noise=0.2)
    variables = {**drawn_variables(form, 30), **runs.variables}
    plan, logs, weights = forms.design(form, variables), np.log(runs.losses), np.linspace(0.5, 1.5, 30)[None]
    theta = np.array([[0.3 + 0.1 * place for place in range(len(form.unknowns))]])
    slope, curvature, _ = _derivatives(plan, logs, weights, theta, 0.1)
    step = 1e-6 * np.eye(theta.shape[1])
    for place, move in enumerate(step):
        ahead, behind = (objective(plan, logs, weights, theta + sign * move, 0.1)[0] for sign in (1, -1))
        assert slope[0, place] == pytest.approx((ahead - behind) / 2e-6, rel=1e-5, abs=1e-7)
        bent = _derivatives(plan, logs, weights, theta + move, 0.1)[0] - _derivatives(plan, logs, weights, theta - move, 0.1)[0]
        assert curvature[0, place] == pytest.approx(bent[0] / 2e-6, rel=1e-4, abs=1e-4)


@EVERY_FORM
def test_a_form_predicts_what_was_planted_in_it(form: Form) -> None:
    variables = drawn_variables(form, 60)
    theta = np.array([[0.3 + 0.1 * place for place in range(len(form.unknowns))]])
    losses = np.exp(forms.log_loss(forms.design(form, variables), theta)[0])
    assert fit_law(form, variables, losses).predict(variables) == pytest.approx(losses, rel=1e-6)
    assert form.source
    assert set(form.variables) <= {*Columns.__dataclass_fields__, "repeats"}


def test_a_planted_law_without_noise_is_found_exactly() -> None:
    runs = grid()
    assert fit_law(forms.CHINCHILLA, runs.variables, runs.losses).parameters == pytest.approx(PLANTED, rel=1e-4)


def test_kaplans_form_is_found_in_its_own_words() -> None:
    runs, planted = grid(), {"N_c": 8.8e13, "D_c": 5.4e13, "alpha_N": 0.076, "alpha_D": 0.095}
    ratio = planted["alpha_N"] / planted["alpha_D"]
    losses = ((planted["N_c"] / runs.variables["params"]) ** ratio + planted["D_c"] / runs.variables["tokens"]) ** planted["alpha_D"]
    assert fit_law(forms.KAPLAN, runs.variables, losses).parameters == pytest.approx(planted, rel=1e-3)


def test_a_power_law_keeps_its_floor_and_loses_it_when_told_to() -> None:
    flops = np.geomspace(1e17, 1e21, 12)
    with_floor = fit_law(forms.power_law("flops"), {"flops": flops}, 1.7 + 3e3 / flops**0.2).parameters
    assert with_floor == pytest.approx({"E": 1.7, "A": 3e3, "alpha": 0.2}, rel=1e-4)
    without = fit_law(forms.power_law("flops", floor=False), {"flops": flops}, 25 / flops**0.05).parameters
    assert without == pytest.approx({"A": 25.0, "alpha": 0.05}, rel=1e-4)


def test_the_shape_law_tells_a_repeated_block_from_a_new_one() -> None:
    shapes, planted, losses = shaped_runs()
    assert fit_law(forms.SHAPE, shapes, losses).parameters == pytest.approx(planted, rel=2e-3)


def shaped_runs() -> tuple[dict[str, Array], dict[str, float], Array]:
    """Sixty shapes, the planted law and its losses."""
    generator = np.random.default_rng(0)
    shapes = {"width": generator.choice([256.0, 512.0, 1024.0], 60), "depth": generator.choice([4.0, 8.0, 16.0, 32.0], 60)}
    shapes |= {"repeats": generator.choice([1.0, 2.0, 4.0], 60), "tokens": generator.choice([1e9, 4e9, 16e9], 60)}
    planted = {"E": 1.6, "W": 60.0, "G": 2.0, "B": 2000.0, "omega": 0.7, "gamma": 0.6, "rho": 0.3, "beta": 0.37}
    losses = 1.6 + 60 / shapes["width"] ** 0.7 + 2 / (shapes["depth"] ** 0.6 * shapes["repeats"] ** 0.3) + 2000 / shapes["tokens"] ** 0.37
    shapes["params"] = 12 * shapes["width"] ** 2 * shapes["depth"]
    shapes["flops"] = 6 * shapes["params"] * shapes["repeats"] * shapes["tokens"]
    return shapes, planted, losses


@pytest.mark.more
@pytest.mark.slow
def test_a_study_of_shapes_says_what_an_execution_is_worth_and_draws_depth_against_width() -> None:
    shapes, _, losses = shaped_runs()
    noisy = losses * np.exp(0.002 * np.random.default_rng(1).standard_normal(60))
    study = study_law(Runs(noisy, shapes, np.arange(60)), FitOptions(form="shape", refits=200))
    worth = describe_law(study)["repeat_worth"]
    assert worth["interval"][0] < 0.5 < worth["interval"][1]
    assert worth["interval"][1] - worth["interval"][0] < 0.2
    assert [trace.type for trace in scaling_figures(study)["shape"].data] == ["contour", "scatter"]


# --- intervals


def test_standard_errors_are_those_of_the_published_bootstrap(refits: Refits) -> None:
    errors = refits.standard_errors
    assert errors["alpha"] == pytest.approx(0.0154, rel=0.06)
    assert errors["beta"] == pytest.approx(0.0206, rel=0.06)
    assert errors["E"] == pytest.approx(0.0257, rel=0.06)


def test_the_optimal_allocation_exponent_has_the_published_interval(refits: Refits) -> None:
    exponents = allocation(refits.parameters)
    assert exponents is not None
    assert float(np.median(exponents)) == pytest.approx(0.516, abs=0.002)
    assert percentile_interval(exponents, 0.95) == pytest.approx((0.481, 0.556), abs=0.006)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(published: Runs, refits: Refits) -> None:
    again = resample(refits.fit, published, 300, seed=7)
    assert again.theta.tobytes() == resample(refits.fit, published, 300, seed=7).theta.tobytes()
    assert again.theta.tobytes() != resample(refits.fit, published, 300, seed=8).theta.tobytes()


def test_checkpoints_of_one_training_count_as_one() -> None:
    runs = grid(noise=0.01)
    fit = fit_law(forms.CHINCHILLA_TIED, runs.variables, runs.losses)
    copied = Runs(
        np.repeat(runs.losses, 4), {name: np.repeat(values, 4) for name, values in runs.variables.items()}, np.repeat(runs.groups, 4)
    )
    apart = Runs(copied.losses, copied.variables, np.arange(len(copied)))
    single, together, split = (resample(fit, some, 400).standard_errors["alpha"] for some in (runs, copied, apart))
    assert together == pytest.approx(single, rel=1e-3)
    assert split < 0.7 * single


def test_what_the_runs_cannot_tell_is_said() -> None:
    runs = grid(lengths=1, noise=0.003)
    assert "tokens" in " ".join(warnings_of(runs, ("params", "tokens")))
    params = np.geomspace(1e7, 1e9, 12)
    ladder = Runs(surface(params, 20 * params), {"params": params, "tokens": 20 * params}, np.arange(12))
    assert "move together" in " ".join(warnings_of(ladder, ("params", "tokens")))
    unidentified = resample(fit_law(forms.CHINCHILLA, runs.variables, runs.losses), runs, 200).unidentified
    assert unidentified["beta"] == "beta changes no prediction at these runs"
    assert unidentified["E"] == unidentified["B"] == "the runs tell only a combination of E, B"


def test_no_interval_of_no_width_stands_beside_a_parameter_that_is_left_open() -> None:
    study = study_law(grid(lengths=1, noise=0.0), FitOptions(refits=100))
    answer = describe_law(study)
    assert study.refits.without_width == ["E"]
    assert answer["intervals"]["E"] is answer["standard_errors"]["E"] is None
    assert all(answer["intervals"][name] for name in ("A", "B", "alpha", "beta"))
    assert "E      " in fit_text(answer)
    assert "E" in str(parameters_table(answer))
    assert "E = " not in str(intervals_figure(study).to_plotly_json())


@pytest.mark.parametrize("noise", [0.0, 1e-6, 1e-3])
@pytest.mark.parametrize("on_a_line", [False, True])
def test_an_interval_that_is_shown_has_a_width_as_it_is_shown(noise: float, on_a_line: bool) -> None:
    runs = grid(lengths=1, noise=noise)
    tokens = 20 * runs.variables["params"] if on_a_line else runs.variables["tokens"]
    params = runs.variables["params"]
    runs = replace(runs, variables={"params": params, "tokens": tokens, "flops": 6 * params * tokens})
    answer = describe_law(study_law(runs, FitOptions(refits=50)))
    assert answer["unidentified"]
    left_open = [ends for name in answer["unidentified"] if (ends := answer["intervals"][name]) is not None]
    assert all(high > 1.005 * low for low, high in left_open)
    shown = re.findall(r"\[(\S+), (\S+)\]", fit_text(answer))
    assert shown
    assert not noise or all(low != high for low, high in shown)


def test_two_sizes_tell_no_exponent_and_the_band_at_a_third_is_wide() -> None:
    runs = grid(sizes=2, lengths=6, noise=0.001)
    study = study_law(runs, FitOptions(refits=200))
    assert set(study.refits.unidentified) >= {"E", "A", "alpha"}
    assert describe_law(study)["allocation"] is None
    low, high = study.refits.intervals["alpha"]
    assert high > 2 * low
    low, high = study.refits.intervals["beta"]
    assert high < 1.5 * low
    at_a_third = predict_point(study, {"params": 5e9, "tokens": 2e10})
    assert at_a_third["low"] < float(surface(np.array(5e9), np.array(2e10))) < at_a_third["high"]
    assert at_a_third["high"] / at_a_third["low"] > 1.02


def test_replicates_show_the_seed_noise() -> None:
    runs = grid(sizes=8, lengths=6)
    noisy = np.random.default_rng(0).normal(scale=0.004, size=(3, len(runs)))
    variables = {name: np.tile(values, 3) for name, values in runs.variables.items()}
    assert seed_noise(Runs((runs.losses * np.exp(noisy)).ravel(), variables, np.arange(3 * len(runs)))) == pytest.approx(0.004, rel=0.15)
    assert seed_noise(runs) is None


@pytest.mark.slow
def test_ninety_percent_intervals_hold_planted_truths() -> None:
    held = []
    target = {"params": np.array([1e10]), "tokens": np.array([2e11])}
    for seed in range(40):
        runs = grid(noise=0.003, seed=seed)
        drawn = resample(fit_law(forms.CHINCHILLA, runs.variables, runs.losses), runs, 300, seed)
        predicted = percentile_interval(predict_losses(forms.CHINCHILLA, drawn.theta, drawn.fit.centres, target)[:, 0])
        true_qualities = [
            *((PLANTED[name], ends) for name, ends in drawn.intervals.items()),
            (float(surface(*target.values())[0]), predicted),
        ]
        held.append([low <= truth <= high for truth, (low, high) in true_qualities])
    assert np.all(np.mean(held, axis=0) >= 0.8)


# --- hidden runs


def test_a_band_is_wider_than_the_laws_own_interval_and_holds_its_loss(quick_study: Study) -> None:
    point = predict_point(quick_study, parse_point("7e10,1.4e12"))
    assert point["low"] < point["law"]["low"] < point["law"]["high"] < point["high"]
    assert point["extrapolated"]
    assert point["far"] is None
    inside = predict_point(quick_study, parse_point("1e9,2e10"))
    assert not inside["extrapolated"]
    assert (inside["high"] - inside["low"]) / inside["loss"] < 0.05


def test_a_law_that_extrapolates_badly_gets_little_weight(quick_study: Study) -> None:
    weights = quick_study.calibration.weights
    assert sum(weights.values()) == pytest.approx(1)
    assert max(weights["no-floor"], weights["kaplan"]) < 0.15 < max(weights["chinchilla"], weights["chinchilla-tied"])


def test_planted_runs_leave_their_own_form_nearly_alone() -> None:
    runs = grid(noise=0.003)
    compared = [forms.CHINCHILLA, forms.NO_FLOOR, forms.KAPLAN]
    calibration = calibrate_bands(backtest(runs, compared), [form.name for form in compared], runs)
    assert calibration.weights["chinchilla"] > 0.9
    assert calibration.allowance < 0.006


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.parametrize("axis", ["tokens", "params", "flops"])
def test_fits_to_the_small_published_runs_hold_the_large_ones(published: Runs, axis: str) -> None:
    shares, widths = [], []
    for hidden_share in (0.1, 0.2, 0.3, 0.5):
        hidden = published.variables[axis] > np.quantile(published.variables[axis], 1 - hidden_share)
        band = study_law(published.where(~hidden), QUICK).band(published.where(hidden).variables)
        losses = published.losses[hidden]
        shares.append(np.mean((band.low <= losses) & (losses <= band.high)))
        widths.append(np.mean((band.high - band.low) / band.centre))
    assert np.mean(shares) >= 0.85
    assert np.mean(widths) < 0.07


def test_far_predictions_are_refused_unless_asked_for_and_then_marked(quick_study: Study) -> None:
    with pytest.raises(SpecError, match=r"params is .* times outside the runs.*--far"):
        predict_point(quick_study, parse_point("1e13,1e12"))
    assert "outside the runs" in str(predict_point(quick_study, parse_point("1e13,1e12"), far=True)["far"])


# --- figures


def test_every_figure_of_a_study_is_drawn_from_its_runs(quick_study: Study) -> None:
    figures = scaling_figures(quick_study)
    assert list(figures) == ["loss_flops", "loss_params", "loss_tokens", "residuals", "intervals", "backtest"]
    for name in ("loss_flops", "loss_params", "loss_tokens", "residuals"):
        assert len(figures[name].data[0].x) == 240
    assert "hidden in 12 ways" in figures["backtest"].layout.title.subtitle.text


@pytest.mark.more
def test_a_recipe_that_changes_with_size_is_said_and_widens_the_bands() -> None:
    runs = grid(sizes=10, lengths=6, noise=0.002)
    size = np.log(runs.variables["params"] / runs.variables["params"].min())
    ratio = np.log(runs.variables["tokens"] / runs.variables["params"])
    recipe = 0.015 * (ratio - ratio.mean()) ** 2
    drifting = Runs(runs.losses * np.exp(recipe), runs.variables, runs.groups)
    seen = size <= np.quantile(size, 0.7)
    answers = {name: study_law(table.where(seen), QUICK) for name, table in (("steady", runs), ("drifting", drifting))}
    hidden = drifting.where(~seen)
    bands = {name: study.band(hidden.variables) for name, study in answers.items()}
    widths = {name: np.log(band.high / band.low) for name, band in bands.items()}
    assert (widths["drifting"] > 3 * widths["steady"]).all()
    assert ((bands["drifting"].low <= hidden.losses) & (hidden.losses <= bands["drifting"].high)).mean() >= 0.85
    assert "the recipe changes with size" in describe_backtest(answers["drifting"])["headline"]
    assert "the recipe changes with size" not in describe_backtest(answers["steady"])["headline"]


def test_the_best_allocation_is_where_the_law_is_lowest(quick_study: Study) -> None:
    best = best_allocation(quick_study, np.array([1e20, 1e22]))
    exponent = np.log(best["params"][1] / best["params"][0]) / np.log(100)
    assert exponent == pytest.approx(0.5139, abs=0.005)
    assert best["params"] * best["tokens"] * 6 == pytest.approx(best["flops"])


def test_parabolas_are_drawn_with_their_minima(published: Runs) -> None:
    found = fit_isoflop(published, 200)
    assert len(isoflop_figure(found, published).data) == 2 * len(found.parabolas) + 1


# --- approach 2 and shape


def test_isoflop_minima_grow_as_planted() -> None:
    budgets = np.repeat(np.geomspace(1e18, 1e21, 5), 9)
    balance = (PLANTED["alpha"] * PLANTED["A"] / (PLANTED["beta"] * PLANTED["B"])) ** (1 / (PLANTED["alpha"] + PLANTED["beta"]))
    exponent = PLANTED["beta"] / (PLANTED["alpha"] + PLANTED["beta"])
    params = balance * (budgets / 6) ** exponent * np.tile(np.geomspace(0.7, 1.4, 9), 5)
    tokens = budgets / 6 / params
    found = fit_isoflop(Runs(surface(params, tokens), {"params": params, "tokens": tokens, "flops": budgets}, np.arange(45)), 200)
    assert found.parameters["a"] == pytest.approx(exponent, abs=0.002)
    assert found.parameters["a"] + found.parameters["b"] == pytest.approx(1)
    assert [parabola.flops for parabola in found.parabolas] == pytest.approx(np.geomspace(1e18, 1e21, 5))


def test_nine_of_ten_intervals_hold_the_planted_exponent_where_sizes_reach_far_from_the_minimum() -> None:
    exponent = PLANTED["beta"] / (PLANTED["alpha"] + PLANTED["beta"])
    balance = (PLANTED["alpha"] * PLANTED["A"] / (PLANTED["beta"] * PLANTED["B"])) ** (1 / (PLANTED["alpha"] + PLANTED["beta"]))
    budgets = np.repeat(np.geomspace(1e18, 1e21, 6), 10)
    params = balance * (budgets / 6) ** exponent * np.tile(np.geomspace(0.15, 12, 10), 6)  # seen from the minimum, more large than small
    tokens = budgets / 6 / params
    held, widths = [], []
    for seed in range(40):
        losses = surface(params, tokens) * np.exp(np.random.default_rng(seed).normal(0, 0.003, len(params)))
        found = fit_isoflop(Runs(losses, {"params": params, "tokens": tokens, "flops": budgets}, np.arange(60)), 300, seed)
        low, high = np.quantile(found.draws["a"], [0.05, 0.95])
        held.append(low <= exponent <= high)
        widths.append(high - low)
    assert np.mean(held) >= 0.85
    assert np.median(widths) <= 0.15


def test_isoflop_minima_of_the_published_runs_lie_near_half() -> None:
    answer = fit_command(CHINCHILLA_RUNS, FitOptions(columns=Columns(params="N", tokens="D", flops="C"), form="isoflop", refits=300))
    low, high = answer["intervals"]["a"]
    assert low < 0.5 < high
    assert len(answer["parabolas"]) >= 7


def test_an_effect_of_shape_is_found_where_there_is_one_and_only_there() -> None:
    generator = np.random.default_rng(0)
    runs = grid(sizes=8, lengths=6, noise=0.001)
    depth, heads = (generator.choice(values, len(runs)) for values in ([8.0, 16.0, 32.0], [1.0, 2.0, 4.0]))
    losses = runs.losses + PLANTED["A"] / runs.variables["params"] ** PLANTED["alpha"] * (depth**-0.1 - 1)
    shaped = Runs(losses, {**runs.variables, "depth": depth, "kv_heads": heads}, runs.groups)
    deep, kv = (shape_effect(forms.CHINCHILLA, shaped, name, 300) for name in ("depth", "kv_heads"))
    assert deep.high < 0
    assert "more than nothing" in deep.sentence or "it matters beyond N" in deep.sentence
    assert kv.low < 0 < kv.high
    assert "hardly matters" in kv.sentence


# --- tables and the command


def test_flagged_rows_are_left_out_and_the_answer_says_so(published: Runs) -> None:
    assert len(published) == 240
    assert published.notes == ("5 rows flagged in `excluded` are left out",)


def test_the_command_answers_in_plain_data() -> None:
    options = options_from({"params": "N", "tokens": "D", "loss": "loss", "refits": 200, "predict": ["7e10,1.4e12"], "form": None})
    answer = json.loads(json.dumps(fit_command(CHINCHILLA_RUNS, options), allow_nan=False))
    assert answer["form"] == "chinchilla"
    assert list(answer["parameters"]) == ["E", "A", "B", "alpha", "beta"]
    assert answer["objective"] == pytest.approx(0.0010182740178)
    assert set(answer["intervals"]) == set(answer["parameters"])
    assert all(low < answer["parameters"][name] < high for name, (low, high) in answer["intervals"].items())
    assert answer["backtest"]["headline"].startswith("with the largest runs hidden in 12 ways")
    assert answer["seconds"] > 0
    assert answer["predictions"][0]["low"] < answer["predictions"][0]["high"]


def test_every_option_of_the_command_reaches_the_fit() -> None:
    parser = argparse.ArgumentParser()
    add_fit_arguments(parser)
    line = """runs.csv --params N --tokens D --loss L --flops C --width w --depth d --executed-depth x --group seed --exclude bad
        --effect kv --form shape --against params --loss-function lad --checkpoints last
        --predict 1e9,2e10,width=512 --far --refits 300 --seed 3"""
    options = options_from(vars(parser.parse_args(shlex.split(line))))
    assert options.columns == Columns(
        params="N",
        tokens="D",
        loss="L",
        flops="C",
        width="w",
        depth="d",
        executed_depth="x",
        group="seed",
        exclude="bad",
        effects=("kv",),
        of_shape=True,
    )
    assert (options.form, options.against, options.loss_function, options.checkpoints) == ("shape", "params", "lad", "last")
    assert (options.far, options.refits, options.seed) == (True, 300, 3)
    assert options.predict == ({"params": 1e9, "tokens": 2e10, "width": 512.0},)
    assert options_from(vars(parser.parse_args(["runs.csv"]))) == FitOptions()


def test_rows_of_one_seed_and_size_are_one_training_and_the_last_can_be_kept(tmp_path: Path) -> None:
    runs = grid(sizes=4, lengths=5)
    path = write_runs(tmp_path / "runs.csv", runs, seed=0)
    columns = Columns(group="seed")
    assert len(set(read_runs(path, columns).groups.tolist())) == 4
    last = read_runs(path, columns, "last")
    assert last.variables["tokens"].tolist() == [2e10] * 4
    assert last.notes == ("4 of 20 rows are kept: checkpoints `last`",)


def test_the_lower_hull_keeps_the_best_losses_for_their_flops(tmp_path: Path) -> None:
    runs = grid(sizes=6, lengths=6)
    hull = read_runs(write_runs(tmp_path / "runs.csv", runs), Columns(), "hull")
    order = np.argsort(hull.variables["flops"])
    assert np.all(np.diff(hull.losses[order]) < 0)
    assert hull.losses.min() == runs.losses.min()
    assert 3 <= len(hull) < len(runs)


def test_executed_depth_over_stored_depth_is_the_number_of_repeats(tmp_path: Path) -> None:
    path = write_runs(tmp_path / "runs.csv", grid(), width=512, depth=8, executed=16)
    runs = read_runs(path, Columns(width="width", depth="depth", executed_depth="executed"))
    assert set(runs.variables["repeats"].tolist()) == {2.0}


def test_a_study_is_fitted_from_its_finished_records(tmp_path: Path) -> None:
    records = sample_records()
    for record in records:
        append(tmp_path, record)
    answer = fit_command(tmp_path, FitOptions(form="power-no-floor", against="params", refits=200))
    assert answer["runs"] == sum(record.finished for record in records)
    assert "trials that did not finish are left out" in answer["notes"][0]
    fewer = runs_from_records(records, "non_embedding_parameters").variables["params"]
    assert np.all(fewer < runs_from_records(records).variables["params"])


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("params,tokens\n1,2\n", FitOptions(), r"column loss is unknown.*--loss"),
        ("parms,tokens,loss\n1,2,3\n", FitOptions(), r"did you mean `parms`\?.*--params"),
        ("params,tokens,loss\n1e6,1e8,3\n1e7,1e9,n/a\n", FitOptions(), r"runs.csv:3: loss must be a number, found 'n/a'"),
        ("params,tokens,loss\n1e6,1e8,3\n0,1e9,2\n", FitOptions(), r"runs.csv:3: params must be above 0 and finite, found 0"),
        ("params,tokens,loss\n1e6,1e8\n", FitOptions(), r"runs.csv:2: loss must be a number, found nothing"),
        ("params,tokens,loss\n1e6,1e8,3\n", FitOptions(), r"5 unknowns and needs more runs than that, found 1"),
        ("params,tokens,loss\n", FitOptions(), "at least one run"),
        ("params,tokens,loss,excluded\n1e6,1e8,3,perhaps\n", FitOptions(), r"runs.csv:2: excluded must be true or false, found 'perhaps'"),
        ("params,tokens,loss\n1e6,1e8,3\n", FitOptions(checkpoints="last"), r"no group column; name it with --group"),
        ("params,tokens,loss\n1e6,1e8,3\n", FitOptions(form="chinchila"), r"did you mean `chinchilla`"),
        ("params,tokens,loss\n1e6,1e8,3\n", FitOptions(form="shape"), r"shape needs width, depth, repeats, tokens, found no width"),
        ("params,tokens,loss\n1e6,1e8,3\n", FitOptions(form="isoflop"), r"at least 2 budgets"),
        ("params,tokens,loss,d,x\n1e6,1e8,3,4,8\n", FitOptions(columns=Columns(executed_depth="x")), r"--depth"),
    ],
)  # fmt: skip
def test_wrong_tables_are_refused_with_the_cure(tmp_path: Path, text: str, options: FitOptions, message: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(text)
    with pytest.raises(SpecError, match=message):
        fit_command(path, options)


LEFT_OUT = {
    "excluded": "rows flagged in `excluded` are left out",
    "state": "runs that did not finish are left out by `state`",
    "note": "rows that repeat another count once: 12 left out",
}


@pytest.mark.parametrize("form", ["chinchilla", "power", "isoflop"])
@pytest.mark.parametrize("column", LEFT_OUT)
def test_a_refusal_that_counts_runs_says_what_the_table_had_beside_them(column: str, form: str, tmp_path: Path) -> None:
    """Fourteen rows of which two count are not just `found 2`."""
    cells = {"excluded": ("false", "true"), "state": ("finished", "crashed"), "note": ("", "")}[column]
    others = [(1e6, 2e7, 3.0)] * 12 if column == "note" else [(4e6, count * 1e7, 2.8) for count in range(1, 13)]
    rows = [(1e6, 2e7, 3.0), (2e6, 2e7, 2.9), *others]
    lines = [f"{n:g},{d:g},{loss},{cells[place > 1]}" for place, (n, d, loss) in enumerate(rows)]
    (tmp_path / "runs.csv").write_text("\n".join([f"params,tokens,loss,{column}", *lines]))
    with pytest.raises(SpecError, match=r"found (2|0 of 1 among 2|0 of 2 among 2) ") as refused:
        fit_command(tmp_path / "runs.csv", FitOptions(form=form))
    assert LEFT_OUT[column] in str(refused.value)


@pytest.mark.parametrize("text", ["", "1e9,", "1e9,2e10,3", "1e9,-2", "a,b", "1e9,2e10,width=", "1e9,inf"])
def test_a_point_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="N,D"):
        parse_point(text)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    for content, found in ((b"\xfa\xfe\x00", "the byte 0xfa in line 1"), (b"\xff\xfe\x00", "UTF-16 that is cut or damaged")):
        (tmp_path / "runs.csv").write_bytes(content)
        with pytest.raises(SpecError, match=f"must be text in UTF-8, found {found}"):
            read_runs(tmp_path / "runs.csv", Columns())


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").touch()
    with pytest.raises(SpecError, match="must begin with a line of column names, found nothing"):
        read_runs(tmp_path / "runs.csv", Columns())


def test_too_few_refits_are_refused() -> None:
    with pytest.raises(SpecError, match="at least 200"):
        options_from({"refits": 20})
