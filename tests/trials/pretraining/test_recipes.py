"""Recipes of long trainings: the published figures, a file's, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from search_space.cost import parameters
from search_space.errors import SpecError
from search_space.families import FAMILIES, family
from trials.pretraining.recipes import RECIPES, TrainingRecipe, recipe_by_size, recipe_named
from trials.study.budget_defaults import ROWS
from trials.training.optimizers import BETAS, EPSILON
from trials.training.schedules import COSINE_FLOOR, RunLength, rate_factor

SHAPE = family("mobilellm-125m")


@pytest.mark.parametrize(("name", "steps", "tokens"), [("mobilellm-120k", 120_000, 0.25e12), ("mobilellm-480k", 480_000, 1e12)])
def test_a_published_recipe_has_its_papers_figures(name: str, steps: int, tokens: float) -> None:
    proxy = recipe_named(name).of(SHAPE)
    plan = RunLength.of(proxy, SHAPE)
    assert (plan.tokens_per_step, plan.steps) == (32 * 32 * 2048, steps)
    assert proxy.tokens == pytest.approx(tokens, rel=0.01)
    assert (proxy.optimizer, proxy.learning_rate, proxy.weight_decay, proxy.precision) == ("adamw", 2e-3, 0.1, "bfloat16")
    assert (BETAS, EPSILON, COSINE_FLOOR) == ((0.9, 0.95), 1e-8, 0.1)
    rates = [rate_factor(proxy, plan.share(step + 0.5, 0.0)) for step in (0, 499, 999, 1000, steps - 1)]
    assert rates[:3] == pytest.approx([0.5 / 1000, 499.5 / 1000, 999.5 / 1000])
    assert rates[3] == pytest.approx(1.0, abs=1e-6)
    assert rates[4] == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_warm_up_is_so_many_steps_whatever_the_shape_and_the_length(name: str) -> None:
    shape = family(name)
    for steps, warm in ((7, 3), (1_000, 1), (12_345, 777)):
        recipe = TrainingRecipe(
            "x", "x", {"steps": steps, "warmup_steps": warm, "batch_sequences": 3, "context_tokens": 50, "schedule": "cosine"}
        )
        proxy = recipe.of(shape)
        plan = RunLength.of(proxy, shape)
        assert plan.steps == steps
        below = [rate_factor(proxy, plan.share(step + 0.5, 0.0)) for step in range(warm)]
        assert below == pytest.approx([(step + 0.5) / warm for step in range(warm)])
        shorter = recipe.of(shape, 150 * (warm + 5))
        assert (RunLength.of(shorter, shape).steps, shorter.warmup) == (warm + 5, warm / (warm + 5))


@pytest.mark.parametrize("length", [{"steps": 1_000}, {"steps": "1k"}, {"steps": "1,000"}, {"tokens_per_parameter": 1}])
@pytest.mark.parametrize("decay", [0.2, 0.97, 0.99])
def test_a_warm_up_in_steps_leaves_the_rest_to_the_decay(length: dict[str, Any], decay: float) -> None:
    recipe = TrainingRecipe("x", "x", {**length, "warmup_steps": 10, "decay": decay, "batch_sequences": 2, "context_tokens": 16})
    proxy = recipe.of(SHAPE)
    steps = RunLength.of(proxy, SHAPE).steps
    assert steps == (1_000 if "steps" in length else round(parameters(SHAPE) / 32))
    assert (proxy.decay, proxy.warmup) == (decay, 10 / steps)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.parameters:,}")
def test_a_configuration_has_the_default_of_its_size(row: Any) -> None:
    from trials.export.resizing import resized

    shape = resized(SHAPE, row.parameters, row.vocab_size, row.head_dim).shape
    proxy = recipe_by_size(shape).of(shape)
    assert (proxy.context_tokens, proxy.batch_sequences * proxy.context_tokens) == (row.context_tokens, row.step_tokens)
    assert proxy.tokens == pytest.approx(row.tokens_per_parameter * parameters(shape), rel=0.02)


def test_a_file_is_a_recipe_and_says_its_source(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"source": "a table", "tokens_per_parameter": 2, "batch_sequences": 4, "context_tokens": 16}))
    recipe = recipe_named(str(file))
    assert recipe.source == "a table"
    assert recipe.of(SHAPE).tokens == pytest.approx(2 * parameters(SHAPE), abs=64)
    assert recipe.of(SHAPE, 6_400).tokens == 6_400


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "must have exactly one of steps, tokens"),
        ({"steps": 5, "tokens": 100}, "must have exactly one of steps"),
        ({"seconds": 5}, "must have a length that a training can be continued at"),
        ({"steps": 0}, "steps must be a whole number"),
        ({"steps": 10, "warmup_steps": 10}, "warmup_steps must be less than the steps"),
        ({"steps": 10, "warmup_steps": 1, "warmup": 0.1}, "must have warmup or warmup_steps"),
        ({"steps": 10, "warmup_steps": 2, "decay": 0.9}, "decay"),
        ({"steps": 10, "cooldowns": [0.5]}, "must have no cooldowns"),
        ({"steps": "20 apples"}, "steps must be a whole number"),
        ({"steps": "1.5"}, "steps must be a whole number"),
        ({"steps": 10, "schedule": "linear"}, "schedule"),
        ({"steps": 10, "step_size": 3}, "is unknown"),
        ({"steps": 10, "learning_rate": "fast"}, "learning_rate"),
        ([1], "must be a mapping"),
    ],
)
def test_what_is_no_recipe_is_one_sentence(values: Any, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(SpecError, match=said):
        recipe_named(str(file)).of(SHAPE)


def test_a_name_that_there_is_not_names_the_nearest() -> None:
    with pytest.raises(SpecError, match=next(iter(RECIPES))):
        recipe_named("mobilellm-120")
