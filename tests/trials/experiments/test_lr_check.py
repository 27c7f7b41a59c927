"""`archfront lr-check`: which shapes it takes, what it reads off a grid of learning rates, and how it goes on after an interruption."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path

import pytest

import archfront
from analysis.fidelity.lr_transfer import RATE_RUNS, RateRun, check_directories, check_directory, check_rates, rate_table
from search_space.architecture import Architecture
from search_space.errors import SpecError, WorkError
from search_space.spread import spread_of_shapes
from tests.support.sample_study import SPACE
from tests.trials.experiments.conftest import write_tiny_study
from trials.experiments.lr_check import _digest, read_rate_runs, run_rate_check
from trials.study.load_study import load_study
from trials.study.spec import ProxySpec

SHAPES = SPACE.sample(5)
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)


def runs(best: dict[Architecture, float], noise: float = 0.01, failed: tuple[float, ...] = ()) -> list[RateRun]:
    """A parabola in log rate for each shape, one bit deep at e times its best rate."""
    made = []
    for shape, factor in best.items():
        for each in FACTORS:
            loss = None if each in failed else 2 + math.log(each / factor) ** 2
            made.append(RateRun(architecture=shape, factor=each, seed=0, recipe="r", bits_per_byte=loss))
        made.append(RateRun(architecture=shape, factor=1.0, seed=1, recipe="r", bits_per_byte=2 + math.log(factor) ** 2 + noise))
    return made


def test_the_parabola_finds_each_best_rate_and_what_the_common_one_loses() -> None:
    best = dict(zip(SHAPES, (0.7, 1.0, 1.1, 1.4, 1.9), strict=True))
    check = check_rates(runs(best), 0)
    assert [each.best_factor for each in check.shapes] == pytest.approx([*best.values()])
    assert [each.lost for each in check.shapes] == pytest.approx([math.log(factor) ** 2 for factor in best.values()])
    assert check.seed_noise == pytest.approx(0.01 / math.sqrt(2))
    assert [each.near for each in check.shapes] == [True] * 5
    assert check.cheap == 1
    assert "within a factor of 2 of the best one for 5 of 5 shapes" in rate_table(check)
    assert "not compared at their best" in rate_table(check)


def test_rates_that_suit_all_shapes_are_said_to() -> None:
    check = check_rates(runs(dict.fromkeys(SHAPES, 1.05), noise=0.02), 0)
    assert check.cheap == 5
    assert "one rate suits them all" in rate_table(check)


def test_a_best_rate_at_the_edge_is_not_called_the_best() -> None:
    check = check_rates(runs({SHAPES[0]: 4.0, SHAPES[1]: 1.0}), 0)
    assert [each.at_edge for each in check.shapes] == [True, False]
    assert [each.near for each in check.shapes] == [False, True]
    table = rate_table(check)
    assert "x4 or beyond" in table
    assert "For 1 the best lies at the edge" in table


def test_a_rate_that_diverges_is_an_edge_and_not_a_number() -> None:
    check = check_rates(runs({SHAPES[0]: 1.9}, failed=(4.0,)), 0)
    assert check.shapes[0].at_edge
    assert check.shapes[0].losses[4.0] is None
    assert "–" in rate_table(check)
    nothing = check_rates(runs({SHAPES[0]: 1.0}, failed=FACTORS), 0)
    assert (nothing.shapes[0].best_factor, nothing.shapes[0].lost, nothing.better_factor) == (None, None, None)
    json.dumps(nothing.as_dict(), allow_nan=False)


def test_a_better_common_rate_is_named() -> None:
    check = check_rates(runs(dict.fromkeys(SHAPES, 2.0)), 0)
    assert check.better_factor == 2.0
    assert check.gain == pytest.approx(math.log(2) ** 2)
    assert "Rates x2 are better by 0.480 bits per byte in the mean" in rate_table(check)


def test_the_spread_goes_from_deep_thin_to_wide_shallow_with_and_without_sharing() -> None:
    all_shapes = [shape for _, shape in SPACE.table()]
    spread = spread_of_shapes(all_shapes, 6)
    aspects = [shape.hidden_size / shape.num_hidden_layers for shape in spread]
    assert aspects == sorted(aspects)
    assert aspects[-1] > 10 * aspects[0]
    assert sum(shape.sharing.repeats > 1 for shape in spread) == 3
    assert spread == spread_of_shapes(all_shapes[::-1], 6)
    unshared = [shape for shape in all_shapes if shape.sharing.repeats == 1]
    assert len(spread_of_shapes(unshared, 6)) == 6


def vanish(*_: object) -> None:
    """Stands in for a training that the kernel ends."""
    os._exit(9)


def test_a_training_whose_process_vanishes_ends_the_check_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.experiments.lr_check.train_at", vanish)
    with pytest.raises(WorkError, match=r"ended without a word of why; the same command continues.*lower workers\.count"):
        run_rate_check(load_study(write_tiny_study(tmp_path)), tmp_path / "rates", shapes=1, rates=1)


def test_what_failed_for_another_reason_than_its_rate_is_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_study(write_tiny_study(tmp_path))
    monkeypatch.setattr("trials.experiments.lr_check.train_at", pretend)
    told: list[str] = []
    for _ in range(2):
        check = run_rate_check(study, tmp_path / "rates", shapes=1, rates=3, progress=lambda count, total, run: told.append(run.title))
    assert check.shapes[0].losses == {0.5: None, 1.0: 2.0, 2.0: None}
    assert [title.split(": ", 1)[1] for title in sorted(told)] == ["failed: no reason"] * 2 + ["2.000 bits per byte"] * 2 + [
        "diverged: too fast"
    ]


def pretend(run: RateRun, *_: object) -> RateRun:
    """Stands in for a training: half the rate fails for no reason of its own, twice the rate diverges."""
    reason = {0.5: "failed: no reason", 2.0: "diverged: too fast"}.get(run.factor)
    return dataclasses.replace(run, bits_per_byte=None if reason else 2.0, reason=reason)


@pytest.mark.slow
def test_the_command_trains_a_grid_and_continues_where_it_was_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_tiny_study(tmp_path)
    command = ["lr-check", str(study), "--directory", str(tmp_path / "rates"), "--shapes", "2", "--rates", "3", "--json"]
    assert archfront.main(command) == 0
    told = capsys.readouterr()
    first, notices = json.loads(told.out), [line for line in told.err.splitlines() if line.startswith("archfront: ")]
    assert [list(each["losses"]) for each in first["shapes"]] == [["0.5", "1", "2"]] * 2
    assert first["seed_noise"] > 0
    kept = (tmp_path / "rates" / RATE_RUNS).read_bytes()
    assert len(kept.splitlines()) == 8
    assert archfront.main(command) == 0
    again = capsys.readouterr()
    assert json.loads(again.out) == first
    assert again.err.splitlines() == notices  # nothing was trained again
    (tmp_path / "rates" / RATE_RUNS).write_bytes(kept[:-20])  # as if killed while the last line was written
    assert len(read_rate_runs(tmp_path / "rates" / RATE_RUNS)) == 7


def test_trainings_of_before_are_known_by_their_recipe() -> None:
    plain, rounded = (ProxySpec.model_validate({"tokens": 1000, **more}) for more in ({}, {"quantisation_aware": {"precision": "int8"}}))
    assert _digest(plain, "a text") == "678511e1f4de"  # as directories of before have it
    assert _digest(rounded, "a text") != _digest(plain, "a text")


@pytest.mark.parametrize("named", ["runs/mine", "runs/mine/", "./runs/mine", "runs/mine/weights/..", "."])
def test_a_check_lies_beside_its_study_from_wherever_that_is_named(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs" / "mine" / "weights").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "runs" / "mine" if named == "." else tmp_path)
    assert check_directory(Path(named)).resolve() == tmp_path / "runs" / "mine-lr-check"
    found = [folder.resolve() for folder in check_directories(Path(named), "old")]
    assert found == [tmp_path / "runs" / "mine-lr-check", tmp_path / "runs" / "old-lr-check"]


def test_an_even_number_of_rates_has_no_middle(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"must be odd.*found 4"):
        run_rate_check(load_study("studies/quickstart.yaml"), tmp_path, shapes=1, rates=4)


def test_a_file_that_holds_no_trainings_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / RATE_RUNS).write_text('{"factor": 1}\n', encoding="utf-8")
    with pytest.raises(SpecError, match=r"rates\.jsonl:1 does not hold a training"):
        read_rate_runs(tmp_path / RATE_RUNS)
