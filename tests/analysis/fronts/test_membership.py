"""How sure a front is: probabilities that come true, ties that are called ties, and seeds that are averaged."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import ndtr

from analysis.fronts.cost_posteriors import deviation_between
from analysis.fronts.doubts import uncertainty_sentences
from analysis.fronts.front import Front, front_of
from analysis.fronts.membership import Membership, contenders, estimate_membership, front_probabilities
from analysis.objectives.problem import problem_of
from analysis.objectives.registry import find_objective
from analysis.records.latency import Spread
from analysis.records.record import Kind, TrialRecord
from analysis.records.replicates import averaged
from analysis.records.training import Quality
from analysis.statistics.noise_prior import NOISE_SHARE
from analysis.statistics.seed_noise import draw_true_qualities, estimate_seed_noise
from benchmarks.membership import NOISES, plant, reliability
from tests.support.sample_study import sample_records

BITS, MS = 0, 1
"""Places of the usual objectives."""
FINISHED = [record for record in sample_records() if record.finished and record.kind is not Kind.REPLICATE]


def measured(record: TrialRecord, number: int, latency_ms: float, bits_per_byte: float, **changes: object) -> TrialRecord:
    """A finished trial with these numbers."""
    assert record.latency is not None
    assert record.training is not None
    spread = Spread(median=latency_ms, p10=0.99 * latency_ms, p90=1.01 * latency_ms)
    quality = Quality(loss=bits_per_byte, bits_per_byte=bits_per_byte, next_token_accuracy=0.4, tokens=1)
    latency, training = dataclasses.replace(record.latency, total_ms=spread), dataclasses.replace(record.training, validation=quality)
    return dataclasses.replace(record, number=number, latency=latency, training=training, **changes)  # type: ignore[arg-type]


def study(*numbers: tuple[float, float]) -> list[TrialRecord]:
    """Sampled trials with these latencies and bits per byte."""
    shapes = zip(FINISHED[2:], numbers, strict=False)
    return [measured(record, number, *pair) for number, (record, pair) in enumerate(shapes)]


def again(records: list[TrialRecord], of: int, bits_per_byte: float) -> TrialRecord:
    """A replicate of one of them."""
    latency = records[of].latency
    assert latency is not None
    return measured(
        records[of], len(records), latency.total_ms.median, bits_per_byte, kind=Kind.REPLICATE, replicates=of, seed=1, point=None
    )


def membership(records: list[TrialRecord]) -> tuple[Front, Membership]:
    front = front_of(records)
    return front, estimate_membership(front)


@pytest.mark.more
@pytest.mark.slow
def test_stated_probabilities_come_true_on_planted_studies() -> None:
    judged = [
        plant(seed, noise, skewed=skewed, replicates=replicates)
        for seed in range(4)
        for noise in NOISES
        for skewed in (False, True)
        for replicates in (False, True)
    ]
    stated, true = (np.concatenate([getattr(study, name) for study in judged]) for name in ("stated", "true"))
    *_, (low, _, count, said, found) = reliability(stated, true)
    assert low == 0.8
    assert count > 100
    assert found >= 0.8
    assert abs(said - found) < 0.1
    winners_true, winners_said = (np.mean([getattr(study, name) for study in judged]) for name in ("winner_true", "winner_stated"))
    assert winners_true > winners_said - 0.1  # of 48 winners; benchmarks/membership.py has 2,400
    claimed, corrected, gained = (np.mean([getattr(study, f"gain_{name}") for study in judged]) for name in ("claimed", "stated", "true"))
    assert claimed > gained
    assert abs(corrected - gained) < claimed - gained, "the winner's curse is corrected for"


def test_the_best_of_many_is_drawn_towards_the_others_and_a_second_seed_frees_it() -> None:
    numbers = [(10.0 + i, 2.2 + 0.01 * (-1) ** i) for i in range(9)]
    records = study(*numbers, (14.5, 2.15))
    _, once = membership(records)
    _, twice = membership([*records, again(records, 9, 2.15), *(again(records, 9, 2.15) for _ in range(3))])
    before, after = once.interval(9, BITS), twice.interval(9, BITS)
    assert before is not None
    assert after is not None
    assert before.expected > 2.155
    assert before.expected > after.expected > 2.15
    assert before.high - before.low > after.high - after.low


def test_shapes_that_differ_by_less_than_the_noise_tie_and_the_fastest_is_recommended() -> None:
    front, found = membership(study((10, 2.5), (20, 2.201), (30, 2.2), (40, 2.4)))
    assert front.best(BITS) == 2
    assert found.posteriors[2].ties == (1,)
    assert found.posteriors[1].ties == (2,)
    assert found.recommended == 1
    text = "\n".join(uncertainty_sentences(front, found))
    assert (
        "#2 measured best in bits per byte, and 1 other shape ties with it: recommended is #1, the fastest of them on the front (20" in text
    )
    assert "trained with one seed" in text
    assert "Beside the measured front" not in text


def test_a_clear_winner_is_recommended_itself_and_stands_on_the_front_for_sure() -> None:
    front, found = membership(study((10, 2.9), (20, 2.6), (30, 2.2), (40, 2.6)))
    assert found.recommended == 2
    assert found.posteriors[2].ties == ()
    assert found.posteriors[2].on_front > 0.99
    assert found.posteriors[2].best > 0.99
    assert found.posteriors[3].on_front < 0.01
    assert "no other shape ties with it (it is the best with 100%)" in "\n".join(uncertainty_sentences(front, found))


def test_a_shape_beside_the_measured_front_may_be_on_the_true_one() -> None:
    front, found = membership(study((10, 2.3), (20, 2.2), (20.2, 2.201)))
    assert front.members == (0, 1)
    assert 0.5 < found.posteriors[2].on_front < 0.8, "about as fast, about as good"
    assert f"possibly on the true one: #2 ({found.posteriors[2].on_front:.0%})" in "\n".join(uncertainty_sentences(front, found))


def test_a_shape_of_two_seeds_is_one_place_with_their_mean() -> None:
    records = study((10, 2.3), (20, 2.2))
    repeated = [*records, again(records, 1, 2.24)]
    front, found = membership(repeated)
    assert [*front.points] == [0, 1]
    reading = front.points[1].readings[BITS]
    assert reading.value == pytest.approx(2.22)
    assert reading.trials == (2.2, 2.24)
    noise = found.noises[BITS]
    assert noise is not None
    assert noise.freedom == 1
    one_each = averaged(repeated)
    assert [record.number for record in one_each] == [0, 1]
    assert one_each[0] is records[0]
    assert one_each[1].training is not None
    assert one_each[1].training.validation is not None
    assert one_each[1].training.validation.bits_per_byte == pytest.approx(2.22)


def test_the_noise_is_the_stated_prior_until_replicates_outweigh_it() -> None:
    assert estimate_seed_noise([[2.0], [2.2], [1.8]]).size == pytest.approx(NOISE_SHARE * 2.0)
    quiet = estimate_seed_noise([[2.0, 2.0], *[[1.9, 1.9]] * 5, [2.1]])
    assert quiet.freedom == 6
    assert quiet.size == pytest.approx(NOISE_SHARE * 1.9 * (2 / 8) ** 0.5)


def test_the_noise_of_latency_comes_from_measuring_again() -> None:
    records = study((10, 2.3), (20, 2.2))

    def noise(records: list[TrialRecord]) -> float:
        return deviation_between([point.readings[MS] for point in front_of(records).points.values()], find_objective("total_ms").between)

    calm = noise(records)
    shaken = [*records, dataclasses.replace(again(records, 1, 2.2), latency=records[0].latency)]
    assert noise(shaken) > 5 * calm


def test_a_predicted_latency_is_as_unsure_as_its_prediction_says() -> None:
    front = front_of(records := study((10.0, 3.0), (10.5, 2.0)))
    odds = {deviation: estimate_membership(front, {MS: {0: deviation, 1: deviation}}).posteriors[0].on_front for deviation in (1e-6, 0.05)}
    assert odds[1e-6] == 1.0
    assert odds[0.05] == pytest.approx(ndtr(np.log(1.05) / (0.05 * 2**0.5)), abs=0.02)  # the chance that it is the faster one
    repeated = front_of([*records, again(records, 0, 3.0), again(records, 1, 2.0)])
    assert estimate_membership(repeated, {MS: {0: 0.05, 1: 0.05}}).posteriors[0].on_front == pytest.approx(odds[0.05], abs=0.02)


def test_the_accuracy_front_speaks_of_accuracy() -> None:
    front = front_of(sample_records(), problem=problem_of(["next_token_accuracy", "total_ms"]))
    posteriors = estimate_membership(front).posteriors
    assert posteriors.keys() == front.points.keys()
    intervals = [posterior.intervals[0] for posterior in posteriors.values()]
    assert all(found is not None and 0 < found.low < found.expected < found.high < 1 for found in intervals)
    assert "points (standard deviation" in "\n".join(uncertainty_sentences(front, estimate_membership(front)))


@pytest.mark.parametrize("count", range(1, 6))
def test_few_shapes_are_no_trouble(count: int) -> None:
    _, found = membership(study(*[(10.0, 2.2)] * count))
    assert found.recommended is not None
    assert all(0 <= standing.on_front <= 1 for standing in found.posteriors.values())


def test_nothing_finished_is_no_trouble() -> None:
    front, found = membership([])
    assert found.recommended is None
    assert uncertainty_sentences(front, found) == []


def test_the_share_of_draws_knows_a_front_when_it_sees_one() -> None:
    latencies = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    qualities = np.array([[3.0, 2.0, 2.5], [1.0, 2.0, 0.5]])
    assert front_probabilities([latencies, qualities]).tolist() == [1.0, 0.5, 0.5]


def test_the_same_study_gives_the_same_numbers() -> None:
    assert estimate_membership(front_of(sample_records())) == estimate_membership(front_of(sample_records()))


def test_contenders_are_those_whose_place_is_the_least_sure() -> None:
    odds = {0: 0.99, 1: 0.5, 2: 0.4, 3: 0.0}
    assert contenders(odds, {}) == [1, 2, 0, 3]
    assert contenders(odds, {1: 1})[0] == 2


def test_true_qualities_are_drawn_around_the_trend_along_latency() -> None:
    latency = np.linspace(2, 4, 20)
    values = 3 - 0.2 * latency
    values[3] += 0.4  # a bad shape says nothing about the others
    true_qualities, _ = draw_true_qualities([[value] for value in values], latency, np.random.default_rng(0))
    assert np.abs(true_qualities.mean(axis=0) - values).max() < 0.01
