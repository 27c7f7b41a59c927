"""A study.yaml that was changed since its records were made: every reader refuses it, or says so."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import archfront
from analysis.records.record import RECORDS, Kind, append, read_records
from analysis.records.unmeasured import UnmeasuredTrial, append_unmeasured
from search_space.errors import SpecError
from tests.support import fakes
from tests.support.sample_scaling import sample_scaling, scaling_records
from trials.commands.talk import WRONG_INPUT
from trials.driver.run_study import run_study
from trials.reporting.pooled_studies import runs_of_studies
from trials.reporting.stored_study import read_study
from trials.study.directory import MAY_CHANGE, claim
from trials.study.load_study import BEGUN, STUDY
from trials.trial.study_fit import misfit
from trials.trial.task import TrialTask, plain

CHANGES: Mapping[str, tuple[Mapping[str, Any], str | None]] = {
    "name": ({"name": "other"}, None),
    "budget.parameters": ({"budget": {"parameters": 200_000}}, "the budget is 200,000 parameters within 1%, and trial 0 spends "),
    "budget.tolerance": ({"budget": {"tolerance": 1e-5}}, "the budget is 100,000 parameters within 0.001%, and trial 0 spends "),
    "space.mlp": ({"space": {"mlp": ["relu"]}}, "space.mlp does not have 'swiglu', which trial "),
    "space.hidden_size": ({"space": {"hidden_size": {"from": 64, "to": 96, "step": 8}}}, "space.hidden_size does not have "),
    "space.vocab_size": ({"space": {"vocab_size": 512}}, "space.vocab_size does not have 300, which trial 0 "),
    "search.seed": ({"search": {"seed": 3}}, "search.seed is 3, and trial 0 was made with 0"),
    "proxy.tokens": ({"proxy": {"tokens": 40_000}}, None),
    "latency.prompt_tokens": ({"latency": {"prompt_tokens": 16}}, None),
}
"""Key -> how it is changed, and what the records themselves say of it, where they do."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A study that was begun, with a few trials of its space."""
    study, text = fakes.small_study()
    with claim(tmp_path / "study", text) as made:
        for number, (point, shape) in enumerate(study.search_space.table()[::40]):
            append(made, fakes.answer(TrialTask(number=number, kind=Kind.SAMPLED, point=plain(point), architecture=shape, seed=0)))
    return tmp_path / "study"


def change(directory: Path, key: str) -> str:
    text = fakes.small_study(**CHANGES[key][0])[1]
    (directory / STUDY).write_text(text)
    return text


READERS: dict[str, Callable[[Path], object]] = {
    "read_study": read_study,
    "fit": lambda directory: runs_of_studies([directory]),
}


@pytest.mark.parametrize("key", CHANGES)
@pytest.mark.parametrize("reader", READERS)
def test_a_changed_study_is_refused_with_the_key_and_both_values(reader: str, key: str, directory: Path) -> None:
    READERS[reader](directory)
    change(directory, key)
    with pytest.raises(SpecError, match=rf"study.yaml must be the study of the records beside it, found {key}.* copy {BEGUN} over it"):
        READERS[reader](directory)
    (directory / STUDY).write_bytes((directory / BEGUN).read_bytes())
    READERS[reader](directory)


@pytest.mark.parametrize("words", ["report", "report --json", "report --objectives total_ms,bits_per_byte", "export --pick knee"])
def test_every_verb_on_a_directory_refuses_it(words: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(directory, "budget.parameters")
    verb, *options = words.split()
    assert archfront.main([verb, str(directory), *options]) == WRONG_INPUT
    assert "study.yaml must be the study of the records beside it, found budget.parameters 200000" in capsys.readouterr().err


@pytest.mark.parametrize("key", [key for key, (_, said) in CHANGES.items() if said])
def test_without_the_copy_the_records_say_what_does_not_fit(key: str, directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    (directory / BEGUN).unlink()  # as an earlier archfront left it
    with caplog.at_level(logging.WARNING):
        read_study(directory)
    assert caplog.messages == []
    text = change(directory, key)
    with caplog.at_level(logging.WARNING):
        read_study(directory)
    [said] = caplog.messages
    assert f"study.yaml does not fit its records.jsonl: {CHANGES[key][1]}" in said
    with pytest.raises(SpecError, match=r"must hold records of this study, found others: .*; restore them, or name another directory"):
        run_study(fakes.small_study(**CHANGES[key][0])[0], directory, study_text=text, evaluate=fakes.plausible)


def test_trials_that_wait_to_be_measured_must_fit_the_study_too(directory: Path) -> None:
    for record in read_records(directory):
        append_unmeasured(directory, UnmeasuredTrial(record=replace(record, latency=None)))
    for name in (RECORDS, BEGUN):
        (directory / name).unlink()
    text = change(directory, "search.seed")
    with pytest.raises(SpecError, match=r"found others: search.seed is 3, and trial 0 was made with 0"):
        run_study(fakes.small_study(**CHANGES["search.seed"][0])[0], directory, study_text=text, evaluate=fakes.plausible)


def test_the_study_as_it_was_given_mends_a_changed_one(directory: Path) -> None:
    change(directory, "search.seed")
    with claim(directory, fakes.small_study()[1]):
        read_study(directory)
    changed = change(directory, "search.seed")
    with pytest.raises(SpecError, match=r"holds another study: search.seed is 0 there and 3 here"), claim(directory, changed):
        pass


def test_what_a_continued_study_may_say_otherwise_is_no_change(directory: Path) -> None:
    assert "search.trials" in MAY_CHANGE
    more = fakes.small_study(search={"trials": 30})[1]
    (directory / STUDY).write_text(more)
    read_study(directory)
    with claim(directory, more):
        assert yaml.safe_load((directory / BEGUN).read_text())["search"]["trials"] == 30


def test_a_scaling_study_s_records_are_those_of_its_grid() -> None:
    study, _ = sample_scaling()
    records = scaling_records(study)
    assert misfit(study, records) is None
    swapped = replace(records[0], architecture=records[-1].architecture)
    assert re.fullmatch(r"the grid has .*, and trial 0 is .*", misfit(study, [swapped, *records[1:]]) or "")
    assert misfit(study, [replace(records[0], number=10_000)]) == (
        f"the grid has no training of that number, and trial 10000 is {records[0].architecture.label}"
    )
