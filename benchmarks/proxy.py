"""How much a core-second of proxy training tells about the order of shapes.

    python -m benchmarks.proxy SET RESULTS.jsonl [--only NAME ...] [--jobs 2] [--report]

Trains every shape of a set in benchmarks/proxy.yaml with its long references, each under several seeds, and with every recipe under
the last. Prints for each recipe, at each of its lengths, its core-seconds a shape and Kendall's tau with every reference: the mean over
the pairs of runs that do not share a seed, since equal initial weights and equal data agree more than they should. Beside them stands
the ceiling, the tau of two seeds of the reference. Every run becomes a line of RESULTS.jsonl at once; a second start makes the missing
runs only. Losses do not depend on the machine's load; core-seconds do a little.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from analysis.records.files import append_line, complete_lines
from analysis.statistics.rank_correlation import RankCorrelation, mean_rank_correlation
from benchmarks.proxy_contenders import CONTENDERS, Point
from search_space.architecture import Architecture
from trials.corpus.blocks import TokenBlocks
from trials.corpus.prepare import prepare_corpus
from trials.machine.process_pool import side_by_side
from trials.study.corpus_spec import CorpusSpec
from trials.study.load_study import load_study
from trials.study.section import parsed
from trials.study.spec import ProxySpec
from trials.trial.references import references

SETS = Path(__file__).with_suffix(".yaml")
SHAPE_SEED = 0
"""Of shapes that are sampled."""


@dataclass(frozen=True)
class Recipe:
    """One way to train a shape, and who does it."""

    contender: str
    proxy: ProxySpec
    key: str
    """The recipe as one string, as it is stated: a default that changes does not make another one of it."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Recipe:
        """From what a file says: a `proxy` section, and maybe a contender."""
        proxy = {name: value for name, value in values.items() if name != "contender"}
        parsed_proxy = parsed(ProxySpec, proxy, str(SETS), "docs/study.md")
        return cls(values.get("contender", "ours"), parsed_proxy, json.dumps(dict(values), sort_keys=True))


@dataclass(frozen=True)
class Comparison:
    """What is trained, and what is held against what."""

    corpus: CorpusSpec
    shapes: Sequence[Architecture]
    recipes: dict[str, Recipe]
    references: dict[str, Recipe]
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, values: Mapping[str, Any], only: Sequence[str] | None) -> Comparison:
        """A set as the file has it, or as much of it as is asked for."""
        if "study" in values:
            study = load_study(values["study"])
            corpus, common = study.corpus, study.proxy.model_dump(mode="json", exclude_defaults=True)
            shapes = [shape for _, shape in references(study.references, study.search_space)]
            shapes += study.search_space.sample(study.search.trials, SHAPE_SEED)
            shapes = shapes[: values.get("first")]
        else:
            corpus, common = parsed(CorpusSpec, values["corpus"], str(SETS), "docs/study.md"), values["common"]
            shapes = [Architecture.from_dict({"vocab_size": values["vocab_size"], **shape}) for shape in values["shapes"]]

        def named(section: str) -> dict[str, Recipe]:
            return {name: Recipe.of({**common, **by}) for name, by in values[section].items() if not only or name in only}

        return cls(corpus, shapes, named("recipes"), named("references"), tuple(values["seeds"]))

    def runs(self) -> Iterator[tuple[Architecture, Recipe, int]]:
        """Every training: the references under the first seed, the recipes under the last one, the references under the others."""
        several = [(self.references, self.seeds[0]), (self.recipes, self.seeds[-1]), *((self.references, seed) for seed in self.seeds[1:])]
        for recipes, seed in several:
            for recipe in recipes.values():
                yield from ((shape, recipe, seed) for shape in self.shapes)


Results = dict[tuple[str, str, int], list[Point]]
"""By shape, recipe and seed."""


def main() -> None:
    sets = yaml.safe_load(SETS.read_text(encoding="utf-8"))
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("set", choices=sets, help="of benchmarks/proxy.yaml")
    arguments.add_argument("results", type=Path, help="JSON lines: read, and added to")
    arguments.add_argument("--only", nargs="+", metavar="NAME", help="references and recipes to train and compare (default all)")
    arguments.add_argument("--jobs", type=int, default=1, help="processes of one thread")
    arguments.add_argument("--report", action="store_true", help="train nothing; leave out what has not been run for every shape")
    options = arguments.parse_args()
    comparison = Comparison.of(sets[options.set], options.only)
    done = read_results(options.results)
    missing = [] if options.report else [run for run in comparison.runs() if _key(*run) not in done]
    if missing:
        blocks = prepare_corpus(comparison.corpus, comparison.shapes[0].vocab_size)
        for place, points in side_by_side(train_one, [(*run, blocks) for run in missing], options.jobs, lower="--jobs"):
            shape, recipe, seed = missing[place]
            done[_key(*missing[place])] = points
            named = {"label": shape.label, "key": shape.key, "recipe": recipe.key, "seed": seed}
            append_line(options.results, {**named, "points": [asdict(point) for point in points]})
    report(comparison, done)


def train_one(shape: Architecture, recipe: Recipe, seed: int, blocks: TokenBlocks) -> list[Point]:
    return CONTENDERS[recipe.contender](shape, blocks, recipe.proxy, seed)


def read_results(path: Path) -> Results:
    rows = [json.loads(line) for _, line in complete_lines(path)]
    return {(row["key"], row["recipe"], row["seed"]): [Point(**point) for point in row["points"]] for row in rows}


def report(comparison: Comparison, done: Results) -> None:
    """Print a table of losses, the shapes best first by the references, and for each reference a table of agreements."""
    ours = {name: _complete(comparison, recipe, done) for name, recipe in {**comparison.references, **comparison.recipes}.items()}
    long = {name: ours[name] for name in comparison.references if ours[name]}
    if not long:
        print("no reference has been trained for every shape yet")
        return
    columns = {f"{name}, seed {seed}": [p[-1].bits_per_byte for p in points] for name in ours for seed, points in ours[name].items()}
    first = next(iter(long.values()))
    mean = [fmean(points[place][-1].bits_per_byte for points in first.values()) for place in range(len(comparison.shapes))]
    print(f"bits per byte\n\n| shape | {' | '.join(columns)} |\n{'|---' * (1 + len(columns))}|")
    for place in sorted(range(len(mean)), key=mean.__getitem__):
        print(f"| {comparison.shapes[place].label} | {' | '.join(f'{losses[place]:.3f}' for losses in columns.values())} |")
    for name, of_seeds in long.items():
        longest = {seed: [points[-1].bits_per_byte for points in of_seed] for seed, of_seed in of_seeds.items()}
        ceiling = _mean([(longest[a], longest[b]) for a, b in combinations(longest, 2)])
        print(f"\nKendall's tau with {name}, 95 % intervals over {len(mean)} shapes; ceiling {ceiling or 'unknown: one seed'}\n")
        print("| recipe | tokens | core-seconds a shape | tau | of the ceiling |\n|---|---|---|---|---|")
        for recipe, of_recipe in ours.items():
            for length in range(len(next(iter(of_recipe.values()), [[]])[0])):
                _print_agreement(recipe, {seed: [p[length] for p in points] for seed, points in of_recipe.items()}, longest, ceiling)


def _print_agreement(
    recipe: str, of_seeds: Mapping[int, Sequence[Point]], longest: Mapping[int, list[float]], ceiling: RankCorrelation | None
) -> None:
    pairs = [
        ([point.bits_per_byte for point in points], losses)
        for seed, points in of_seeds.items()
        for other, losses in longest.items()
        if seed != other
    ]
    every = [point for points in of_seeds.values() for point in points]
    found = _mean(pairs)
    if found is not None:
        share = f"{found.tau / ceiling.tau:.2f}" if ceiling else "–"
        seconds = [point.core_seconds for point in every if point.core_seconds is not None]
        print(f"| {recipe} | {every[0].tokens:,} | {f'{fmean(seconds):.1f}' if seconds else '–'} | {found} | {share} |")


def _mean(pairs: Sequence[tuple[list[float], list[float]]]) -> RankCorrelation | None:
    return mean_rank_correlation(pairs) if pairs else None


def _complete(comparison: Comparison, recipe: Recipe, done: Results) -> dict[int, list[list[Point]]]:
    """The points of every shape by seed, for seeds that have all of them."""
    found = {seed: [done.get(_key(shape, recipe, seed)) for shape in comparison.shapes] for seed in comparison.seeds}
    return {seed: [p for p in points if p is not None] for seed, points in found.items() if None not in points}


def _key(shape: Architecture, recipe: Recipe, seed: int) -> tuple[str, str, int]:
    return shape.key, recipe.key, seed


if __name__ == "__main__":
    main()
