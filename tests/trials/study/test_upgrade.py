"""Studies and records of an earlier schema: read, reported, exported and continued where they lie, refused in a person's file."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

import archfront
from analysis.laws.options import FitOptions
from analysis.records.record import FINALS, RECORDS, FinalRecord, Kind, TrialRecord, read_finals, read_records
from analysis.records.upgrade import SCHEMA, upgraded_record
from search_space.architecture import Architecture
from search_space.errors import SpecError
from tests.support import fakes
from trials.driver.run_study import run_study
from trials.experiments.lr_check import _digest
from trials.reporting.stored_study import read_study
from trials.study.ablation_spec import load_ablation
from trials.study.load_study import STUDY, load_study, parse_stored, parse_study
from trials.study.spec import ProxySpec
from trials.study.upgrade import RENAMED, require_new_keys, upgraded
from trials.training.conditions import Conditions
from trials.training.mode import TrainingMode
from trials.training.tally import Tally
from trials.trial.checkpoint import checkpoint_key
from trials.trial.task import TrialTask
from trials.trial.training_index import TrainingText, training_key

DATA = Path(__file__).resolve().parents[2] / "data" / "schema-1"
pytestmark = pytest.mark.filterwarnings("default::ResourceWarning", "ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")


@pytest.fixture
def search(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "search", tmp_path / "search"))


@pytest.fixture
def scaling(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "scaling", tmp_path / "scaling"))


def raw(directory: Path, file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / file).read_text().splitlines()]


def at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def test_a_stored_study_says_under_todays_keys_what_it_said_under_those_of_before() -> None:
    old = yaml.safe_load((DATA / "search" / STUDY).read_text())
    assert {key for table in RENAMED for key in table} == {key for table in RENAMED for key in table if at(old, key) is not None}
    new = parse_stored((DATA / "search" / STUDY).read_text()).model_dump(mode="json")
    for table in RENAMED:
        for before, now in table.items():
            said = at(old, before)
            for key, value in said.items() if isinstance(said, dict) else [("", said)]:
                assert now is None or at(new, f"{now}.{key}".strip(".")) == value, before


def test_an_upgrade_leaves_what_it_was_given_and_drops_what_says_nothing() -> None:
    old = {"objectives": {"limits": {"latency_ms": None}}, "search": {"workers": 3, "trials": 2}, "proxy": {}}
    kept = json.dumps(old)
    assert upgraded(old) == {"search": {"trials": 2}, "workers": {"count": 3}, "proxy": {}}
    assert json.dumps(old) == kept
    assert upgraded({"objectives": {"bogus": 1}}) == {"objectives": {"bogus": 1}}, "nobody's key is left for the reader to refuse"


@pytest.mark.parametrize(("old", "new"), [each for table in RENAMED for each in table.items()])
def test_an_old_key_in_a_persons_file_is_refused_with_the_new_one(old: str, new: str | None) -> None:
    values: Any = 1
    for part in reversed(old.split(".")):
        values = {part: values}
    cure = f"study.yaml: leave out {old}" if new is None else f"study.yaml: {old} moved: write {new}"
    with pytest.raises(SpecError) as caught:
        require_new_keys(values, "study.yaml")
    assert str(caught.value) == cure
    section = old.partition(".")[0]
    there = fakes.VALUES.get(section, {})
    with pytest.raises(SpecError) as caught:
        parse_study({**fakes.VALUES, section: {**there, **values[section]}}, "study.yaml")
    assert str(caught.value) == cure


def test_all_old_keys_of_a_file_are_named_at_once(search: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_study(search / STUDY)
    said = str(caught.value)
    assert all(key in said for table in RENAMED for key in table)
    assert "proxy.cooldowns, search.rungs, workers.count" in said
    assert parse_stored((search / STUDY).read_bytes()).search.trials == 8


def test_a_recipe_of_an_ablation_has_the_new_keys_too(tmp_path: Path) -> None:
    source = Path(__file__).resolve().parents[3] / "studies" / "mobilellm" / "mlp.yaml"
    values = yaml.safe_load(source.read_text())
    values["scales"]["proxy"]["proxy"]["rungs"] = [0.5]
    (tmp_path / "mlp.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(SpecError, match=r"mlp\.yaml: scales\.proxy\.proxy\.rungs moved: write scales\.proxy\.proxy\.cooldowns"):
        load_ablation(tmp_path / "mlp.yaml")


def test_lines_of_schema_1_are_read_under_todays_names() -> None:
    lines, records = raw(DATA / "search", RECORDS), {record.number: record for record in read_records(DATA / "search")}
    for line in lines:
        training, record = line["training"], records[line["number"]]
        assert record.training is not None
        assert (
            [cooldown.tokens for cooldown in record.training.cooldowns] == [rung["tokens"] for rung in training["rungs"]] == [2_048, 4_096]
        )
        assert record.as_dict()["schema"] == SCHEMA == 2
        assert TrialRecord.from_dict(record.as_dict()) == record
    finals = read_finals(DATA / "search")
    last = {line["number"]: line for line in raw(DATA / "search", FINALS)}
    for number, final in finals.items():
        assert [point.factor for point in final.learning_rate_bracket] == [point["factor"] for point in last[number]["rate_bracket"]]
        assert (final.fresh_seed and final.fresh_seed.seed) == (last[number]["fresh"] and last[number]["fresh"]["seed"])
        assert FinalRecord.from_dict(final.as_dict()) == final
    assert any(final.learning_rate_bracket and final.fresh_seed for final in finals.values())
    assert {line["kind"] for line in raw(DATA / "scaling", RECORDS)} == {"rung"}
    assert {record.kind for record in read_records(DATA / "scaling")} == {Kind.GRID}


@pytest.mark.parametrize("schema", [0, SCHEMA + 1, None, "1"])
def test_a_schema_that_is_not_known_is_refused(schema: object) -> None:
    with pytest.raises(SpecError, match="a record must have a schema from 1 to 2"):
        upgraded_record({"schema": schema})


def test_a_directory_of_schema_1_is_reported_and_not_written_to(search: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in search.iterdir() if path.is_file()}
    assert archfront.main(["report", str(search), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["trial"] for row in rows if row["on_front"]}
    page = (search / "report.html").read_text(encoding="utf-8")
    for part in (
        "After longer training",
        "stopped early",
        "With a fresh seed",
        "replicate of #5",
        "2 times longer",
        "half and twice the learning rate",
    ):
        assert part in page, part
    assert all((search / name).read_bytes() == content for name, content in before.items())


def test_a_scaling_study_of_schema_1_is_reported_and_fitted(
    scaling: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.law_report.law_study_page.FitOptions", partial(FitOptions, refits=200))
    assert archfront.main(["report", str(scaling), "--json"]) == 0
    losses = json.loads(capsys.readouterr().out)["losses"]
    assert len(losses) == 12
    assert (scaling / "report.html").exists()
    assert archfront.main(["fit", str(scaling), "--form", "chinchilla", "--refits", "200"]) == 0


@pytest.mark.slow
def test_a_trial_of_schema_1_is_exported(search: Path, tmp_path: Path) -> None:
    assert archfront.main(["export", str(search), "--trial", "0", "--format", "hf", "--output", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_directory_of_schema_1_is_continued_and_its_lines_stay(search: Path, tracking: str) -> None:
    before = (search / RECORDS).read_bytes()
    values: Any = upgraded(yaml.safe_load((search / STUDY).read_text()))
    values["search"]["trials"] = 9
    values["workers"] |= {"count": 2, "deadline_seconds": 800}
    text = yaml.safe_dump(values)
    result = run_study(parse_study(values), search, study_text=text, tracking_uri=tracking, evaluate=fakes.with_a_curve)
    after = (search / RECORDS).read_bytes()
    assert after.startswith(before)
    added = [json.loads(line) for line in after[len(before) :].splitlines()]
    assert [(line["number"], line["schema"], "cooldowns" in line["training"]) for line in added] == [(11, 2, True)]
    assert len(result.records) == 12
    assert (search / STUDY).read_text() == text
    assert len(read_study(search).records) == 12


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_study_of_schema_1_that_is_whole_trains_nothing_more(scaling: Path, tracking: str) -> None:
    before = (scaling / RECORDS).read_bytes()
    values: Any = upgraded(yaml.safe_load((scaling / STUDY).read_text()))
    run_study(parse_study(values), scaling, study_text=yaml.safe_dump(values), tracking_uri=tracking, evaluate=fakes.plausible)
    assert (scaling / RECORDS).read_bytes() == before


SHAPE = Architecture(
    vocab_size=300, hidden_size=32, num_unique_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8, intermediate_size=64
)
BRANCHED = ProxySpec(tokens=20_000, cooldowns=(0.25, 0.5), learning_rate=1e-5)


@pytest.mark.parametrize(
    ("proxy", "key", "rates"),
    [
        (ProxySpec(tokens=20_000), "6f8ad77c3a7be6772f15e483868cfd7c8f527d1aeaef94d97838b4cf99ff1e6d", "ecc57c3f9e04"),
        (BRANCHED, "21e2970d310aa41565f1ca83487c6e56f008e10d187210a286f65bbc574e1494", "727a8f0ad8d3"),
    ],
)
def test_a_training_has_the_key_that_it_had_before_its_words_changed(
    proxy: ProxySpec, key: str, rates: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digests are those that the code of schema 1 gave; numbers that say what changed since, and no words, are those of then."""
    monkeypatch.setattr("trials.trial.training_index.MEANING", 1)
    monkeypatch.setattr("trials.trial.training_index.CORPUS_FORMAT", 1)
    text = TrainingText(corpus_sha256="c" * 64, tokenizer_sha256="t" * 64, validations={"held": "v" * 64})
    mode = TrainingMode(precision="float32", threads=1, compile=False)
    assert training_key(SHAPE, 3, proxy, mode, "cpu", text) == key
    assert _digest(proxy, "text") == rates


def test_a_training_that_is_under_way_is_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.__version__", "2.13.0")
    task = TrialTask(number=2, kind=Kind.GRID, name="thin", architecture=SHAPE, seed=0, tokens=4_096)
    blocks = cast(Any, SimpleNamespace(corpus_sha256="c" * 64))
    key = "5664f99ed0fcf59cb8018aa04948419911ac0c46c041a9f78bf2dcce25f865e9"
    assert checkpoint_key(task, BRANCHED, blocks, Conditions()) == key
    state = Tally().as_dict() | {"cooldowns": [{"tokens": 64, "loss": 3.0, "bits_per_byte": 2.0}]}
    old = {("rungs" if name == "cooldowns" else name): value for name, value in state.items()}
    assert Tally.from_dict(old) == Tally.from_dict(state)
    assert Tally.from_dict(old).cooldowns[0].tokens == 64
