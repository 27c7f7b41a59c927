"""A deadline that would cut every trial is refused before the first step; one that cuts some is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

import archfront
from search_space.architecture import Architecture
from search_space.errors import SpecError
from tests.support.fakes import VALUES, small_study
from tests.support.planted_pace import planted_row
from trials.driver.stage_keeping import foretell
from trials.plans.check_study import check
from trials.plans.foretell import ExpectedTrials
from trials.plans.known_paces import ready_paces
from trials.plans.pace_measure import Timed
from trials.plans.plan_study import plan_study
from trials.study.spec import StudySpec

SAID = "workers.deadline_seconds must leave a trial the time that it takes on this machine, found "


def least(study: StudySpec) -> float:
    """Seconds of the quickest of its trials, by the paces that are kept from then on."""
    expected = ExpectedTrials(study, check(study))
    known = ready_paces(study, expected.shapes)
    assert known is not None
    return min(trial.counted for trials in expected.seconds(known) for trial in trials)


def test_the_gate_refuses_by_the_table_in_the_words_of_plan_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, _ = small_study()
    limit = 0.9 * least(study)
    values = {**VALUES, "workers": {**VALUES["workers"], "deadline_seconds": limit}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values))
    said = []
    for verb in (["plan"], ["run", "--directory", str(tmp_path / "run")]):
        assert archfront.main([*verb, str(tmp_path / "study.yaml")]) == 2
        said.append(capsys.readouterr().err)
    assert said[0] == said[1]
    assert f"{SAID}{limit:g} where the quickest of 102 shapes looked at takes about" in said[0]
    assert not (tmp_path / "run").exists()


def test_without_a_table_a_plan_times_and_refuses_in_the_same_words() -> None:
    study, _ = small_study(workers={"deadline_seconds": 0.05})
    check(study)  # nothing is known yet
    with pytest.raises(SpecError, match=SAID):
        plan_study(study)
    with pytest.raises(SpecError, match=SAID):
        check(study)


def test_a_plan_refuses_nothing_that_a_calibration_may_have_go_quicker() -> None:
    study, _ = small_study(workers={"deadline_seconds": 0.05}, proxy={"compile": "auto"})
    check(study)
    assert any("102 of 102 shapes looked at would be cut by workers.deadline_seconds" in notice for notice in plan_study(study).notices)


def test_without_a_table_a_run_that_is_in_doubt_times_where_trials_run(tmp_path: Path) -> None:
    def timed(study: StudySpec, shapes: Sequence[Architecture]) -> Timed:
        return Timed(paces=tuple(planted_row(shape, study.proxy) for shape in shapes), import_seconds=1.0, timed_seconds=0.0)

    short, _ = small_study(workers={"deadline_seconds": 0.05})
    with pytest.raises(SpecError, match=SAID):
        foretell(short, tmp_path, check(short), [], {}, timed, share=1.0)
    usual, _ = small_study()
    assert foretell(usual, tmp_path, check(usual), [], {}, lambda *_: pytest.fail("timed"), share=1.0) is None


def test_a_deadline_that_cuts_some_is_told() -> None:
    study, _ = small_study()
    shortest = least(study)
    tight = study.model_copy(update={"workers": study.workers.model_copy(update={"deadline_seconds": 1.3 * shortest})})
    said = [notice for notice in plan_study(tight).notices if "workers.deadline_seconds" in notice]
    assert len(said) == 1
    assert "would be cut by" in said[0]
    assert not any("workers.deadline_seconds" in notice for notice in plan_study(study).notices)


def test_another_machines_study_is_not_judged_by_this_ones_table() -> None:
    study, _ = small_study()
    tight = study.model_copy(update={"workers": study.workers.model_copy(update={"deadline_seconds": 0.5 * least(study)})})
    check(tight, trains_here=False)
    with pytest.raises(SpecError, match=SAID):
        check(tight)


@pytest.mark.parametrize("mode", [{"precision": "float32", "compile": False}, {"precision": "auto", "compile": "auto"}])
def test_a_study_of_gpus_is_planned_without_its_time_where_there_is_none(mode: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    study, _ = small_study(workers={"gpus": 1, "deadline_seconds": 0.05}, proxy=mode)
    plan = plan_study(study)
    assert plan.time.estimated_seconds is None
    assert "time        not known: the study trains on a GPU" in str(plan)
    assert "these are seconds of" not in str(plan)
