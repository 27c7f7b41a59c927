"""Latency predicted from 40 shapes of a device whose truth is planted, and what the intervals promise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.latency.cost_terms import WEIGHT_TERMS, Stack, Workload, decode_terms, prefill_terms
from analysis.latency.errors import Errors, errors, mean_errors
from analysis.latency.gaussian_process import PREDICTED_AT_ONCE, Kernel, Process, left_out
from analysis.latency.latency_model import LEAST_SHAPES, LatencyEstimate, LatencyModel, stretch
from analysis.latency.time_model import Powers, Prices, TimeModel
from search_space.architecture import Architecture
from search_space.cost import decode_bytes, parameters
from search_space.describe import named_shape
from search_space.sharing import Sharing
from tests.support.planted_device import planted_latency, planted_ms, planted_space
from trials.latency.device_profile import choose_shapes
from trials.study.latency_spec import LatencySpec

WORKLOAD = Workload(64, 64, "float32")
SPACE = planted_space(2_000_000)
WANTED = choose_shapes(SPACE, LatencySpec(), 40, 100)
FITTED = [each.architecture for each in WANTED if each.role == "fit"]
CHECKED = [each.architecture for each in WANTED if each.role == "check"]


@pytest.fixture(scope="module")
def model() -> LatencyModel:
    return LatencyModel(WORKLOAD, FITTED, [planted_latency(shape) for shape in FITTED])


def judged(model: LatencyModel, shapes: list[Architecture]) -> Errors:
    totals = [prediction.total for prediction in model.predict(shapes)]
    measured = np.array([planted_latency(shape, seed=1).total_ms.median for shape in shapes])
    return errors(np.array([total.ms for total in totals]), np.array([total.deviation for total in totals]), measured)


def test_40_shapes_are_enough_over_the_range_of_a_study(model: LatencyModel) -> None:
    shapes = [shape for shape in CHECKED if parameters(shape) < 3_000_000]
    found = judged(model, shapes)
    assert found.shapes >= 60
    assert found.median_error <= 0.04
    assert found.spearman is not None
    assert found.spearman >= 0.98


def test_and_at_twice_its_largest_size(model: LatencyModel) -> None:
    shapes = [shape for shape in CHECKED if parameters(shape) > 3_000_000]
    found = judged(model, shapes)
    assert found.shapes >= 25
    assert found.median_error <= 0.04
    assert found.spearman is not None
    assert found.spearman >= 0.98


def test_and_at_twice_the_largest_that_was_fitted_where_no_cache_ends_between() -> None:
    """Nothing of the larger size is in the fit: the planted caches end at 2 and 24 MB, the fitted shapes have 1 to 10 MB, these 19."""
    small = [shape for size in (300_000, 600_000, 1_200_000, 2_400_000) for shape in planted_space(size).sample(10, 1)]
    model = LatencyModel(WORKLOAD, small, [planted_latency(shape) for shape in small])
    found = judged(model, planted_space(4_800_000).sample(40, 2))
    assert found.median_error <= 0.04
    assert found.spearman is not None
    assert found.spearman >= 0.98


def test_larger_shapes_tell_of_a_cache_that_ends_beyond_the_studys_size() -> None:
    """The planted cache of 24 MB ends between shapes of 4 million parameters and of 8 million."""
    chosen = [each.architecture for each in choose_shapes(planted_space(4_000_000), LatencySpec(), 40, 1) if each.role == "fit"]
    twice = planted_space(8_000_000).sample(40, 3)
    models = [
        LatencyModel(WORKLOAD, shapes, [planted_latency(shape) for shape in shapes])
        for shapes in (chosen, [shape for shape in chosen if parameters(shape) < 5_000_000])
    ]
    knowing, ignorant = (judged(model, [shape for shape in twice if shape not in chosen]).median_error for model in models)
    assert knowing <= 0.04
    assert ignorant > 2 * knowing


def test_intervals_hold_what_they_say(model: LatencyModel) -> None:
    found = judged(model, CHECKED)
    assert found.coverage is not None
    assert 0.8 <= found.coverage <= 1.0
    assert found.width < 0.15


def test_intervals_are_as_wide_as_calm_measurements_need() -> None:
    latencies = [planted_latency(shape) for shape in FITTED]
    shaken = [
        dataclasses.replace(planted_latency(shape, slower=1.5), disturbed=True) if number % 4 == 0 else latency
        for number, (shape, latency) in enumerate(zip(FITTED, latencies, strict=True))
    ]
    calm, disturbed = (judged(LatencyModel(WORKLOAD, FITTED, taken), CHECKED) for taken in (latencies, shaken))
    assert disturbed.width < 2 * calm.width
    assert disturbed.coverage is not None
    assert disturbed.coverage >= 0.8


def test_many_shapes_are_predicted_as_few_are(model: LatencyModel) -> None:
    many = CHECKED * 12
    assert len(many) > PREDICTED_AT_ONCE
    assert model.milliseconds(many) == pytest.approx(np.tile(model.milliseconds(CHECKED), 12))
    predicted = [prediction.total for prediction in model.predict(many)]
    assert [total.ms for total in predicted[-3:]] == pytest.approx([total.ms for total in predicted[: len(CHECKED)][-3:]])


def test_a_point_is_left_out_as_if_it_had_not_been_there() -> None:
    random = np.random.default_rng(0)
    places, left, noise = random.normal(size=(9, 3)), random.normal(size=9), random.uniform(0.01, 0.1, 9)
    kernel, others = Kernel(1.4, 0.5, 0.3), np.arange(9) != 4
    mean, variance = Process(kernel, places[others], left[others], noise[others]).at(places[4:5])
    found = left_out(kernel.between(places, places), left[others], noise[others], others)
    assert found == pytest.approx((mean[0], variance[0]))


def test_equal_measurements_give_equal_predictions(model: LatencyModel) -> None:
    again = LatencyModel(WORKLOAD, FITTED, [planted_latency(shape) for shape in FITTED])
    assert again.predict(CHECKED[:5]) == model.predict(CHECKED[:5])


def test_a_disturbed_measurement_counts_less() -> None:
    latencies = [planted_latency(shape) for shape in FITTED]
    slow = {number: planted_latency(FITTED[number], slower=3.0) for number in range(0, len(FITTED), 8)}
    trusted = [slow.get(number, latency) for number, latency in enumerate(latencies)]
    wrong = [dataclasses.replace(latency, disturbed=number in slow) for number, latency in enumerate(trusted)]
    flagged, believed = (judged(LatencyModel(WORKLOAD, FITTED, taken), CHECKED).median_error for taken in (wrong, trusted))
    assert flagged < believed


def test_a_few_measurements_that_are_far_off_do_not_spoil_the_rest() -> None:
    latencies = [planted_latency(shape, slower=1.6 if number in (4, 21) else 1.0) for number, shape in enumerate(FITTED)]
    assert judged(LatencyModel(WORKLOAD, FITTED, latencies), CHECKED).median_error <= 0.04


def test_a_shape_outside_of_what_was_measured_is_marked(model: LatencyModel) -> None:
    inside, far = model.predict([CHECKED[0], named_shape("mobilellm-125m")])
    assert inside.outside is None
    assert far.outside is not None
    assert far.outside.startswith("parameters is 124,635,456, measured were ")
    assert far.total.deviation > inside.total.deviation


def test_normalised_queries_and_keys_have_a_price_where_shapes_with_and_without_them_were_measured() -> None:
    mixed = [dataclasses.replace(shape, qk_norm=place % 2 == 0) for place, shape in enumerate(FITTED)]
    model = LatencyModel(WORKLOAD, mixed, [planted_latency(shape) for shape in mixed])
    assert all("qk_norm" in names for names in model.terms)
    for qk_norm in (False, True):
        assert judged(model, [dataclasses.replace(shape, qk_norm=qk_norm) for shape in CHECKED]).median_error <= 0.04
    changed = [dataclasses.replace(shape, qk_norm=True) for shape in CHECKED]
    dearer = model.milliseconds(changed, "decode") / model.milliseconds(CHECKED, "decode")
    planted = np.array([planted_ms(one)[1] / planted_ms(other)[1] for one, other in zip(changed, CHECKED, strict=True)])
    assert np.median(np.abs(dearer / planted - 1)) < 0.03
    assert np.median(planted) > 1.1


def test_a_field_that_was_not_measured_is_outside_and_changes_no_price(model: LatencyModel) -> None:
    plain, changed = model.predict([CHECKED[0], dataclasses.replace(CHECKED[0], qk_norm=True)])
    assert (plain.outside, changed.outside) == (None, "qk_norm is true, measured were false")
    assert changed.total == plain.total
    assert "qk_norm" not in model.terms[0]
    free = dataclasses.replace(CHECKED[0], rope_theta=5e5, rms_norm_eps=1e-3)  # which cost no time
    assert model.predict([free])[0].outside is None


def test_few_shapes_still_give_positive_times() -> None:
    shapes = FITTED[:LEAST_SHAPES]
    model = LatencyModel(WORKLOAD, shapes, [planted_latency(shape) for shape in shapes])
    assert all(prediction.total.ms > 0 and prediction.total.deviation > 0 for prediction in model.predict(CHECKED))


def test_terms_are_the_closed_forms() -> None:
    for shape in (*CHECKED[:20], named_shape("mobilellm-ls-125m")):
        decode = decode_terms(Stack.of(shape), WORKLOAD)
        assert sum(decode[name] for name in WEIGHT_TERMS) + 4 * decode["cache"] == pytest.approx(decode_bytes(shape, 96, "float32"))
        assert min(decode.values()) >= 0
        assert min(prefill_terms(Stack.of(shape), WORKLOAD).values()) >= 0


def test_only_what_ran_just_before_is_read_again_from_a_cache() -> None:
    base = {
        "vocab_size": 64,
        "hidden_size": 64,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "intermediate_size": 96,
    }
    at_once, later = (
        decode_terms(Stack.of(Architecture(**base, num_unique_layers=3, sharing=Sharing(how, 2))), WORKLOAD)  # type: ignore[arg-type]
        for how in ("immediate", "repeat_all_over")
    )
    assert at_once["repeated weights"] == at_once["attention weights"] + at_once["mlp weights"]
    assert later["repeated weights"] == 0.0


def test_prices_find_a_planted_sum() -> None:
    random = np.random.default_rng(0)
    terms = random.uniform(1, 10, (40, 4))
    truth = np.array([2.0, 0.0, 0.5, 3.0])
    model = TimeModel(Prices(), terms, np.log(terms), terms @ truth)
    assert np.exp(model.trend(np.eye(4))) == pytest.approx(truth, abs=0.02)


def test_powers_find_a_planted_product_and_terms_that_say_the_same_are_one() -> None:
    random = np.random.default_rng(0)
    logs = np.log(random.uniform(1, 10, (40, 2)))
    terms = np.column_stack([np.ones(40), logs, logs[:, 0], np.full(40, 3.0)])
    model = TimeModel(Powers(), terms, logs, np.exp(0.3 + logs @ [1.0, -0.5]))
    assert model.trend(np.eye(5)) == pytest.approx([0.3, 1.0, -0.5, 0.0, 0.0], abs=0.01)


def test_intervals_and_errors_are_arithmetic() -> None:
    low, high = LatencyEstimate(100.0, 0.1).between()
    assert (low, high) == pytest.approx((100 * np.exp(-0.16449), 100 * np.exp(0.16449)), rel=1e-4)
    assert stretch(np.zeros(20)) == 1.0
    assert stretch(np.full(20, 2 * 1.6449)) == pytest.approx(2.0, rel=1e-3)
    found = errors(np.array([1.0, 2.2, 3.0]), np.full(3, 0.02), np.array([1.0, 2.0, 4.0]))
    assert found.median_error == pytest.approx(0.1)
    assert found.spearman == pytest.approx(1.0)
    assert found.coverage == pytest.approx(1 / 3)
    assert mean_errors([found, found]) == found


def test_times_that_are_all_alike_have_no_ranks() -> None:
    for predicted, measured in ((np.ones(5), np.arange(1.0, 6.0)), (np.arange(1.0, 6.0), np.ones(5))):
        found = errors(predicted, np.full(5, 0.1), measured)
        assert (found.spearman, found.kendall) == (None, None)
        assert "rank correlation" not in str(mean_errors([found, found]))
