"""How far the quickstart's short training ranks shapes as a longer one does.

    python -m benchmarks.quickstart_ranking RESULTS.jsonl [--study studies/quickstart.yaml] [--jobs 2]

Trains sampled shapes of the study and its references once with the study's recipe and twice, with two seeds, on 1,200,000 tokens,
seven times the quickstart's. Prints Kendall's tau between the short ranking and the long ones beside the ceiling: the tau of the two
long ones. Every run becomes a line of RESULTS.jsonl at once; a second start makes the missing runs only. Losses do not depend on the
machine's load; the core-seconds beside them do.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from analysis.agreement import agreement
from search_space.architecture import Architecture
from trials.corpus import prepare
from trials.driver.references import references
from trials.study import ProxySpec, load_study
from trials.text.blocks import TokenBlocks

LONG_TOKENS = 1_200_000
SHAPE_SEED = 0
"""Of the sampled shapes; as many of them as the study has trials."""
LONG_SEEDS = (0, 1)


@dataclass(frozen=True)
class Run:
    """One training that the comparison needs."""

    architecture: Architecture
    tokens: int
    seed: int

    @property
    def key(self) -> tuple[str, int, int]:
        """What names it in the results."""
        return self.architecture.key, self.tokens, self.seed


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("results", type=Path, help="JSON lines: read, and added to")
    arguments.add_argument("--study", type=Path, default=Path("studies/quickstart.yaml"))
    arguments.add_argument("--jobs", type=int, default=1, help="processes of one thread")
    options = arguments.parse_args()
    study = load_study(options.study)
    if study.proxy.tokens is None:
        raise SystemExit("the study's proxy must have a budget of tokens")
    shapes = [shape for _, shape in references(study.references, study.search_space)]
    shapes += study.search_space.sample(study.search.trials, SHAPE_SEED)
    done = {(row["key"], row["planned_tokens"], row["seed"]): row for row in rows(options.results)}
    short = study.proxy.tokens
    wanted = [Run(shape, short, 0) for shape in shapes] + [Run(shape, LONG_TOKENS, seed) for seed in LONG_SEEDS for shape in shapes]
    missing = [run for run in wanted if run.key not in done]
    if missing:
        blocks = prepare(study.corpus, shapes[0].vocab_size)
        with (
            options.results.open("a", encoding="utf-8") as results,
            ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as processes,
        ):
            for future in as_completed([processes.submit(train_one, run, blocks, study.proxy) for run in missing]):
                row = future.result()
                done[row["key"], row["planned_tokens"], row["seed"]] = row
                print(json.dumps(row), file=results, flush=True)
    report(shapes, short, done)


def train_one(run: Run, blocks: TokenBlocks, proxy: ProxySpec) -> dict[str, Any]:
    from trials.proxy import train  # here, so that the parent process does not load torch

    longer = proxy.model_copy(update={"tokens": run.tokens})
    _, training = train(run.architecture, blocks, longer, seed=run.seed)
    assert training.validation is not None
    return {
        "key": run.architecture.key,
        "label": run.architecture.label,
        "planned_tokens": run.tokens,
        "seed": run.seed,
        "tokens": training.tokens,
        "loss": training.validation.loss,
        "bits_per_byte": training.validation.bits_per_byte,
        "core_seconds": training.process_seconds,
    }


def rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def report(shapes: list[Architecture], short_tokens: int, done: dict[tuple[str, int, int], dict[str, Any]]) -> None:
    """Print the table, the shapes best first by the mean of the long runs, and the agreements."""

    def column(name: str, tokens: int, seed: int) -> list[float]:
        return [done[shape.key, tokens, seed][name] for shape in shapes]

    short = column("bits_per_byte", short_tokens, 0)
    longs = [column("bits_per_byte", LONG_TOKENS, seed) for seed in LONG_SEEDS]
    mean = [fmean(values) for values in zip(*longs, strict=True)]
    print("| shape | short | long, seed 0 | long, seed 1 |\n|---|---|---|---|")
    for i in sorted(range(len(shapes)), key=mean.__getitem__):
        print(f"| {shapes[i].label} | {short[i]:.3f} | {longs[0][i]:.3f} | {longs[1][i]:.3f} |")
    print(f"\nbits per byte; {sum(column('core_seconds', short_tokens, 0)):.0f} core-seconds for the {len(shapes)} short runs\n")
    print(f"Kendall's tau, with its 95 % interval over the shapes:\n  short and long, mean of two seeds: {agreement(short, mean)}")
    for seed, long in zip(LONG_SEEDS, longs, strict=True):
        print(f"  short and long, seed {seed}: {agreement(short, long)}")
    print(f"  the two long ones (ceiling): {agreement(*longs)}")


if __name__ == "__main__":
    main()
