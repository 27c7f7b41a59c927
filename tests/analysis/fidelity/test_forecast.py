"""A front after longer training: coverage on planted studies, probabilities that come true, and experiments that settle what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.fidelity.forecast import forecast_sentences
from search_space.errors import SpecError
from tests.support.planted_forecast import WHOLE, followed, looked, planted


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
    monkeypatch.setattr("analysis.fidelity.forecast.WORTH", 1.1)
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
