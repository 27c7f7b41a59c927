"""Whether domains rank shapes alike, and what depth is worth on each: planted answers are found, and nothing is made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from analysis.fronts.domains import DEEP, WIDE, depth_effects, domain_rankings, domain_sentences
from analysis.records.record import Kind, TrialRecord
from analysis.records.training import Quality
from tests.support.sample_study import sample_records


def judged(count: int, sets: dict[str, Callable[[float, TrialRecord], float]], seed: int = 0) -> list[TrialRecord]:
    """Sample records that have validation sets, each a function of the quality on the held-out split and of the trial."""
    found = []
    for record in sample_records(count, seed):
        training = record.training
        if training is not None and training.validation is not None:
            plain = training.validation
            changed = {name: with_bits(plain, change(plain.bits_per_byte, record)) for name, change in sets.items()}
            record = replace(record, training=replace(training, validations=changed))
        found.append(record)
    return found


def with_bits(quality: Quality, bits: float) -> Quality:
    return replace(quality, bits_per_byte=bits, rounded=None)


def test_a_planted_order_is_found() -> None:
    records = judged(30, {"same": lambda bits, _: 2 * bits, "opposite": lambda bits, _: 10 - bits})
    found = {each.name: each for each in domain_rankings(records)}
    assert found["same"].agreement is not None
    assert found["opposite"].agreement is not None
    assert (found["same"].agreement.tau, found["same"].agreement.low) == (1.0, 1.0)
    assert found["opposite"].agreement.tau == -1.0
    assert 10 < found["same"].shapes < 30, "unfinished trials and replicates are no shapes"


@pytest.mark.parametrize("seed", range(5))
def test_a_domain_of_its_own_is_no_agreement(seed: int) -> None:
    draw = np.random.default_rng(seed)
    [found] = domain_rankings(judged(30, {"law": lambda _, __: float(draw.normal(3, 0.1))}))
    assert found.agreement is not None
    assert found.agreement.low < 0.1
    assert found.agreement.high < 0.7


def test_nothing_is_said_without_named_sets_or_of_too_few_shapes() -> None:
    assert domain_sentences(sample_records(30)) == []
    assert domain_sentences([]) == []
    two = judged(2, {"law": lambda bits, _: bits})
    assert domain_rankings(two)[0].agreement is None
    assert domain_sentences(two) == []


def test_a_set_that_some_trials_lack_is_told_of_the_others() -> None:
    records = judged(30, {"law": lambda bits, _: bits})
    lacking = [replace(r, training=replace(r.training, validations={})) if r.training and r.number % 2 else r for r in records]
    assert 3 <= domain_rankings(lacking)[0].shapes < domain_rankings(records)[0].shapes


def test_what_depth_is_worth_is_told_on_each_text() -> None:
    deeper = lambda bits, record: bits + (0.5 if record.name == DEEP else 0.0)  # noqa: E731
    records = judged(30, {"code": deeper, "prose": lambda bits, _: bits})
    effects = {each.name: each for each in depth_effects(records)}
    assert effects["prose"].value == pytest.approx(effects["the held-out split"].value)
    assert effects["code"].value == pytest.approx(effects["prose"].value + 0.5)
    assert all(each.low < each.value < each.high for each in effects.values())
    said = domain_sentences(records)
    assert "so the answer moves with the text" in said[1]
    assert "a value in common" in domain_sentences(judged(30, {"prose": lambda bits, _: bits}))[1]
    without = [record for record in records if record.name != WIDE]
    assert depth_effects(without) == []
    assert len(domain_sentences(without)) == 1


def test_more_seeds_of_both_make_the_interval_narrower() -> None:
    records = judged(30, {"code": lambda bits, _: bits})
    last = max(record.number for record in records)
    ends = [record for record in records if record.kind is Kind.REFERENCE]
    again = [
        replace(record, number=last + 1 + place, replicates=record.number, kind=Kind.SAMPLED, name=None)
        for place, record in enumerate([*ends, *ends])
    ]
    one, three = (next(each for each in depth_effects(some) if each.name == "code") for some in (records, [*records, *again]))
    assert three.value == pytest.approx(one.value)
    assert three.high - three.low < 0.7 * (one.high - one.low)
