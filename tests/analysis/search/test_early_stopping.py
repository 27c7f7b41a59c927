"""Which trials stop at a rung: what the judgement must never do, and what it keeps of planted fronts."""

import numpy as np
import pytest

from analysis.fronts.domination import hypervolume, non_dominated
from analysis.objectives.problem import problem_of
from analysis.search.early_stopping import LEAST_CHANCE, LEAST_FINISHED, LearningCurve, decide_stop, learning_curve
from benchmarks.stopping import ours, run
from search_space.errors import SpecError
from tests.support.sample_study import sample_records
from trials.study.search_spec import RUNGS

WHOLE = 16_384
TOKENS = WHOLE // 16


def curve(number: int, latency_ms: float | None, loss: float, final: float | None = None, tokens: int = TOKENS) -> LearningCurve:
    known = None if latency_ms is None else (latency_ms,)
    return LearningCurve(number=number, known=known, seen={tokens: loss}, final=final)


def latency_ms(curve: LearningCurve) -> float:
    assert curve.known is not None
    return curve.known[0]


FINISHED = [curve(number, 10.0 + number, 3.0 - 0.01 * number, 2.3 - 0.005 * number) for number in range(12)]


def test_a_slow_shape_that_is_far_behind_stops() -> None:
    decision = decide_stop(curve(20, 40.0, 3.4), FINISHED, TOKENS)
    assert not decision.goes_on
    assert decision.chance < LEAST_CHANCE
    assert "its chance of adding to the front was" in decision.reason


def test_the_fastest_shape_goes_on_whatever_it_lost() -> None:
    assert decide_stop(curve(20, 5.0, 9.0), FINISHED, TOKENS).goes_on


def test_while_few_have_finished_everything_goes_on() -> None:
    stopped = [curve(number, 10.0, 2.0) for number in range(30, 50)]
    assert decide_stop(curve(20, 40.0, 3.4), FINISHED[: LEAST_FINISHED - 1] + stopped, TOKENS).goes_on


def test_only_losses_after_equally_many_tokens_count() -> None:
    elsewhere = [curve(other.number, latency_ms(other), 1.0, other.final, tokens=2 * TOKENS) for other in FINISHED]
    own = curve(20, 40.0, 3.4)
    assert decide_stop(own, elsewhere, TOKENS).goes_on
    assert decide_stop(own, FINISHED + elsewhere, TOKENS) == decide_stop(own, FINISHED, TOKENS)


@pytest.mark.parametrize("twin", FINISHED)
def test_a_tie_with_the_front_does_not_stop(twin: LearningCurve) -> None:
    assert decide_stop(curve(20, latency_ms(twin), twin.seen[TOKENS]), FINISHED, TOKENS).goes_on


def test_a_shape_without_a_latency_is_not_judged() -> None:
    assert decide_stop(curve(20, None, 9.0), FINISHED, TOKENS).goes_on


def test_the_order_of_the_others_does_not_matter() -> None:
    own = curve(20, 40.0, 3.05)
    one, other = decide_stop(own, FINISHED, TOKENS), decide_stop(own, FINISHED[::-1], TOKENS)
    assert one.goes_on == other.goes_on
    assert one.chance == pytest.approx(other.chance)
    assert decide_stop(own, FINISHED, TOKENS) == one


def planted(seed: int, count: int = 120) -> list[LearningCurve]:
    """Curves that come closer to each other as they fall, with noise that fades; slower shapes are a little better."""
    random = np.random.default_rng(seed)
    latency = np.exp(random.normal(4.0, 0.6, count))
    final = 2.3 - 0.02 * np.log(latency / 50) + random.normal(0, 0.05, count)
    curves = []
    for number in range(count):
        seen = {
            round(share * WHOLE): float(final[number] + 0.2 * (1 / share - 1) ** 0.5 + random.normal(0, 0.03 * (1 - share)))
            for share in (*RUNGS, 1.0)
        }
        curves.append(LearningCurve(number=number, known=(float(latency[number]),), seen=seen, final=float(final[number])))
    return curves


@pytest.mark.more
@pytest.mark.slow
def test_planted_fronts_are_kept_for_a_fraction_of_the_tokens() -> None:
    spent, kept = [], []
    for seed in range(8):
        curves = planted(seed)
        ran = run(curves, ours, RUNGS)
        points = [(latency_ms(curve), float(curve.final or 0)) for curve in curves]
        corner = (float(np.median([point[0] for point in points])) * 2, float(np.median([point[1] for point in points])))
        finished = [points[curve.number] for curve, _ in ran if curve.final is not None]
        spent.append(sum(share for _, share in ran) / len(curves))
        kept.append(hypervolume(finished, corner) / hypervolume(points, corner))
        assert non_dominated(finished)
    assert np.median(kept) > 0.98
    assert np.median(spent) < 0.5


def test_three_objectives_are_judged_with_two_of_them_known_before() -> None:
    three = problem_of(["bits_per_byte", "total_ms", "kv_cache_bytes"])

    def at(ms: float, cache: float, loss: float, final: float | None = None, number: int = 20) -> LearningCurve:
        return LearningCurve(number=number, known=(ms, cache), seen={TOKENS: loss}, final=final)

    done = [at(10.0 + n, 2e5 - 1e4 * n, 3.0 - 0.01 * n, 2.3 - 0.005 * n, number=n) for n in range(12)]
    assert decide_stop(at(5.0, 1e6, 9.0), done, TOKENS, three).goes_on, "the fastest, whatever its cache and its loss"
    assert decide_stop(at(100.0, 1e4, 9.0), done, TOKENS, three).goes_on, "the smallest cache, whatever its time and its loss"
    slow_and_large = decide_stop(at(60.0, 1e6, 3.4), done, TOKENS, three)
    assert not slow_and_large.goes_on
    assert "needed at its 60.0 ms and 1.00 MB of KV cache" in slow_and_large.reason
    assert decide_stop(at(60.0, 1e6, 2.0), done, TOKENS, three).goes_on, "a loss that is far below all others"
    assert decide_stop(at(18.0, 1.2e5, 2.93), done, TOKENS, three).goes_on
    lacking = LearningCurve(number=20, known=None, seen={TOKENS: 9.0}, final=None)
    assert "it has no latency and KV cache to be judged by" in decide_stop(lacking, done, TOKENS, three).reason


def test_a_third_objective_that_all_shapes_share_changes_no_decision() -> None:
    three = problem_of(["bits_per_byte", "total_ms", "weight_bytes"])
    for own in (curve(20, 40.0, 3.4), curve(20, 15.5, 2.95), curve(20, 40.0, 2.7), curve(20, 5.0, 9.0)):
        wide = [LearningCurve(number=c.number, known=(latency_ms(c), 1e6), seen=c.seen, final=c.final) for c in (*FINISHED, own)]
        assert decide_stop(wide[-1], wide[:-1], TOKENS, three).goes_on == decide_stop(own, FINISHED, TOKENS).goes_on


def test_a_curve_is_read_by_the_objectives_of_the_study() -> None:
    record = next(record for record in sample_records() if record.finished)
    read = learning_curve(record, problem_of(["kv_cache_bytes", "bits_per_byte", "total_ms"]))
    assert record.latency is not None
    assert read.known == (record.costs.kv_cache_bytes, record.latency.total_ms.median)
    with pytest.raises(SpecError, match="bits_per_byte is the only objective that a training tells"):
        learning_curve(record, problem_of(["next_token_accuracy", "total_ms"]))
