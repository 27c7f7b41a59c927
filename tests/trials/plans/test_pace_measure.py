"""What is timed for a plan: a few shapes, none of them too large, in processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from search_space import cost
from search_space.architecture import Architecture
from search_space.families import FAMILIES
from tests.support.fakes import small_study
from trials.plans.pace_measure import (
    LARGEST_WHOLE,
    LONGEST_TIMED_TOKENS,
    MOST_STEP_FLOPS,
    MOST_STEP_SECONDS,
    TIMED_SECONDS_OF_A_PLAN,
    WIDE_BLOCKS,
    Timed,
    measured_paces,
    spread_by_flops,
    time_requests,
    time_shapes,
)
from trials.plans.pace_model import StepLaw, covers
from trials.study.spec import ProxySpec, StudySpec
from trials.training.pace import StepTimes

HUGE = Architecture(
    vocab_size=32_000, hidden_size=8192, num_unique_layers=80, num_attention_heads=64, num_key_value_heads=8, head_dim=128,
    intermediate_size=28_672,
)  # fmt: skip


Noted = Callable[[ProxySpec, Architecture], object]


def fake_steps(monkeypatch: pytest.MonkeyPatch, note: Noted) -> list[Any]:
    """What `note` says of each recipe and shape whose steps would be timed; nothing is."""
    asked: list[Any] = []

    def steps(proxy: ProxySpec, shape: Architecture, *_: object, **__: object) -> StepTimes:
        asked.append(note(proxy, shape))
        return StepTimes(step_tokens=64, seconds_per_token=1e-3, start_seconds=0.0, evaluation_seconds_per_token=1e-4, processor_share=1.0)

    monkeypatch.setattr("trials.training.pace.time_steps", steps)
    return asked


def test_the_spread_goes_from_the_smallest_to_the_largest() -> None:
    study, _ = small_study()
    shapes = study.search_space.sample(40)
    chosen = spread_by_flops(shapes, study.proxy.context_tokens)
    flops = [cost.training_flops_per_token(shape, study.proxy.context_tokens) for shape in shapes]
    assert [cost.training_flops_per_token(shape, study.proxy.context_tokens) for shape in chosen][::2] == [min(flops), max(flops)]
    assert spread_by_flops(shapes[:1], study.proxy.context_tokens) == shapes[:1]


@pytest.mark.parametrize("name", ["mobilellm-pro", "mobilellm-1b"])
def test_no_block_larger_than_what_is_timed_is_ever_made(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = fake_steps(monkeypatch, lambda proxy, shape: shape)
    study, _ = small_study(references=[])
    shapes = [FAMILIES[name], HUGE]
    law = StepLaw.of(paces := time_shapes(study, shapes).paces)
    assert all(cost.parameters(shape) <= 1.1 * LARGEST_WHOLE for shape in made)
    assert made[1] in WIDE_BLOCKS
    assert covers(paces, shapes, study.proxy), "a block stands for the shape that it was timed for"
    assert law.seconds_per_token(HUGE, study.proxy) > law.seconds_per_token(FAMILIES[name], study.proxy)


def test_of_endless_sequences_short_ones_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_steps(monkeypatch, lambda proxy, shape: (proxy.context_tokens, proxy.batch_sequences))
    study, _ = small_study(proxy={"context_tokens": 10**8, "batch_sequences": 10**6})
    time_shapes(study, study.search_space.sample(2))
    assert all(context * sequences <= LONGEST_TIMED_TOKENS for context, sequences in asked)


def test_slow_products_make_the_timed_steps_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    def step_flops(proxy: ProxySpec, shape: Architecture) -> int:
        return proxy.context_tokens * proxy.batch_sequences * cost.training_flops_per_token(shape, proxy.context_tokens)

    asked = fake_steps(monkeypatch, step_flops)
    study, _ = small_study(proxy={"context_tokens": 2048, "batch_sequences": 1024, "precision": "bfloat16"})
    largest = []
    for flops_per_second in (1e12, 4e9):
        monkeypatch.setattr("trials.training.pace.products_per_second", lambda _, rate=flops_per_second: rate)
        asked.clear()
        time_shapes(study, [FAMILIES["mobilellm-125m"], FAMILIES["mobilellm-1b"], HUGE])
        assert max(asked) <= min(MOST_STEP_FLOPS, MOST_STEP_SECONDS * flops_per_second)
        largest.append(max(asked))
    assert largest[1] < largest[0]


def test_shapes_of_which_one_block_alike_is_timed_share_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_steps(monkeypatch, lambda proxy, shape: shape)
    monkeypatch.setattr("trials.training.pace.products_per_second", lambda _: 1e9)
    study, _ = small_study(proxy={"context_tokens": 2048, "batch_sequences": 1024})
    wide = FAMILIES["mobilellm-1b"]
    paces = time_shapes(study, [wide, replace(wide, num_unique_layers=27, layer_types=("full_attention",))]).paces
    assert (len(asked), len(paces)) == (1, 2)
    assert paces[0].stands_for_flops > paces[1].stands_for_flops


def test_no_recipe_is_begun_once_a_plan_has_timed_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[int] = []

    def noted(study: StudySpec, shapes: object) -> Timed:
        timed.append(study.proxy.batch_sequences)
        return Timed(paces=(), import_seconds=1.0, timed_seconds=0.4 * TIMED_SECONDS_OF_A_PLAN)

    monkeypatch.setattr("trials.plans.pace_measure.time_shapes", noted)
    requests = [(small_study(proxy={"batch_sequences": 1 + count})[0], ()) for count in range(64)]
    assert len(time_requests(requests)) == 3
    assert timed == [1, 2, 3]


@pytest.mark.more
@pytest.mark.slow
def test_processes_side_by_side_time_what_is_there(caplog: pytest.LogCaptureFixture) -> None:
    study, _ = small_study()
    shapes = spread_by_flops(study.search_space.sample(40), study.proxy.context_tokens, 2)
    [paces], overhead = measured_paces([(study, shapes)])
    assert "a few steps are timed" in caplog.text
    assert [pace.label for pace in paces] == [shape.label for shape in shapes]
    assert overhead.seconds["imports"] > 0
    small, large = (pace.seconds_per_token for pace in paces)
    flops = [cost.training_flops_per_token(shape, study.proxy.context_tokens) for shape in shapes]
    assert 1 < large / small < 5 * flops[1] / flops[0]  # each is timed for seconds, and others may be at work in some of them
    for pace in paces:
        assert pace.evaluation_flops_per_second is not None
        speed = pace.step_flops / pace.step_tokens / pace.seconds_per_token
        assert 0.3 < pace.evaluation_flops_per_second / speed < 10
