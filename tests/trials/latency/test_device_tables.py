"""A study that searches with a frozen table: its proposals follow predicted latencies, and replay whatever was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
import yaml

from analysis.latency.device_table import DeviceTable, Row, append_row, read_table
from analysis.records.latency import Spread
from analysis.records.record import Kind, TrialRecord, append
from search_space.architecture import Architecture
from search_space.errors import SpecError
from tests.support.fakes import answer, small_study
from tests.support.planted_device import planted_latency
from trials.jobs.shipment import pack
from trials.latency.device_tables import FROZEN, device_folder, find_table, frozen_table, require_table
from trials.plans.plan_study import plan_study
from trials.search.proposer import Proposer
from trials.search.samplers import SAMPLERS
from trials.study.load_study import load_study, parse_study
from trials.trial.task import TrialTask, plain

STUDY, TEXT = small_study()
SPACE = STUDY.search_space
LATENCY = STUDY.latency


def write_table(path: Path, count: int = 12, **changes: object) -> DeviceTable:
    facts = {"runtime": LATENCY.runtime, "prompt_tokens": LATENCY.prompt_tokens, "new_tokens": LATENCY.new_tokens, **changes}
    for shape in SPACE.sample(count, 7):
        append_row(path, Row(architecture=shape, role="fit", latency=planted_latency(shape, **facts)))  # type: ignore[arg-type]
    return read_table(path)


def with_table(name: str) -> str:
    """The study's text with a table."""
    values = yaml.safe_load(TEXT)
    values["search"]["latency_table"] = name
    return yaml.safe_dump(values)


def slower(record: TrialRecord) -> TrialRecord:
    """The record of a machine on which every shape took another time."""
    assert record.latency is not None
    ms = 100.0 / (1 + record.number)
    return dataclasses.replace(record, latency=dataclasses.replace(record.latency, total_ms=Spread(median=ms, p10=ms, p90=ms)))


def search(proposer: Proposer, count: int, moved: bool) -> list[TrialRecord]:
    records: list[TrialRecord] = []
    for number in range(count):
        proposal = proposer.propose(number, records, [])
        assert proposal is not None
        record = answer(TrialTask(number=number, kind=Kind.SAMPLED, point=plain(proposal[0]), architecture=proposal[1], seed=0))
        records.append(slower(record) if moved else record)
    return records


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_proposals_replay_whatever_is_measured(sampler: str, tmp_path: Path) -> None:
    exact = {"total_ms": write_table(tmp_path / "table.jsonl").model.milliseconds}
    one, other = ([r.architecture for r in search(Proposer(SPACE, 0, sampler, exact=exact), 24, moved)] for moved in (False, True))
    assert one == other
    assert len(set(one)) == 24
    if sampler in ("front", "nsga2"):
        learnt, again = ([r.architecture for r in search(Proposer(SPACE, 0, sampler), 24, moved)] for moved in (False, True))
        assert learnt != again


def test_all_shapes_of_a_space_are_predicted_as_each_alone(tmp_path: Path) -> None:
    model = write_table(tmp_path / "table.jsonl").model
    shapes = [shape for _, shape in SPACE.table()][:30]
    assert model.milliseconds(shapes) == pytest.approx([prediction.total.ms for prediction in model.predict(shapes)])
    assert len(model.milliseconds([])) == 0


def test_the_copy_in_the_directory_is_what_counts(tmp_path: Path) -> None:
    source, directory = tmp_path / "table.jsonl", tmp_path / "study"
    table = write_table(source)
    study = STUDY.model_copy(update={"search": STUDY.search.model_copy(update={"latency_table": str(source)})})
    assert frozen_table(STUDY, directory) is None
    first = frozen_table(study, directory)
    assert first is not None
    assert first.rows == table.rows
    write_table(source, 20)
    later = frozen_table(study, directory)
    assert later is not None
    assert later.rows == table.rows
    source.unlink()
    assert frozen_table(study, directory) is not None
    assert (directory / FROZEN).is_file()


def test_a_table_of_another_workload_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "table.jsonl", prompt_tokens=LATENCY.prompt_tokens + 1)
    study = STUDY.model_copy(update={"search": STUDY.search.model_copy(update={"latency_table": str(tmp_path / "table.jsonl")})})
    with pytest.raises(SpecError, match=r"search\.latency_table must be measured as the study measures: prompt_tokens is"):
        frozen_table(study, tmp_path / "study")
    assert not (tmp_path / "study" / FROZEN).exists()


def test_a_table_with_too_few_shapes_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    write_table(tmp_path / "table.jsonl", 3)
    study = STUDY.model_copy(update={"search": STUDY.search.model_copy(update={"latency_table": str(tmp_path / "table.jsonl")})})
    with pytest.raises(SpecError, match="table must hold at least 8 measured shapes, found 3"):
        plan_study(study)
    with pytest.raises(SpecError, match="table must hold at least 8 measured shapes, found 3"):
        frozen_table(study, tmp_path / "study")
    assert not (tmp_path / "study" / FROZEN).exists()


def test_a_command_names_its_runtime_itself(tmp_path: Path) -> None:
    write_table(tmp_path / "table.jsonl", runtime="the phone's own", protocol="command-1")
    latency = LATENCY.model_copy(update={"runtime": "command", "command": ("measure",)})
    values = {"search": STUDY.search.model_copy(update={"latency_table": str(tmp_path / "table.jsonl")})}
    by_command = STUDY.model_copy(update={**values, "latency": latency})
    assert frozen_table(by_command, tmp_path / "study") is not None
    with pytest.raises(SpecError, match=f"runtime is '{LATENCY.runtime}', in the table \"the phone's own\""):
        require_table(STUDY.model_copy(update=values))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
def test_a_misspelt_table_does_not_take_the_directory(tmp_path: Path) -> None:
    from trials.driver.run_study import run_study

    text = with_table(str(tmp_path / "tabel.jsonl"))
    with pytest.raises(SpecError, match=r"tabel\.jsonl is not a file"):
        run_study(parse_study(yaml.safe_load(text)), tmp_path / "study", study_text=text, evaluate=answer)
    assert not (tmp_path / "study").exists()


def test_trials_without_the_table_that_proposed_them_are_not_continued(tmp_path: Path) -> None:
    write_table(tmp_path / "table.jsonl")
    study = STUDY.model_copy(update={"search": STUDY.search.model_copy(update={"latency_table": str(tmp_path / "table.jsonl")})})
    append(tmp_path, answer(TrialTask(number=0, kind=Kind.SAMPLED, architecture=SPACE.sample(1, 0)[0], seed=0)))
    with pytest.raises(SpecError, match=r"has records\.jsonl but no latency_table\.jsonl that proposed them; restore it"):
        frozen_table(study, tmp_path)


@pytest.mark.parametrize("name", ["x-1.0m", "folder/phone", "phone.jsonl", "phone"])
def test_a_table_is_named_alike_everywhere(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    home, cluster = tmp_path / "home", tmp_path / "cluster"
    (home / "folder").mkdir(parents=True)
    cluster.mkdir()
    by_file = name in ("folder/phone", "phone.jsonl")
    table = write_table(home / name if by_file else device_folder() / f"{name}.jsonl")
    (home / "study.yaml").write_text(with_table(name), encoding="utf-8")
    named = load_study(home / "study.yaml").search.latency_table
    assert named is not None
    assert find_table(named).rows == table.rows
    if by_file:
        assert (cluster / pack(home / "study.yaml", cluster)).parent.joinpath(name).is_file()
    else:
        with pytest.raises(SpecError, match=f"{name} is a name on this machine"):
            pack(home / "study.yaml", cluster)


def test_only_shapes_that_are_looked_at_are_predicted(tmp_path: Path) -> None:
    model = write_table(tmp_path / "table.jsonl").model
    asked: list[Architecture] = []

    def predict(shapes: Sequence[Architecture]) -> Iterable[float]:
        asked.extend(shapes)
        return model.milliseconds(shapes)

    for sampler in ("random", "nsga2"):
        asked.clear()
        tried = {record.architecture for record in search(Proposer(SPACE, 0, sampler, exact={"total_ms": predict}), 14, False)}
        assert set(asked) <= tried
        assert len(asked) == len(set(asked)) <= (0 if sampler == "random" else 13)


def test_a_plan_tells_of_a_table_that_is_not_there(tmp_path: Path) -> None:
    study = STUDY.model_copy(update={"search": STUDY.search.model_copy(update={"latency_table": str(tmp_path / "table.jsonl")})})
    with pytest.raises(SpecError, match=r"table\.jsonl is not a file; name a table that `archfront profile-device` has made"):
        plan_study(study)


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.filterwarnings("default::ResourceWarning", "ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
def test_a_study_that_searches_with_a_table_measures_every_trial(tmp_path: Path) -> None:
    from trials.driver.run_study import run_study

    write_table(tmp_path / "table.jsonl")
    text = with_table(str(tmp_path / "table.jsonl"))
    study = parse_study(yaml.safe_load(text))
    result = run_study(study, tmp_path / "study", study_text=text, evaluate=answer)
    assert result.failure is None
    assert len(result.records) == result.planned
    for record in result.records:
        assert record.latency == answer(TrialTask(number=0, kind=Kind.SAMPLED, architecture=record.architecture, seed=0)).latency
    assert read_table(tmp_path / "study" / FROZEN).rows == read_table(tmp_path / "table.jsonl").rows


def test_the_file_is_named_relative_to_the_study_and_travels_with_it(tmp_path: Path) -> None:
    home, cluster = tmp_path / "home", tmp_path / "cluster"
    home.mkdir()
    cluster.mkdir()
    write_table(home / "table.jsonl")
    (home / "study.yaml").write_text(with_table("table.jsonl"), encoding="utf-8")
    assert load_study(home / "study.yaml").search.latency_table == str(home / "table.jsonl")
    packed = pack(home / "study.yaml", cluster)
    assert (cluster / packed).with_name("table.jsonl").read_bytes() == (home / "table.jsonl").read_bytes()
    (home / "study.yaml").write_text(with_table("phone"), encoding="utf-8")
    assert load_study(home / "study.yaml").search.latency_table == "phone"
    (tmp_path / "again").mkdir()
    with pytest.raises(SpecError, match="phone is a name on this machine; copy the table beside the study's file"):
        pack(home / "study.yaml", tmp_path / "again")
