"""A front after longer training: coverage on planted studies, probabilities that come true, and experiments that settle what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from analysis.front import front, front_of
from analysis.membership import membership
from analysis.outlook import DRIFT, Outlook, outlook, outlook_sentences
from analysis.record import Kind, Quality, Rung, Spread, TrialRecord
from analysis.truth import Array
from search_space.errors import SpecError
from tests.fakes import answer
from tests.sample_study import sample_records
from trials.task import TrialTask

SHAPES = [record.architecture for record in sample_records(24) if record.replicates is None]
WHOLE, NOISE, SCATTER = 1_000_000, 0.008, 0.002


def planted(seed: int, rungs: Sequence[float] = (0.25, 0.5), noise: float = NOISE) -> tuple[list[TrialRecord], Array]:
    """A study whose losses follow a law for each shape, and what each shape truly loses at 1, 2 and 4 times its tokens."""
    random = np.random.default_rng(seed)
    exponent, drift = random.normal(0.35, 0.08), random.normal(0, DRIFT)
    records, truths = [], []
    for number, shape in enumerate(SHAPES):
        latency_ms = float(np.exp(random.normal(3.0, 0.6)))
        level = 2.3 - 0.08 * np.log(latency_ms / 20) + random.normal(0, 0.02)
        steep = random.normal(0.25, 0.03)

        def loss(times: float, level: float = level, steep: float = steep) -> float:
            return float(level - steep * (1 - times**-exponent) * (1 + drift * (times > 1)))

        luck = random.normal(0, noise)
        seen = [loss(times) + luck + random.normal(0, SCATTER) for times in (*rungs, 1.0)]
        record = answer(TrialTask(number=number, kind=Kind.SAMPLED, architecture=shape, seed=0))
        assert record.training is not None
        assert record.latency is not None
        quality = Quality(loss=1.5 * seen[-1], bits_per_byte=seen[-1], next_token_accuracy=0.3, tokens=2_048)
        before = tuple(
            Rung(tokens=round(times * WHOLE), loss=1.5 * bits, bits_per_byte=bits) for times, bits in zip(rungs, seen[:-1], strict=True)
        )
        training = replace(record.training, tokens=WHOLE, planned_tokens=WHOLE, validation=quality, rungs=before)
        ms = Spread(median=latency_ms, p10=latency_ms * 0.99, p90=latency_ms * 1.01)
        records.append(replace(record, training=training, latency=replace(record.latency, total_ms=ms)))
        truths.append([loss(times) for times in (1.0, 2.0, 4.0)])
    return records, np.array(truths)


def looked(records: Sequence[TrialRecord], times: float = 4.0) -> Outlook:
    here = front_of(records)
    return outlook(records, here, membership(here), times)


def test_nine_of_ten_intervals_hold_what_a_new_training_measures_and_probabilities_come_true() -> None:
    inside, stated, held, widths = [], [], [], []
    for seed in range(24):
        records, truths = planted(seed)
        random = np.random.default_rng(1_000 + seed)
        found = looked(records)
        numbers = [prospect.number for prospect in found.prospects]
        ms = {record.number: record.latency.total_ms.median for record in records if record.latency}
        members = {numbers[place] for place in front([(ms[number], truths[number, 2]) for number in numbers])}
        for prospect in found.prospects:
            measured = truths[prospect.number, 2] + random.normal(0, NOISE)
            inside.append(prospect.low <= measured <= prospect.high)
            widths.append((prospect.high - prospect.low) / prospect.expected)
            stated.append(prospect.on_front)
            held.append(prospect.number in members)
    assert 0.86 < np.mean(inside) <= 0.96
    assert np.mean(widths) < 0.06
    likely = np.array(stated) > 0.8
    assert np.mean(np.array(held)[likely]) > 0.8
    assert abs(np.mean(stated) - np.mean(held)) < 0.08


def test_the_experiment_named_settles_more_for_its_flops_than_a_random_one_and_is_said() -> None:
    records, _ = planted(3)
    found = looked(records)
    assert found.experiment is not None
    assert found.experiment.times in (1.0, 2.0, 4.0)
    assert 0 < found.experiment.settles < 1
    doubt = {prospect.number: abs(prospect.on_front - 0.5) for prospect in found.prospects}
    assert doubt[found.experiment.number] < max(doubt.values())
    said = outlook_sentences(found, {record.number: record.architecture.label for record in records})
    assert said[-1].startswith(f"The cheapest next experiment is #{found.experiment.number} ")
    assert "expected to be wrong" in said[0]


def test_the_same_records_give_the_same_outlook() -> None:
    records, _ = planted(5)
    assert looked(records) == looked(records)


def test_farther_targets_are_less_sure_and_lower() -> None:
    records, _ = planted(7)
    near, far = looked(records, 2.0), looked(records, 8.0)
    for one, other in zip(near.prospects, far.prospects, strict=True):
        assert other.expected < one.expected < one.now
        assert other.high - other.low > one.high - one.low


@pytest.mark.parametrize("times", [1.0, 0.5, 8.1])
def test_a_target_out_of_reach_is_refused(times: float) -> None:
    with pytest.raises(SpecError, match="at most 8 times"):
        looked(planted(0)[0], times)


def test_losses_that_do_not_bend_yet_are_said_to_fall_more_than_foreseen() -> None:
    records, _ = planted(3)
    early = []
    for record in records:
        assert record.training is not None
        assert record.training.validation is not None
        end = record.training.validation.bits_per_byte
        rungs = tuple(replace(rung, bits_per_byte=end + 0.2 * np.log2(WHOLE / rung.tokens)) for rung in record.training.rungs)
        early.append(replace(record, training=replace(record.training, rungs=rungs)))
    labels = {record.number: record.architecture.label for record in records}
    assert any("likely to fall more than foreseen" in said for said in outlook_sentences(looked(early), labels))
    assert not any("likely to fall more than foreseen" in said for said in outlook_sentences(looked(records), labels))


def test_no_experiment_is_longer_than_the_target_and_none_is_named_that_spares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(6):
        found = looked(planted(seed)[0], 2.0)
        assert found.experiment is None or found.experiment.times <= 2
    monkeypatch.setattr("analysis.outlook.WORTH", 1.1)
    found = looked(planted(3)[0])
    assert found.experiment is None
    said = outlook_sentences(found, {})
    assert said[-1].startswith("No single further training would spare")


def test_rungs_of_shapes_far_from_the_front_alone_are_not_enough_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    records, _ = planted(0)
    bare = [
        replace(record, training=replace(record.training, rungs=())) if record.training and record.number == 5 else record
        for record in records
    ]
    monkeypatch.setattr("analysis.outlook.near", lambda *_: [5])
    with pytest.raises(SpecError, match=rf"found {len(records) - 1}, none of them near the front; state proxy\.rungs"):
        looked(bare)


def test_without_rungs_it_says_what_is_missing() -> None:
    with pytest.raises(SpecError, match=r"losses at several token counts, one of .* found 0; state proxy\.rungs"):
        looked(planted(0, rungs=())[0])
