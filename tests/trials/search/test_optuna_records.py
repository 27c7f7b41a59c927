"""A study's records as Optuna's own study: what its dashboard and a person's own analysis find there. About 6 s."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from analysis.fronts.front import front_of
from analysis.records.record import FinalRecord, Kind, Outcome, TrialRecord
from search_space.errors import SpecError
from tests.support import fakes
from trials.search.optuna_records import WRITTEN_BY, distribution_of, write_optuna_study
from trials.search.shape_table import ShapeTable
from trials.study.spec import StudySpec
from trials.trial.task import TrialTask, plain


def small(count: int = 6, **changes: object) -> tuple[StudySpec, list[TrialRecord]]:
    study, _ = fakes.small_study(**changes)
    table = ShapeTable(study.search_space)
    records = []
    for number in range(count):
        point, shape = table[number * 7]
        task = TrialTask(number=number, kind=Kind.SAMPLED, architecture=shape, seed=0, point=plain(point))
        records.append(fakes.answer(task))
    records[1] = dataclasses.replace(records[1], outcome=Outcome.STOPPED, reason="unlikely")
    records[2] = dataclasses.replace(records[2], outcome=Outcome.FAILED, reason="broken")
    records[3] = dataclasses.replace(records[3], kind=Kind.REFERENCE, name="deep-thin", point=None)
    return study, records


def test_optuna_reads_values_states_distributions_and_attributes(tmp_path: Path) -> None:
    study, records = small()
    uri, finals = f"sqlite:///{tmp_path}/x.db", dict[int, FinalRecord]()
    assert write_optuna_study(study, records, finals, uri) == study.name
    read = optuna.load_study(study_name=study.name, storage=uri)
    front = front_of(records, finals, study.problem)
    assert [direction.name for direction in read.directions] == ["MINIMIZE", "MINIMIZE"]
    assert read.metric_names == list(study.problem.names)
    assert [trial.state for trial in read.trials[:3]] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert sorted(trial.number for trial in read.best_trials) == sorted(front.members)
    for record, trial in zip(records, read.trials, strict=True):
        assert trial.user_attrs["shape"] == record.architecture.label
        assert trial.user_attrs["architecture"] == record.architecture.as_dict() | {"layer_types": [*record.architecture.layer_types]}
        assert trial.params.keys() == (set() if record.point is None else {each.name for each in study.search_space.free})
        if record.finished:
            assert tuple(trial.values) == front.points[record.number].values
        if record.point is not None:
            assert trial.params["hidden_size"] == record.point["hidden_size"]
        assert trial.duration is not None
        assert trial.duration.total_seconds() == pytest.approx(record.wall_seconds, abs=1e-5)


def test_what_was_written_is_replaced_and_what_others_wrote_is_not(tmp_path: Path) -> None:
    study, records = small()
    uri = f"sqlite:///{tmp_path}/x.db"
    for seen in (records[:2], records):
        write_optuna_study(study, seen, {}, uri)
        assert len(optuna.load_study(study_name=study.name, storage=uri).trials) == len(seen)
    own = f"sqlite:///{tmp_path}/own.db"
    optuna.create_study(study_name=study.name, storage=own)
    with pytest.raises(SpecError, match="must name a database without another study of the name small"):
        write_optuna_study(study, records, {}, own)
    assert WRITTEN_BY not in optuna.load_study(study_name=study.name, storage=own).user_attrs
    with pytest.raises(SpecError, match="must name a database that can be written, found that"):
        write_optuna_study(study, records, {}, f"sqlite:///{tmp_path}/nowhere/x.db")


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql+nodriver://user:hunter2hunter2@host/x",
        "nothing://user:hunter2hunter2@host/x",
        "sqlite:////proc/no-such-folder/x.db?password=hunter2hunter2",
        "mysql://user:hunter2hunter2@[host/x",
    ],
)
def test_a_database_that_cannot_be_written_is_told_without_the_password(uri: str) -> None:
    study, records = small()
    with pytest.raises(SpecError, match="must name a database that can be written") as refused:
        write_optuna_study(study, records, {}, uri)
    assert "hunter2" not in str(refused.value)


def test_an_objective_that_is_better_higher_is_maximised(tmp_path: Path) -> None:
    study, records = small(objectives=["next_token_accuracy", "total_ms"])
    uri = f"sqlite:///{tmp_path}/x.db"
    write_optuna_study(study, records, {}, uri)
    read = optuna.load_study(study_name=study.name, storage=uri)
    assert [direction.name for direction in read.directions] == ["MAXIMIZE", "MINIMIZE"]


@pytest.mark.parametrize(
    ("choices", "ordered", "said"),
    [
        ((32, 40, 48), True, "IntDistribution(high=48, log=False, low=32, step=8)"),
        ((1, 2, 4), True, "IntDistribution(high=4, log=False, low=1, step=1)"),
        ((0.5, 1.0), True, "FloatDistribution(high=1.0, log=False, low=0.5, step=None)"),
        (("swiglu", "relu"), False, "CategoricalDistribution(choices=('swiglu', 'relu'))"),
        ((True, False), True, "CategoricalDistribution(choices=(True, False))"),
        (({"strategy": "reverse"}, "none"), False, "CategoricalDistribution(choices=('{\"strategy\": \"reverse\"}', 'none'))"),
    ],
)
def test_choices_are_ranges_where_they_are_ordered_numbers(choices: tuple[object, ...], ordered: bool, said: str) -> None:
    assert str(distribution_of(choices, ordered)) == said
