"""The keys `latency`, `objectives` and `limits`: what is refused with which cure, and how stored studies of earlier words are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.objectives.registry import OBJECTIVES
from search_space.errors import SpecError
from tests.support.fakes import VALUES, small_study
from trials.study.directory import claim
from trials.study.load_study import STUDY, load_stored, load_study, parse_study
from trials.study.upgrade import upgraded

OLD = {
    "quality": "bits_per_byte",
    "latency": {"runtime": "torch", "prompt_tokens": 8, "new_tokens": 8},
    "limits": {"latency_ms": 30.0, "memory_bytes": 2_000_000},
}


def test_a_study_that_names_nothing_has_the_usual_objectives() -> None:
    study, _ = small_study()
    assert study.problem.names == ("bits_per_byte", "total_ms")
    assert study.problem.limits == {}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_may_be_named_and_bounded(name: str) -> None:
    other = next(each for each in ("bits_per_byte", "total_ms") if each != name)
    study, _ = small_study(objectives=[name, other], limits={name: 0.5})
    assert study.problem.names == (name, other)
    assert study.problem.limits == {name: 0.5}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"objectives": OLD},
            r"objectives\.latency, objectives\.limits\.latency_ms and objectives\.limits\.memory_bytes moved: "
            r"write latency, limits\.total_ms and limits\.peak_memory_bytes, and leave out objectives\.quality",
        ),
        ({"objectives": ["bits_per_byte", "latency_ms"]}, r"the objective latency_ms is unknown; did you mean `"),
        ({"objectives": ["bits_per_byte"]}, "objectives must be 2 or 3 different ones, found bits_per_byte"),
        ({"objectives": ["total_ms", "total_ms"]}, "objectives must be 2 or 3 different ones"),
        (
            {"objectives": ["bits_per_byte", *["total_ms"] * 99]},
            "objectives must be 2 or 3 different ones, found bits_per_byte, .*; name some such as",
        ),
        (
            {"objectives": ["bits_per_byte.code", "total_ms"]},
            r"needs the validation set code in corpus\.validation, found none",
        ),
        ({"limits": {"latency_ms": 3}}, "the objective latency_ms is unknown"),
        ({"limits": {"total_ms": 0}}, r"limits\.total_ms"),
        ({"limits": {"failed_share": 1.5}}, r"limits\.failed_share must be less than or equal to 1, found 1\.5; lower it"),
        (
            {"objectives": ["next_token_accuracy", "total_ms"], "search": {"early_stopping": "front"}},
            "early_stopping forecasts bits_per_byte",
        ),
        (
            {"objectives": ["bits_per_byte", "next_token_accuracy"], "search": {"early_stopping": "front"}},
            "needs it as the only objective that a training tells, found bits_per_byte, next_token_accuracy; set it to none",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence_with_its_cure(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        small_study(**changes)


def test_a_stored_study_of_earlier_words_is_read_and_a_persons_is_refused(tmp_path: Path) -> None:
    old = {**VALUES, "objectives": OLD}
    study = parse_study(upgraded(old))
    assert study.latency.prompt_tokens == 8
    assert study.problem.names == ("bits_per_byte", "total_ms")
    assert study.problem.limits == {"total_ms": 30.0, "peak_memory_bytes": 2_000_000}
    (tmp_path / STUDY).write_text(yaml.safe_dump(old))
    assert load_stored(tmp_path).latency == study.latency
    with pytest.raises(SpecError, match=r"moved: write latency, limits\.total_ms"):
        load_study(tmp_path / STUDY)


def test_a_directory_of_earlier_words_is_continued_by_the_same_study_in_todays(tmp_path: Path) -> None:
    (tmp_path / STUDY).write_text(yaml.safe_dump({**VALUES, "objectives": OLD}))
    now = {**VALUES, "latency": OLD["latency"], "limits": {"total_ms": 30.0, "peak_memory_bytes": 2_000_000}}
    with claim(tmp_path, yaml.safe_dump(now)):
        pass
    other = {**now, "objectives": ["bits_per_byte", "decode_ms_per_token"]}
    with pytest.raises(SpecError, match="holds another study: objectives"), claim(tmp_path, yaml.safe_dump(other)):
        pass


def test_an_upgrade_changes_nothing_that_is_of_today() -> None:
    values = {**VALUES, "objectives": ["bits_per_byte", "total_ms"], "limits": {"total_ms": 30}}
    assert upgraded(values) == values
    assert upgraded("no mapping") == "no mapping"
