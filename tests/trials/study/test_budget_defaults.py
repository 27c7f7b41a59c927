"""What a study leaves open follows its budget, what it names stays, and a directory keeps what was filled in."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from search_space.cost import parameters
from search_space.errors import SpecError
from trials.plans.check_study import check
from trials.plans.notices import filled_in_texts, left_open_notices, study_notices
from trials.study import budget_defaults
from trials.study.budget_defaults import ROWS, SizeDefaults, open_choices, row_of
from trials.study.directory import claim
from trials.study.load_study import BEGUN, STUDY, load_begun, load_stored, load_study, parse_stored, parse_study
from trials.study.spec import StudySpec

ROOT = Path(__file__).resolve().parents[3]
BARE = {"name": "bare", "corpus": {"name": "python-stdlib"}, "search": {"trials": 4}}
NAMED: dict[str, dict[str, Any]] = {
    "space": {
        "vocab_size": 600,
        "num_unique_layers": [3, 4],
        "hidden_size": {"solve": True, "multiple_of": 8},
        "intermediate_size": {"ratio_of_hidden": [2.0, 3.0]},
        "sharing": "none",
        "head_dim": [8, 16],
        "num_attention_heads": [1, 2, 4],
        "num_key_value_heads": [1],
    },
    "proxy": {"tokens_per_parameter": 3, "context_tokens": 48, "batch_sequences": 5},
}


def bare(budget: object = 1_000_000, **changes: Any) -> dict[str, Any]:
    return {**BARE, "budget": {"parameters": budget}, **changes}


def load(folder: Path, values: object) -> StudySpec:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(values))
    return load_study(path)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.parameters:,}")
def test_a_study_that_names_nothing_has_many_shapes_of_its_size_and_none_that_nobody_would_build(row: SizeDefaults, tmp_path: Path) -> None:
    study = load(tmp_path, bare(row.parameters))
    shapes = study.search_space.sample(50)
    assert len(shapes) == 50
    for shape in shapes:
        assert abs(parameters(shape) / row.parameters - 1) <= 0.01
        assert shape.num_attention_heads >= 2
        assert shape.intermediate_size >= shape.hidden_size
    assert any(shape.num_key_value_heads < shape.num_attention_heads for shape in shapes)
    assert {shape.sharing.repeats for shape in shapes} == {1, 2}
    assert study.proxy.context_tokens == row.context_tokens
    assert study.proxy.batch_sequences * study.proxy.context_tokens == row.step_tokens


def test_vocabularies_and_steps_are_those_of_their_sources() -> None:
    for row in ROWS:
        width = sum(row.hidden_size[:2]) / 2
        vocabulary = 0.13e9 * (row.parameters / 3e9) ** 0.83 / width  # arXiv 2407.13623: 43,000 entries at 3B, exponent 0.83
        if row.parameters < 125_000_000:
            assert 0.5 < row.vocab_size / vocabulary < 2
        tokens = row.parameters * row.tokens_per_parameter
        assert 0.5 < row.step_tokens / (0.58 * tokens**0.571) < 2  # arXiv 2503.04715


@pytest.mark.parametrize("ready", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_ready_study_passes_the_gate(ready: Path) -> None:
    check(load_study(ready), has_text=False)


def test_rows_grow_with_the_size_and_the_nearest_is_taken() -> None:
    for smaller, larger in pairwise(ROWS):
        assert smaller.parameters < larger.parameters
        assert smaller.vocab_size <= larger.vocab_size
        assert smaller.context_tokens <= larger.context_tokens
        assert smaller.step_tokens < larger.step_tokens
    assert [row_of(size).parameters for size in (1, 490_000, 510_000, 1e12)] == [250_000, 250_000, 1_000_000, 1_000_000_000]


@pytest.mark.parametrize(
    ("budget", "parameters"),
    [
        ({"parameters": {"at_most": "10M"}}, 10_000_000),
        ({"non_embedding_parameters": 9_000_000}, 10_000_000),
        ({"weight_bytes": {"target": "5MB", "precision": "int4"}}, 10_000_000),
        ({"flops_per_token": 2_000_000}, 1_000_000),
        ({"parameters": 125_000_000, "weight_bytes": {"at_most": "1GB"}}, 125_000_000),
    ],
)
def test_any_budget_has_a_size(budget: dict[str, object], parameters: int) -> None:
    assert open_choices(bare() | {"budget": budget})["space"]["vocab_size"] == row_of(parameters).vocab_size


@pytest.mark.parametrize(("section", "key"), [(section, key) for section, part in NAMED.items() for key in part])
def test_what_a_study_names_stays_as_it_is(section: str, key: str, tmp_path: Path) -> None:
    study = load(tmp_path, bare(**{section: {key: NAMED[section][key]}}))
    assert key not in study.defaults[section]
    there = study.space if section == "space" else study.proxy.model_dump()
    assert there[key] == NAMED[section][key]


@pytest.mark.parametrize("length", ["tokens", "flops", "seconds"])
def test_any_length_that_a_study_names_stays_the_only_one(length: str, tmp_path: Path) -> None:
    study = load(tmp_path, bare(proxy={length: 1_000_000}))
    assert study.proxy.tokens_per_parameter is None


@pytest.mark.parametrize("rate", ["learning_rate", "muon_learning_rate"])
def test_a_study_that_names_one_rate_has_the_other_as_it_stood_beside_it(rate: str, tmp_path: Path) -> None:
    assert load(tmp_path, bare()).proxy.learning_rate == load(tmp_path, bare()).proxy.muon_learning_rate == 0.02
    proxy = load(tmp_path, bare(proxy={rate: 0.04})).proxy
    assert proxy.learning_rate == proxy.muon_learning_rate == 0.04


def test_limits_of_shapes_stand_beside_named_ratios_and_can_be_lifted(tmp_path: Path) -> None:
    space = {"num_attention_heads": {"ratio_of_hidden": [0.25, 1.0]}, "intermediate_size": {"solve": True}}
    limited = load(tmp_path, bare(space=space)).search_space
    space = {"num_attention_heads": {"ratio_of_hidden": [0.25, 1.0], "from": 1}, "intermediate_size": {"solve": True, "ratio": [0.1, 6]}}
    lifted = load(tmp_path, bare(space=space)).search_space
    assert any("num_attention_heads below 2" in reason for reason in limited.explain().removed)
    assert min(shape.num_attention_heads for _, shape in limited.table()) == 2
    assert min(shape.num_attention_heads for _, shape in lifted.table()) == 1
    assert min(shape.intermediate_size / shape.hidden_size for _, shape in limited.table()) >= 1
    assert min(shape.intermediate_size / shape.hidden_size for _, shape in lifted.table()) < 1


def test_the_context_holds_the_workload_and_a_named_one_that_does_not_is_told(tmp_path: Path) -> None:
    study = load(tmp_path, bare(latency={"prompt_tokens": 500, "new_tokens": 20}))
    assert study.proxy.context_tokens == 544
    assert study.proxy.context_tokens % 32 == 0
    assert not any("is to read" in said for said in study_notices(study))
    study = load(tmp_path, bare(proxy={"context_tokens": 64}))
    assert any("proxy.context_tokens is 64, and latency is that of texts of 128 tokens" in said for said in study_notices(study))


def test_a_given_tokenizer_has_its_own_vocabulary() -> None:
    assert "vocab_size" not in open_choices(bare(corpus={"name": "python-stdlib", "tokenizer": ["mine.json"]}))["space"]


def test_what_was_filled_in_is_said() -> None:
    study = parse_study(bare(defaults=open_choices(bare())))
    [said] = left_open_notices(study)
    count = sum(map(len, study.defaults.values()))
    assert said.startswith(f"{count} choices are left open in space and proxy")
    assert len(said) < 120
    space, proxy = filled_in_texts(study)
    assert space.startswith("space: vocab_size 1024, ")
    assert "num_attention_heads {ratio_of_hidden: [1.0], from: 2}" in space
    assert proxy.startswith("proxy: ")


def test_a_directory_keeps_what_was_filled_in_when_its_study_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, directory = tmp_path / "mine.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump(bare()))
    study, _, text = load_begun(path, str(directory))
    with claim(directory, text):
        pass
    monkeypatch.setattr(budget_defaults, "ROWS", tuple(replace(row, vocab_size=row.vocab_size + 8) for row in ROWS))
    again, where, same = load_begun(path, str(directory))
    assert (again, where, same) == (study, directory, text)
    assert load_stored(directory).search_space.choices("vocab_size") == study.search_space.choices("vocab_size")
    assert load_study(path).search_space.choices("vocab_size") != study.search_space.choices("vocab_size")
    with claim(directory, same):
        pass


def test_nothing_is_filled_in_where_a_directory_began_without(tmp_path: Path) -> None:
    path, directory = tmp_path / "mine.yaml", tmp_path / "run"
    values = bare(proxy={"tokens": 4_096}, space={"vocab_size": 512})
    path.write_text(yaml.safe_dump(values))
    directory.mkdir()
    (directory / STUDY).write_bytes(path.read_bytes())
    study, _, text = load_begun(path, str(directory))
    assert study == parse_study(values)
    assert text == path.read_text()


def test_a_directory_that_lost_its_study_has_what_was_filled_in_from_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, directory = tmp_path / "mine.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump(bare()))
    with claim(directory, load_begun(path, str(directory))[2]):
        (directory / STUDY).unlink()
    monkeypatch.setattr(budget_defaults, "ROWS", tuple(replace(row, vocab_size=row.vocab_size + 8) for row in ROWS))
    with claim(directory, load_begun(path, str(directory))[2]):
        assert (directory / STUDY).read_bytes() == (directory / BEGUN).read_bytes()


@pytest.mark.parametrize("given", [3, [1], {"space": 4}, {"spice": {}}, {"space": {"vocab": 3}}, {"proxy": {"tokens": "many"}}])
def test_what_is_no_such_mapping_is_refused(given: object, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"defaults|vocab|tokens"):
        load(tmp_path, bare(space={}, proxy={}, defaults=given))


@pytest.mark.parametrize("broken", [{"budget": {"parameters": "many"}}, {"latency": {"runtime": "abacus"}}, {"space": 3}, {"proxy": [1]}])
def test_a_study_that_cannot_be_read_is_told_by_its_own_key(broken: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=next(iter(broken))):
        load(tmp_path, bare() | broken)


YAML_OF_BARE = yaml.safe_dump(bare())
FORMS = {
    "JSON": ("study.json", json.dumps(bare())),
    "JSON with tabs and escapes": ("study.json", json.dumps(bare(references=["deep-thin", "\U0001f600.json"]), indent="\t")),
    "braces": ("study.yaml", yaml.safe_dump(bare(), default_flow_style=True)),
    "indented": ("study.yaml", textwrap.indent(YAML_OF_BARE, "  ")),
    "with an end": ("study.yaml", f"---\n{YAML_OF_BARE}...\n"),
    "with a mark of the byte order": ("study.yaml", f"\ufeff{YAML_OF_BARE}"),
    "without a last line end": ("study.yaml", YAML_OF_BARE.rstrip("\n")),
    "with a remark at its end": ("study.yaml", f"{YAML_OF_BARE}# the end"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_study_of_whatever_form_begins_and_continues(form: str, tmp_path: Path) -> None:
    name, text = FORMS[form]
    path, directory = tmp_path / name, tmp_path / "run"
    path.write_text(text, encoding="utf-8")
    study, _, kept = load_begun(path, str(directory))
    with claim(directory, kept):
        stored = parse_stored((directory / STUDY).read_bytes())
        assert (stored.space, stored.proxy, stored.search) == (study.space, study.proxy, study.search)
    again, _, same = load_begun(path, str(directory))
    assert (again, same) == (study, kept)
    with claim(directory, same):
        pass
