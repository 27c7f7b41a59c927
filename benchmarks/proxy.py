"""How much a core-second of proxy training tells about the order of shapes.

    python -m benchmarks.proxy RESULTS.jsonl [--study STUDY.yaml] [--recipes RECIPES.yaml] [--only NAME ...] [--jobs 2]

Trains the study's references and as many sampled shapes as it has trials with every recipe, and with long reference recipes under
several seeds. Prints, for each recipe, its core-seconds a shape and Kendall's tau with every reference, by the mean of the reference's
seeds and by the seed that the recipe did not have, beside the ceiling: the tau of two seeds of the reference. Every run becomes a line
of RESULTS.jsonl at once; a second start makes the missing runs only. Losses do not depend on the machine's load; core-seconds do a little.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from analysis.agreement import agreement
from search_space.architecture import Architecture
from trials.corpus import prepare
from trials.driver.references import references
from trials.study import ProxySpec, load_study
from trials.text.blocks import TokenBlocks

SHAPE_SEED = 0
"""Of the sampled shapes."""
SHORT_SEED = 0
"""Of every recipe's runs: also the first seed of the references, whose initial weights and order of data they therefore share."""


@dataclass(frozen=True)
class Run:
    """One training that the comparison needs."""

    architecture: Architecture
    proxy: ProxySpec
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What names it in the results."""
        return self.architecture.key, recipe_key(self.proxy), self.seed


@dataclass(frozen=True)
class Comparison:
    """What is trained, and what is held against what."""

    shapes: Sequence[Architecture]
    recipes: dict[str, ProxySpec]
    references: dict[str, ProxySpec]
    seeds: tuple[int, ...]

    def runs(self) -> Iterator[Run]:
        """Every training; those of the recipes first."""
        for recipe in self.recipes.values():
            yield from (Run(shape, recipe, SHORT_SEED) for shape in self.shapes)
        for recipe in self.references.values():
            for seed in self.seeds:
                yield from (Run(shape, recipe, seed) for shape in self.shapes)


def recipe_key(proxy: ProxySpec) -> str:
    """A recipe as one string: what differs from the defaults."""
    return json.dumps(proxy.model_dump(exclude_defaults=True), sort_keys=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("results", type=Path, help="JSON lines: read, and added to")
    arguments.add_argument("--study", type=Path, default=Path("studies/quickstart.yaml"))
    arguments.add_argument("--recipes", type=Path, default=Path("benchmarks/proxy.yaml"))
    arguments.add_argument("--only", nargs="+", metavar="NAME", help="recipes to compare (default all)")
    arguments.add_argument("--jobs", type=int, default=1, help="processes of one thread")
    options = arguments.parse_args()
    study = load_study(options.study)
    named = yaml.safe_load(options.recipes.read_text(encoding="utf-8"))
    shapes = [shape for _, shape in references(study.references, study.search_space)]
    shapes += study.search_space.sample(study.search.trials, SHAPE_SEED)
    comparison = Comparison(
        shapes,
        {name: _changed(study.proxy, by) for name, by in named["recipes"].items() if not options.only or name in options.only},
        {name: _changed(study.proxy, by) for name, by in named["references"].items()},
        tuple(named["seeds"]),
    )
    done = {(row["key"], row["recipe"], row["seed"]): row for row in _rows(options.results)}
    missing = [run for run in comparison.runs() if run.key not in done]
    if missing:
        blocks = prepare(study.corpus, shapes[0].vocab_size)
        with (
            options.results.open("a", encoding="utf-8") as results,
            ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as processes,
        ):
            for future in as_completed([processes.submit(train_one, run, blocks) for run in missing]):
                row = future.result()
                done[row["key"], row["recipe"], row["seed"]] = row
                print(json.dumps(row), file=results, flush=True)
    report(comparison, done)


def train_one(run: Run, blocks: TokenBlocks) -> dict[str, Any]:
    from trials.proxy import train  # here, so that the parent process does not load torch

    _, training = train(run.architecture, blocks, run.proxy, seed=run.seed)
    assert training.validation is not None
    return {
        "key": run.architecture.key,
        "label": run.architecture.label,
        "recipe": recipe_key(run.proxy),
        "seed": run.seed,
        "tokens": training.tokens,
        "loss": training.validation.loss,
        "bits_per_byte": training.validation.bits_per_byte,
        "core_seconds": training.process_seconds,
    }


def report(comparison: Comparison, done: dict[tuple[str, str, int], dict[str, Any]]) -> None:
    """Print a table of losses, the shapes best first by the references, and a table of agreements."""

    def column(name: str, proxy: ProxySpec, seed: int) -> list[float]:
        return [done[shape.key, recipe_key(proxy), seed][name] for shape in comparison.shapes]

    short = {name: column("bits_per_byte", proxy, SHORT_SEED) for name, proxy in comparison.recipes.items()}
    long = {name: [column("bits_per_byte", proxy, seed) for seed in comparison.seeds] for name, proxy in comparison.references.items()}
    mean = {name: [fmean(values) for values in zip(*losses, strict=True)] for name, losses in long.items()}
    first = next(iter(mean.values()))
    print(f"bits per byte\n\n| shape | {' | '.join([*short, *(f'{name}, seed {seed}' for name in long for seed in comparison.seeds)])} |")
    columns = [*short.values(), *(losses for of_seeds in long.values() for losses in of_seeds)]
    print("|---" * (1 + len(columns)) + "|")
    for place in sorted(range(len(first)), key=first.__getitem__):
        print(f"| {comparison.shapes[place].label} | {' | '.join(f'{losses[place]:.3f}' for losses in columns)} |")
    for name, of_seeds in long.items():
        print(f"\nKendall's tau with {name}, and its 95 % interval over the {len(first)} shapes; ceiling {agreement(*of_seeds[:2])}\n")
        print("| recipe | core-seconds a shape | with the mean of the seeds | with the other seed |\n|---|---|---|---|")
        for recipe, proxy in comparison.recipes.items():
            cost = fmean(column("core_seconds", proxy, SHORT_SEED))
            print(f"| {recipe} | {cost:.1f} | {agreement(short[recipe], mean[name])} | {agreement(short[recipe], of_seeds[1])} |")


def _changed(proxy: ProxySpec, by: dict[str, Any]) -> ProxySpec:
    return ProxySpec.model_validate({**proxy.model_dump(exclude_defaults=True), **by})


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


if __name__ == "__main__":
    main()
