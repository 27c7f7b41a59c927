"""Every verb that trains or plans goes through one gate: the same study, the same notices, before anything heavy is imported."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import archfront
from analysis.records.attempt import Attempt, append_attempt
from analysis.records.record import Outcome, append
from search_space.errors import SpecError
from tests.support.bad_studies import SHAPE, TEXT, values
from tests.support.given_tokenizers import PADDING, trained_definition
from tests.support.sample_study import sample_records
from trials.plans.check_study import check
from trials.plans.notices import left_open_notices, study_notices
from trials.study import budget_defaults
from trials.study.budget_defaults import ROWS
from trials.study.directory import claim
from trials.study.load_study import load_begun, load_study
from trials.study.spec import StudySpec

PUBLISHED = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 10_000.0,
    "vocab_size": 300, "hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 16,
    "intermediate_size": 140, "tie_word_embeddings": True, "attention_dropout": 0.1, "initializer_range": 0.3,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "a short context": {"proxy__context_tokens": 64},
    "a published reference": {"references": ["published.json"]},
    "a tokenizer that pads": {"corpus": {"files": ["text.txt"], "tokenizer": "./tokenizer.json"}},
    "open choices": {"space": {}, "budget": {"parameters": 1_000_000}},
}
PAST = "past the gate"
STAGE = re.compile(r" *\d+\.\d s  imports: waits for ")
"""What `run` says when the gate is passed."""
DOORS = {
    "run": "trials.driver.run_study.run_study",
    "lr-check": "trials.experiments.lr_check.run_rate_check",
    "validate": "trials.experiments.validate.run_validation",
    "promote": "trials.experiments.promote.run_promotion",
    "job submit run": "trials.jobs.submit.submit",
}
"""Verb -> what it calls once its study has passed."""


def written(kind: str, folder: Path) -> Path:
    """The study with what stands beside it."""
    (folder / "text.txt").write_text(TEXT)
    (folder / "published.json").write_text(json.dumps(PUBLISHED))
    (folder / "tokenizer.json").write_text(json.dumps(trained_definition(folder) | {"padding": PADDING}))
    (folder / "study.yaml").write_text(yaml.safe_dump(values(**KINDS[kind])))
    return folder / "study.yaml"


def asked(verb: str, study: Path) -> list[str]:
    directory = str(study.parent / "run")
    options = {
        "run": [str(study), "--directory", directory],
        "plan": [str(study), "--directory", directory, "--json"],
        "lr-check": [str(study), "--directory", directory],
        "validate": [str(study), "--directory", directory],
        "promote": [directory, "--study", str(study)],
        "job submit run": [str(study), "--directory", directory, "--address", "http://127.0.0.1:1"],
        "sample": [str(study), "-n", "1"],
    }
    return [*verb.split(), *options[verb]]


@pytest.mark.parametrize("kind", KINDS)
def test_every_verb_says_the_same_notices_before_it_begins(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(kind, tmp_path)
    study = load_study(path)
    notices = [f"archfront: {said}" for said in (*left_open_notices(study), *study_notices(study))]
    assert len(notices) == (1 if kind == "open choices" else 2)

    def begin(*_: object, **__: object) -> None:
        raise SpecError(PAST)

    for verb, door in DOORS.items():
        monkeypatch.setattr(door, begin)
        assert archfront.main(asked(verb, path)) == 2
        said = [line for line in capsys.readouterr().err.splitlines() if not STAGE.match(line)]
        assert said == [*notices, f"archfront: {PAST}"], verb
    assert archfront.main(asked("plan", path)) == 0
    planned = json.loads(capsys.readouterr().out)
    others = [*study_notices(study)]
    assert planned["notices"][: len(others)] == others
    assert bool(planned["filled_in"]) == (len(others) < len(notices)), "which choices are open is said in place of that some are"


def test_an_ablation_says_what_is_taken_off_its_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    written("a short context", tmp_path)
    arm = {name: value for name, value in SHAPE.items() if name != "intermediate_size"}
    scale = {"arms": {"a": {**arm, "intermediate_size": 140}, "b": {**arm, "intermediate_size": 144}}, "proxy": {"tokens": 4096}}
    ablation = {"name": "a", "question": "q", "baseline": "a", "published": {"source": "s"}, "scales": {"proxy": scale}}
    ablation["corpus"] = {"files": ["text.txt"], "tokenizer": "./tokenizer.json"}
    (tmp_path / "ablation.yaml").write_text(yaml.safe_dump(ablation))

    def begin(*_: object, **__: object) -> None:
        raise SpecError(PAST)

    monkeypatch.setattr("trials.experiments.ablation.run_ablations", begin)
    assert archfront.main(["ablate", str(tmp_path / "ablation.yaml"), "--directory", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert re.search(r"(: padding is|and padding are) taken off, in training", said[0])
    assert said[1] == f"archfront: {PAST}"


@pytest.mark.parametrize("verb", [*DOORS, "plan", "sample"])
def test_what_a_study_left_open_is_what_its_directory_began_with(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = written("open choices", tmp_path)
    begun, _, text = load_begun(path, None)
    for directory in (tmp_path / "run", tmp_path / "runs" / begun.name):
        with claim(directory, text):
            pass
    archfront.main(asked("sample", path))
    sampled = capsys.readouterr().out
    monkeypatch.setattr(budget_defaults, "ROWS", tuple(replace(row, vocab_size=row.vocab_size + 8) for row in ROWS))
    assert load_study(path).search_space.choices("vocab_size") != begun.search_space.choices("vocab_size")
    seen: list[StudySpec] = []

    def note(study: StudySpec, *rest: Any, **more: Any) -> Any:
        seen.append(study)
        check(study, has_text=False)
        raise SpecError(PAST)

    monkeypatch.setattr("trials.plans.check_study.check", note)
    assert archfront.main(asked(verb, path)) == (0 if verb == "sample" else 2)
    if verb == "sample":  # it asks no gate: a vocabulary of another size gives other shapes
        assert capsys.readouterr().out == sampled
        return
    assert [study.search_space.choices("vocab_size") for study in seen] == [begun.search_space.choices("vocab_size")]


@pytest.mark.parametrize(
    ("lost", "attempted", "said"),
    [
        ([], [], None),
        ([], [3], "1 trial whose worker or node was lost, #3, is tried again by this command (1 attempt so far, see attempts.jsonl)"),
        ([2], [2, 2, 2, 3], "2 trials whose worker or node was lost, #2 and #3, are tried again by this command (4 attempts so far, "),
        ([2], [], "1 trial whose worker or node was lost, #2, is tried again by this command"),
        (range(3, 9), [1], "6 trials whose worker or node was lost, #3, #4, #5, #6 and #7 and 1 more, are tried again by this command"),
    ],
)
def test_run_and_plan_say_what_is_tried_again(
    lost: Sequence[int],
    attempted: Sequence[int],
    said: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, directory = written("a short context", tmp_path), tmp_path / "run"
    directory.mkdir()
    record = sample_records()[0]
    for number in (1, *lost):
        of_number = replace(record, number=number)
        append(directory, replace(of_number, outcome=Outcome.LOST, reason='it said "outcome":"lost"') if number in lost else of_number)
    if 8 in lost:  # a newer line counts
        append(directory, replace(record, number=9, outcome=Outcome.LOST))
        append(directory, replace(record, number=9, reason='it said "outcome":"lost"'))
    for number in attempted:
        append_attempt(directory, Attempt(number=number, attempt=1, node=None, cause="gone", started_at=record.started_at, seconds=1.0))

    def begin(*_: object, **__: object) -> None:
        raise SpecError(PAST)

    monkeypatch.setattr("trials.driver.run_study.run_study", begin)
    assert archfront.main(asked("run", path)) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if "tried again by this command" in line]
    assert len(told) == (said is not None)
    assert archfront.main(asked("plan", path)) == 0
    assert [f"archfront: {each}" for each in json.loads(capsys.readouterr().out)["notices"] if "tried again" in each] == told
    if said is not None:
        assert told[0].startswith(f"archfront: {said}")


def test_run_and_plan_refuse_damaged_attempts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written("a short context", tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "attempts.jsonl").write_text("{}\n")
    for verb in ("run", "plan"):
        assert archfront.main(asked(verb, path)) == 2
        assert "attempts.jsonl:1 does not hold an attempt" in capsys.readouterr().err
