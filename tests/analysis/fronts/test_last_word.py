"""The end of a study in three sentences, which claim no difference that the table calls a tie."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from analysis.fronts.findings import findings
from analysis.fronts.front import Front, front_of
from analysis.fronts.last_word import last_word
from analysis.fronts.likeness import are_alike
from analysis.fronts.membership import Membership, estimate_membership, picks
from analysis.records.record import Kind, TrialRecord
from analysis.terminal.front_text import OUTSIDE_INTERVAL, front_lines, last_text
from tests.support.sample_study import sample_finals, sample_records


def some_study(seed: int) -> tuple[list[TrialRecord], Front, Membership]:
    """A study whose qualities lie so close together, or so far apart, as the seed says."""
    random = np.random.default_rng(seed)
    spread = random.choice([0.001, 0.02, 0.3])
    records = []
    for record in sample_records(int(random.integers(1, 14))):
        training = record.training
        if record.finished and training is not None and training.validation is not None:
            quality = replace(training.validation, bits_per_byte=float(2.5 + spread * random.standard_normal()))
            record = replace(record, training=replace(training, validation=quality))
        records.append(record)
    front = front_of(records)
    return records, front, estimate_membership(front)


@pytest.mark.parametrize("seed", range(24))
def test_three_sentences_at_most_and_no_difference_is_claimed_of_a_tie(seed: int) -> None:
    records, front, membership = some_study(seed)
    said = last_word(records, front, membership)
    assert 1 <= len(said) <= 3
    for sentence in said:
        assert sentence.endswith(".")
        assert not re.search(r"\. [A-Z]", sentence), "one sentence"
    everything = [*said, *findings(records, {}, front, membership)]
    for record in records:
        ours = membership.recommended
        if record.kind is not Kind.REFERENCE or ours is None or record.number not in front.points or record.number == ours:
            continue
        if are_alike(front, membership, 0, ours, record.number):
            assert f"ties in {front.objectives[0].words.label}" in said[2]
            claimed = [line for line in everything if re.search(rf"[Aa]gainst {record.name} [^;]*?#{ours} has [\d.]+ fewer bits", line)]
            assert claimed == []


def test_a_study_without_a_trial_and_one_without_a_front_are_said() -> None:
    front = front_of([])
    assert last_word([], front, estimate_membership(front)) == ["No trial has ended yet."]
    records = [record for record in sample_records(12) if not record.finished]
    front = front_of(records)
    [said] = last_word(records, front, estimate_membership(front))
    assert said.startswith(f"0 of {len(records)} trials finished (")
    assert said.endswith("and no shape stands on the front of latency and bits per byte.")


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_neither_table_nor_sentences_are_wider_than_the_terminal(width: int) -> None:
    for seed in range(6):
        records, front, membership = some_study(seed)
        lines = last_text(records, {}, front, membership, width).splitlines()
        assert max(map(len, lines)) <= width
        assert [line for line in lines if line.startswith("trial  ")] or not front.members


@pytest.mark.parametrize("width", [56, 60, 66, 72, 80, 90, 100, 120, 200])
def test_every_width_has_each_members_numbers_shape_and_what_it_is_picked_for(width: int) -> None:
    for seed in range(6):
        records, front, membership = some_study(seed)
        lines = front_lines(records, {}, front, membership, width)
        blocks = re.split(r"\n(?=#)", "\n".join(lines))[1:]
        assert len(blocks) >= len(front.members)
        for number, block in zip(front.members, blocks, strict=False):
            values = [objective.words.write(value) for objective, value in zip(front.objectives, front.points[number].values, strict=True)]
            [record] = [record for record in records if record.number == number]
            said, names = " ".join(block.split()), filter(None, [record.architecture.label, record.name])
            assert all(each in said for each in (f"#{number} ", *names, *values, *picks(front, membership).get(number, [])))
        assert "…" not in "".join(lines)


def test_a_value_outside_its_interval_has_a_mark_and_the_marks_meaning() -> None:
    records = sample_records(12)
    finals = sample_finals(records)
    front = front_of(records, finals)
    membership = estimate_membership(front)
    top = front.best(0)
    assert top is not None
    intervals = tuple(None if each is None else replace(each, low=9.0, high=9.5) for each in membership.posteriors[top].intervals)
    moved = replace(membership, posteriors={**membership.posteriors, top: replace(membership.posteriors[top], intervals=intervals)})
    lines = front_lines(records, finals, front, moved)
    assert lines[-1] == OUTSIDE_INTERVAL
    assert sum("*" in line for line in lines) == 2
    inside = replace(
        membership,
        posteriors={
            number: replace(p, intervals=tuple(None if each is None else replace(each, low=0.0, high=99.0) for each in p.intervals))
            for number, p in membership.posteriors.items()
        },
    )
    assert OUTSIDE_INTERVAL not in front_lines(records, finals, front, inside)
