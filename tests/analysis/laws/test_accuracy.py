"""From loss to accuracy: coverage on planted ladders, and what is asked of a table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import archfront
from analysis.laws.accuracy import describe_accuracy, fit_accuracy, sigmoid
from analysis.laws.runs import Runs
from analysis.statistics.arrays import Array
from search_space.errors import SpecError

TRUTH = np.array([0.25, 0.85, 4.0, 2.6])
NOISE = 0.012


def ladder(seed: int, count: int = 16) -> Runs:
    """Runs whose accuracies follow the planted curve."""
    random = np.random.default_rng(seed)
    losses = np.linspace(2.35, 3.6, count)
    accuracies = np.clip(sigmoid(losses, TRUTH) + NOISE * random.standard_normal(count), 0, 1)
    return Runs(losses, {"accuracy": accuracies}, np.arange(count))


@pytest.mark.more
@pytest.mark.slow
def test_nine_of_ten_intervals_hold_the_accuracy_of_a_new_run() -> None:
    inside = []
    for seed in range(24):
        random = np.random.default_rng(500 + seed)
        asked, noise = np.array([2.25, 2.4, 2.8, 3.3]), 0.01
        believed = asked * np.exp(noise * random.standard_normal(4))  # a law's forecast is off by what it says
        predictions = [{"loss": x, "low": x * np.exp(-1.645 * noise), "high": x * np.exp(1.645 * noise)} for x in believed]
        found = describe_accuracy(ladder(seed), predictions, 0)["predictions"]
        measured = sigmoid(asked, TRUTH) + NOISE * random.standard_normal(4)
        inside += [each["low"] <= value <= each["high"] for each, value in zip(found, measured, strict=True)]
    assert 0.84 < np.mean(inside) < 0.97


@pytest.mark.more
def test_the_curve_is_found_and_its_intervals_hold_it() -> None:
    curve = fit_accuracy(ladder(3, 40))
    low, high = np.quantile(curve.refits, (0.01, 0.99), axis=0)
    assert np.all((low <= TRUTH) & (high >= TRUTH))
    assert curve.spread == pytest.approx(NOISE, rel=0.4)
    again = fit_accuracy(ladder(3, 40))
    assert np.array_equal(curve.refits, again.refits)


def test_runs_without_an_accuracy_are_passed_over_and_too_few_are_refused() -> None:
    runs = ladder(0)
    accuracy: Array = runs.variables["accuracy"].copy()
    accuracy[10:] = np.nan
    assert fit_accuracy(Runs(runs.losses, {"accuracy": accuracy}, runs.groups)).seen[0] == 2.35
    accuracy[3:] = np.nan
    with pytest.raises(SpecError, match="at least 6 different losses with an accuracy, found 3"):
        fit_accuracy(Runs(runs.losses, {"accuracy": accuracy}, runs.groups))


def test_accuracies_of_one_training_have_no_interval() -> None:
    runs = ladder(0)
    with pytest.raises(SpecError, match="accuracies of at least 3 trainings, found 1, whose points lie on one curve; add trainings"):
        fit_accuracy(Runs(runs.losses, runs.variables, np.zeros(len(runs.losses), dtype=int)))


def table(path: Path, spoilt: str | None = None) -> Path:
    """A ladder of sizes and lengths with a planted law and curve."""
    random = np.random.default_rng(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["params", "tokens", "loss", "right"])
        for place, params in enumerate((1e7, 2e7, 4e7, 8e7, 1.6e8)):
            for tokens in (1e9, 2e9, 4e9, 8e9):
                loss = (1.7 + 400 / params**0.34 + 1200 / tokens**0.34) * np.exp(0.002 * random.standard_normal())
                right = float(sigmoid(np.array([loss]), np.array([0.25, 0.8, 5.0, 3.6]))[0])
                cell = spoilt if spoilt is not None and place == 2 else "" if place == 0 and tokens == 1e9 else f"{right:.4f}"
                writer.writerow([params, tokens, loss, cell])
    return path


def test_the_command_predicts_accuracy_with_both_steps_in_doubt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table(tmp_path / "runs.csv")
    command = ["fit", str(path), "--accuracy", "right", "--predict", "3.2e8,1.6e10", "--refits", "300"]
    assert archfront.main([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["accuracy"]
    [predicted] = answer["predictions"]
    truth = float(sigmoid(np.array([1.7 + 400 / 3.2e8**0.34 + 1200 / 1.6e10**0.34]), np.array([0.25, 0.8, 5.0, 3.6]))[0])
    assert predicted["low"] <= truth <= predicted["high"]
    assert predicted["extrapolated"]
    assert archfront.main([*command, "--html", str(tmp_path / "page.html")]) == 0
    assert "predicted accuracy: " in capsys.readouterr().out
    assert "Accuracy goes from" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("spoilt", "more", "said"),
    [
        ("61.2", [], "right must be a share from 0 to 1 or empty, found '61.2'; divide percentages by 100"),
        ("many", [], "right must be a share from 0 to 1 or empty, found 'many'"),
        (None, ["--form", "isoflop"], "goes with a law of the loss, found --form isoflop"),
    ],
)
def test_what_is_no_accuracy_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoilt: str | None, more: list[str], said: str
) -> None:
    assert archfront.main(["fit", str(table(tmp_path / "runs.csv", spoilt)), "--accuracy", "right", "--refits", "200", *more]) == 2
    assert said in capsys.readouterr().err


def test_a_studys_directory_has_no_such_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert archfront.main(["fit", str(tmp_path), "--accuracy", "right"]) == 2
    assert "--accuracy names a column of a table" in capsys.readouterr().err
