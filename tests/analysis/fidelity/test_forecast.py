"""A front after longer training: coverage on planted studies, probabilities that come true, and experiments that settle what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from analysis.fidelity.forecast import forecast_sentences
from analysis.fidelity.rank_validity import LongRun
from search_space.errors import SpecError
from tests.support.planted_forecast import NOISE, WHOLE, followed, looked, planted


@pytest.mark.more
@pytest.mark.slow
def test_nine_of_ten_intervals_hold_what_a_new_training_measures_and_probabilities_come_true() -> None:
    found = followed(range(24))
    assert 0.86 < np.mean(found.inside) <= 0.96
    assert np.mean(found.widths) < 0.06
    assert np.mean(found.held[found.stated > 0.8]) > 0.8
    assert abs(np.mean(found.stated) - np.mean(found.held)) < 0.08


def test_the_experiment_named_settles_more_for_its_flops_than_a_random_one_and_is_said() -> None:
    records, _ = planted(3)
    found = looked(records)
    assert found.experiment is not None
    assert found.experiment.times in (1.0, 2.0, 4.0)
    assert 0 < found.experiment.settles < 1
    doubt = {forecast.number: abs(forecast.on_front - 0.5) for forecast in found.forecasts}
    assert doubt[found.experiment.number] < max(doubt.values())
    said = forecast_sentences(found, {record.number: record.architecture.label for record in records})
    assert said[-1].startswith(f"The cheapest next experiment is #{found.experiment.number} ")
    assert "expected to be wrong" in said[0]


def test_the_same_records_give_the_same_outlook() -> None:
    records, _ = planted(5)
    assert looked(records) == looked(records)


def test_farther_targets_are_less_sure_and_lower() -> None:
    records, _ = planted(7)
    near, far = looked(records, 2.0), looked(records, 8.0)
    for one, other in zip(near.forecasts, far.forecasts, strict=True):
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
        cooldowns = tuple(
            replace(cooldown, bits_per_byte=end + 0.2 * np.log2(WHOLE / cooldown.tokens)) for cooldown in record.training.cooldowns
        )
        early.append(replace(record, training=replace(record.training, cooldowns=cooldowns)))
    labels = {record.number: record.architecture.label for record in records}
    assert any("likely to fall more than forecast" in said for said in forecast_sentences(looked(early), labels))
    assert not any("likely to fall more than forecast" in said for said in forecast_sentences(looked(records), labels))


def test_no_experiment_is_longer_than_the_target_and_none_is_named_that_spares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(6):
        found = looked(planted(seed)[0], 2.0)
        assert found.experiment is None or found.experiment.times <= 2
    monkeypatch.setattr("analysis.fidelity.experiments.WORTH", 1.1)
    found = looked(planted(3)[0])
    assert found.experiment is None
    said = forecast_sentences(found, {})
    assert said[-1].startswith("No single further training would spare")


def test_cooldowns_of_shapes_far_from_the_front_alone_are_not_enough_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    records, _ = planted(0)
    bare = [
        replace(record, training=replace(record.training, cooldowns=())) if record.training and record.number == 5 else record
        for record in records
    ]
    monkeypatch.setattr("analysis.fidelity.forecast.members_and_near_ties", lambda *_: [5])
    with pytest.raises(SpecError, match=rf"found {len(records) - 1}, none of them near the front; state proxy\.cooldowns"):
        looked(bare)


def test_without_cooldowns_it_says_what_is_missing() -> None:
    with pytest.raises(SpecError, match=r"losses at several token counts, one of .* found 0; state proxy\.cooldowns"):
        looked(planted(0, cooldowns=())[0])


def longer_runs(numbers: Sequence[int], seed: int, times: float = 4.0) -> list[LongRun]:
    """Trainings of these shapes to four times the tokens, each with luck of its own."""
    records, true_qualities = planted(seed)
    random = np.random.default_rng(2_000 + seed)
    return [
        LongRun(
            number=number, architecture_key=records[number].architecture.key, times=times, seed=1_000, tokens=round(times * WHOLE),
            bits_per_byte=true_qualities[number, 2] + random.normal(0, NOISE),
        )
        for number in numbers
    ]  # fmt: skip


def test_longer_trainings_tell_the_front_there_and_what_was_measured_is_marked() -> None:
    records, _ = planted(3)
    alone = looked(records)
    numbers = [forecast.number for forecast in alone.forecasts][:3]
    found = looked(records, longer=longer_runs(numbers, 3))
    assert found.longer == 3
    assert found.exponent is None
    measured = {forecast.number: forecast.measured for forecast in found.forecasts if forecast.measured is not None}
    assert measured == {run.number: run.bits_per_byte for run in longer_runs(numbers, 3)}
    widths = {forecast.number: forecast.high - forecast.low for forecast in found.forecasts}
    assert all(widths[number] < 0.06 for number in numbers)
    assert {forecast.number for forecast in alone.forecasts} <= set(widths)
    said = forecast_sentences(found, {record.number: record.architecture.label for record in records})
    assert "learnt from all trainings together, 3 longer ones among them; 3 of these shapes were measured there" in said[0]
    assert found == looked(records, longer=longer_runs(numbers, 3))


def test_trainings_of_other_lengths_of_other_shapes_or_that_failed_are_not_measured_there() -> None:
    records, _ = planted(3)
    [run, other, failed] = longer_runs([0, 1, 2], 3)
    shorter, foreign = replace(run, times=2.0), replace(other, architecture_key="another")
    assert looked(records, longer=[foreign, replace(failed, bits_per_byte=None)]) == looked(records)
    found = looked(records, longer=[shorter])
    assert found.longer == 1
    assert all(forecast.measured is None for forecast in found.forecasts)


def test_one_training_counts_once_and_a_length_typed_with_few_digits_is_the_targets() -> None:
    records, _ = planted(3)
    runs = longer_runs([0, 5], 3)
    assert looked(records, longer=[*runs, *runs]) == looked(records, longer=runs)
    near = looked(records, longer=[replace(run, times=4.001) for run in runs])
    assert sum(forecast.measured is not None for forecast in near.forecasts) == 2


def test_what_was_trained_is_no_next_experiment_and_others_are_weighed_among_themselves() -> None:
    records, _ = planted(3)
    found = looked(records, longer=longer_runs([0, 5], 3))
    assert not {(0, 4.0), (5, 4.0)} & {(each.number, each.times) for each in found.experiments}
    assert found.next_of_target_length([7]) in ([7], [])
    assert replace(found, wrong=0.01).next_of_target_length(range(24)) == []
    assert replace(found, wrong=0.01).experiment is None


def test_without_a_finished_trial_it_is_a_sentence() -> None:
    with pytest.raises(SpecError, match=r"two finished trainings .* found none; let the study go on"):
        looked([])


def test_a_large_study_is_learnt_from_a_sample_with_all_prospects(monkeypatch: pytest.MonkeyPatch) -> None:
    records, _ = planted(3)
    monkeypatch.setattr("analysis.fidelity.mixed_lengths.MOST_SHAPES", 12)
    found = looked(records, longer=longer_runs([0, 5], 3))
    assert {forecast.number for forecast in looked(records).forecasts} <= {forecast.number for forecast in found.forecasts}


@pytest.mark.more
@pytest.mark.slow
def test_with_a_few_long_trainings_nine_of_ten_intervals_hold_and_fewer_decisions_are_wrong() -> None:
    alone, told = followed(range(12)), followed(range(12), longer=lambda seed: longer_runs([1, 8, 15, 22], seed))
    assert 0.85 < np.mean(told.inside) <= 0.98
    assert np.mean(told.held[told.stated > 0.8]) > 0.8
    assert np.mean(told.widths) < np.mean(alone.widths)
