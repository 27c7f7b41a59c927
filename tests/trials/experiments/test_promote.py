"""A front's shapes trained longer: what is said on planted results, and a real study from its records to `archfront promote`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import archfront
from analysis.fidelity.forecast import FrontForecast, forecast_front, members_and_near_ties
from analysis.fidelity.promotion import Promotion, promotion, promotion_sentences
from analysis.fidelity.rank_validity import PROMOTED, LongRun, read_long_runs
from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.records.files import append_line
from analysis.records.record import RECORDS, append, read_records
from analysis.report.sections import forecast_part
from analysis.terminal.experiment_text import promotion_text
from analysis.terminal.front_text import forecast_text
from search_space.errors import SpecError
from tests.support.fakes import answer, small_study
from tests.support.planted_forecast import WHOLE, planted
from trials.experiments.promote import run_promotion
from trials.reporting.stored_study import read_study
from trials.study.load_study import parse_study
from trials.trial.task import TrialTask


@pytest.fixture(scope="module")
def told() -> tuple[list[int], Any, Any]:
    """Which trials, the study's front, and what it foresaw."""
    records, _ = planted(3)
    front = front_of(records)
    membership = estimate_membership(front)
    return members_and_near_ties(front, membership), front, forecast_front(records, front, membership, 4.0)


def promoted(told: tuple[list[int], Any, Any], changes: dict[int, float | None], ahead: Any = None) -> Promotion:
    numbers, front, seen = told
    expected = {forecast.number: forecast.expected for forecast in seen.forecasts}
    runs = {
        number: LongRun(
            number=number, architecture_key="", times=4.0, seed=1000, tokens=1, bits_per_byte=changes.get(number, expected[number]),
            reason="diverged: nan" if number in changes and changes[number] is None else None,
        )
        for number in numbers
    }  # fmt: skip
    return promotion(numbers, runs, {number: f"shape {number}" for number in numbers}, front, 4.0, seen if ahead is None else ahead)


def test_what_held_is_said(told: tuple[list[int], Any, Any]) -> None:
    said = " ".join(promotion_sentences(promoted(told, {})))
    assert f"{len(told[0])} of {len(told[0])} losses fell inside the 90 % intervals" in said
    assert "did not finish" not in said


def test_who_left_the_front_and_who_leads_now_is_said(told: tuple[list[int], Any, Any]) -> None:
    numbers, front, _ = told
    best = min(numbers, key=lambda number: front.costs(number)[0])
    other = next(number for number in numbers if number in front.members and number != best)
    found = promoted(told, {best: 9.0, other: 1.0})
    said = promotion_sentences(found)
    assert f"#{best}" in said[0].split("left it")[0]
    assert said[1].startswith(f"The most accurate was #{best} and is #{other}, 8.000 bits per byte ahead of it now.")
    assert f"{len(numbers) - 2} of {len(numbers)} losses fell inside" in said[2]
    assert "9.000" in promotion_text(found)


@pytest.mark.parametrize(("stays", "said"), [(True, "is still on it"), (False, "has left it")])
def test_of_one_member_alone_no_share_is_said(stays: bool, said: str, told: tuple[list[int], Any, Any]) -> None:
    found = promoted(told, {})
    first = replace(found.shapes[0], on_front_before=True, on_front_after=stays)
    others = [replace(shape, on_front_before=False, on_front_after=False) for shape in found.shapes[1:]]
    alone = promotion_sentences(replace(found, shapes=(first, *others)))[0]
    assert alone == f"After 4 times the tokens, the one member of their front {said}."


def test_what_did_not_finish_or_was_not_foreseen_is_said(told: tuple[list[int], Any, Any]) -> None:
    found = promoted(told, {told[0][0]: None}, "no cooldowns")
    said = promotion_sentences(found)
    assert said[-1] == f"#{told[0][0]} did not finish: diverged: nan."
    assert "Nothing was forecast: no cooldowns." in said
    assert "–" in promotion_text(found).splitlines()[1]
    assert promotion_sentences(replace(found, shapes=found.shapes[:1])) == said[-1:]


def study_of(directory: Path, **proxy: Any) -> Path:
    """A directory with planted records, whose study has a target."""
    recipe = {"tokens": WHOLE, "cooldowns": [0.25, 0.5], **proxy}
    _, text = small_study(proxy=recipe, target={"tokens": 4 * WHOLE})
    directory.mkdir()
    (directory / "study.yaml").write_text(text)
    for record in planted(3)[0]:
        append(directory, record)
    return directory


def test_a_report_foresees_the_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = study_of(tmp_path / "study")
    assert archfront.main(["report", str(directory), "--verbose"]) == 0
    said = capsys.readouterr().out
    assert "After 4 times the tokens" in said
    page = (directory / "report.html").read_text(encoding="utf-8")
    assert 'id="plot-forecast"' in page
    assert "After longer training" in page
    assert archfront.main(["report", str(directory), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(row["target"]["low"] < row["target"]["expected"] < row["target"]["high"] for row in rows)
    stored = read_study(directory)
    assert isinstance(stored.forecast, FrontForecast)
    assert forecast_text(stored.forecast, stored.records) in said
    experiment = stored.forecast.experiment
    assert all(row["next_experiment"] == (None if experiment is None else asdict(experiment)) for row in rows)


def test_what_a_target_lacks_is_a_sentence() -> None:
    assert forecast_part(None, [], front_of([])) == []
    assert "state proxy.cooldowns" in str(forecast_part("state proxy.cooldowns", [], front_of([]))[0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": {"tokens": 10_000}}, r"above proxy\.tokens \(20,000\) and at most 8 times as many, found 10,000"),
        ({"target": {"tokens": 200_000}}, "at most 8 times as many, found 200,000"),
        ({"target": {"tokens": 40_000}, "proxy": {"cooldowns": []}}, r"needs a search with proxy\.tokens and proxy\.cooldowns"),
        (
            {"target": {"tokens": 40_000}, "proxy": {"tokens": None, "flops": 1e9}},
            r"needs a search with proxy\.tokens and proxy\.cooldowns",
        ),
    ],
)
def test_a_target_that_cannot_be_foreseen_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        small_study(**{"proxy": {"cooldowns": [0.5], **changes.pop("proxy", {})}, **changes})


def test_a_directory_that_cannot_be_promoted_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = study_of(tmp_path / "study")
    study = parse_study(yaml.safe_load((directory / "study.yaml").read_text()))
    with pytest.raises(SpecError, match="--times must be above 1 and at most 8, found 9"):
        run_promotion(study, directory, study_text=(directory / "study.yaml").read_text(), times=9)
    with pytest.raises(SpecError, match=r"has no records\.jsonl yet"):
        run_promotion(study, tmp_path, study_text="", times=2)
    assert archfront.main(["promote", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_trains_the_front_longer_and_continues_where_it_was_stopped(
    trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path, directory = trained
    untimed = read_records(directory)
    (directory / RECORDS).unlink()
    for record in untimed:  # as if it had been timed, too
        append(directory, replace(record, latency=answer(TrialTask.of(record)).latency))
    command = ["promote", str(directory), "--study", str(path), "--times", "2", "--json"]
    assert archfront.main(command) == 0
    first = json.loads(capsys.readouterr().out)
    numbers = [shape["number"] for shape in first["shapes"]]
    stored = read_study(directory)
    assert numbers == members_and_near_ties(stored.front, estimate_membership(stored.front))
    assert [run.tokens for run in read_long_runs(directory, PROMOTED)] == [1280] * len(numbers)
    assert all(shape["after"] is not None for shape in first["shapes"])
    kept = (directory / PROMOTED).read_bytes()
    (directory / PROMOTED).write_bytes(kept[:-20])  # as if killed while the last line was written
    assert archfront.main(command) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert (directory / PROMOTED).read_bytes() == kept
    assert not read_long_runs(directory)  # these are no sample of the study's shapes, and judge no ranking
    assert archfront.main([*command[:-1], "--top", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()[1:2]) == 1


def test_the_most_telling_are_trained_one_after_another_in_sight_of_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, (_, true_qualities) = study_of(tmp_path / "study"), planted(3)
    asked: list[list[int]] = []

    def trained(records: Any, *_: Any) -> list[LongRun]:
        """What the long trainings of these trials measure, without luck."""
        asked.append([record.number for record in records])
        runs = [
            LongRun(
                number=record.number, architecture_key=record.architecture.key, times=4.0, seed=1000, tokens=4 * WHOLE,
                bits_per_byte=true_qualities[record.number, 2],
            )
            for record in records
        ]  # fmt: skip
        for run in runs:
            append_line(directory / PROMOTED, asdict(run))
        return runs

    monkeypatch.setattr("trials.experiments.promote.long_runs", trained)
    alone = read_study(directory).forecast
    assert isinstance(alone, FrontForecast)
    command = ["promote", str(directory), "--times", "4", "--json", "--most-telling"]
    assert archfront.main([*command, "3"]) == 0
    first = {shape["number"] for shape in json.loads(capsys.readouterr().out)["shapes"]}
    workers = read_study(directory).study.workers.count
    assert [len(some) for some in asked] == [min(workers, 3 - done) for done in range(0, 3, workers)]
    assert asked[0] == alone.next_of_target_length(read_study(directory).front.points)[:workers]
    assert archfront.main([*command, "4"]) == 0
    assert {shape["number"] for shape in json.loads(capsys.readouterr().out)["shapes"]} == first | set(asked[-1])
    assert len(asked[-1]) == 1
    found = read_study(directory).forecast
    assert isinstance(found, FrontForecast)
    assert found.longer == 4
    asked.clear()
    assert archfront.main([*command, "6", "--times", "2", "--top", "2"]) == 0
    likeliest = sorted(read_study(directory).membership.posteriors.items(), key=lambda item: -item[1].on_front)[:2]
    assert {number for some in asked for number in some} <= {number for number, _ in likeliest}
    capsys.readouterr()
    assert archfront.main(["report", str(directory), "--verbose"]) == 0
    assert "4 of these shapes were measured there" in " ".join(capsys.readouterr().out.split())
