"""The comparison of recipes reads its sets, and holds against each other only what does not share a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import yaml

from benchmarks.proxy import SETS, Comparison, Results, read_results, report
from benchmarks.proxy_contenders import Point, averaged, ours, trainer
from search_space.cost import parameters
from search_space.sharing import Sharing
from tests.trials.training.test_footprint import SHAPE
from trials.corpus.blocks import TokenBlocks
from trials.study.spec import ProxySpec

EVERY = yaml.safe_load(SETS.read_text(encoding="utf-8"))
SET = EVERY["0.3M"]


def results(comparison: Comparison, losses: Mapping[tuple[str, int], Sequence[float]]) -> Results:
    found: Results = {}
    for (name, seed), of_shapes in losses.items():
        recipe = {**comparison.references, **comparison.recipes}[name]
        for shape, loss in zip(comparison.shapes, of_shapes, strict=True):
            found[shape.key, recipe.key, seed] = [Point(1000, loss, 5.0)]
    return found


@pytest.mark.parametrize(("name", "size"), [("0.3M", 300_000), ("1M", 1_000_000), ("quickstart", 250_000), ("demo", 250_000)])
def test_the_shapes_of_a_set_have_one_size(name: str, size: int) -> None:
    comparison = Comparison.of(EVERY[name], None)
    assert len({shape.key for shape in comparison.shapes}) >= 12
    assert all(parameters(shape) == pytest.approx(size, rel=0.0101) for shape in comparison.shapes)


@pytest.mark.parametrize("name", ["0.3M", "1M", "demo"])
def test_results_that_are_kept_are_of_shapes_and_recipes_of_their_set(name: str) -> None:
    comparison = Comparison.of(EVERY[name], None)
    recipes = {recipe.key for recipe in (*comparison.references.values(), *comparison.recipes.values())}
    kept = read_results(SETS.parent / "results" / f"proxy-{name}.jsonl")
    assert kept
    assert {(recipe, seed) for _, recipe, seed in kept} <= {(recipe, seed) for recipe in recipes for seed in comparison.seeds}
    if comparison.recipes:
        assert {key for key, _, _ in kept} == {shape.key for shape in comparison.shapes}


def test_recipes_are_trained_under_one_seed_and_references_under_all() -> None:
    comparison = Comparison.of(SET, ["Muon, 2.4M tokens", "Muon 0.02 16 x 32"])
    runs = list(comparison.runs())
    assert len(runs) == 3 * len(comparison.shapes)
    assert {seed for _, recipe, seed in runs if recipe in comparison.recipes.values()} == {comparison.seeds[-1]}


def test_a_recipe_is_held_against_the_seed_that_it_does_not_share(capsys: pytest.CaptureFixture[str]) -> None:
    comparison = Comparison.of(SET, ["Muon, 2.4M tokens", "Muon 0.02 16 x 32"])
    up = [float(place) for place in range(len(comparison.shapes))]
    last = comparison.seeds[-1]
    losses = {("Muon, 2.4M tokens", 0): up, ("Muon, 2.4M tokens", 1): up[::-1], ("Muon 0.02 16 x 32", last): up}
    report(comparison, results(comparison, losses))
    printed = capsys.readouterr().out
    assert "ceiling -1.00 (-1.00 to -1.00)" in printed
    assert "| Muon 0.02 16 x 32 | 1,000 | 5.0 | 1.00 (1.00 to 1.00) | -1.00 |" in printed


def test_what_has_not_been_run_for_every_shape_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    comparison = Comparison.of(SET, ["Muon, 2.4M tokens", "Muon 0.02 16 x 32"])
    report(comparison, {})
    assert "no reference" in capsys.readouterr().out
    report(comparison, results(comparison, {("Muon, 2.4M tokens", 0): [float(place) for place in range(len(comparison.shapes))]}))
    assert "unknown: one seed" in capsys.readouterr().out


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_contender_learns_shared_blocks_too() -> None:
    ids = np.tile(np.random.default_rng(0).integers(0, SHAPE.vocab_size, 50), 100).astype(np.uint16)
    blocks = TokenBlocks(ids, ids, ids, SHAPE.vocab_size, np.ones(SHAPE.vocab_size, np.int32), "made up", "0" * 64, None)
    shape = replace(SHAPE, num_unique_layers=1, sharing=Sharing("immediate", 2), layer_types=("full_attention",))
    proxy = ProxySpec(
        tokens=8_192,
        context_tokens=16,
        batch_sequences=8,
        learning_rate=0.01,
        muon_learning_rate=0.02,
        evaluations=1,
        evaluation_tokens=512,
    )
    nothing = np.log2(SHAPE.vocab_size)
    cooldowns = ours(shape, blocks, proxy.model_copy(update={"cooldowns": (0.5,)}), 0)
    assert [point.tokens for point in cooldowns] == [4_096, 8_192]
    assert (cooldowns[0].core_seconds or 0) < (cooldowns[1].core_seconds or 0)
    for points in (
        cooldowns,
        averaged(shape, blocks, proxy, 0),
        trainer(shape, blocks, proxy.model_copy(update={"optimizer": "adamw"}), 0),
    ):
        assert points[-1].tokens == 8_192
        assert points[-1].bits_per_byte < 0.9 * nothing
