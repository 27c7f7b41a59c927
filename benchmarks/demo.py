"""Whether what the quickstart recommends is worth it: ten runs with ten seeds, each recommended shape trained to 20 tokens a parameter.

    python -m benchmarks.demo DIRECTORY RESULTS.jsonl [--runs 10] [--only runs | trainings | latencies | report]

Runs studies/quickstart.yaml under each seed in DIRECTORY, trains every recommended shape as the set `demo` of benchmarks/proxy.yaml does,
under both of its seeds, into RESULTS.jsonl, and measures the latencies of all shapes there one after another. Then it says of each run
(a) whether the recommended shape is within 1 % in bits per byte of the best one that has no more latency, and (b) whether the references'
loss, interpolated at its latency, beats it beyond the noise. Each step makes what is missing; shapes that coincide are trained once.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import yaml

from analysis.fronts.membership import NORMAL
from analysis.records.files import append_line, read_lines
from benchmarks.proxy import SETS, Comparison, Recipe, read_results, train_one
from search_space.architecture import Architecture
from trials.corpus.prepare import prepare_corpus
from trials.latency.process import LatencyProcess
from trials.reporting.stored_study import read_study
from trials.study.load_study import load_study
from trials.trial.references import references

STUDY = Path("studies/quickstart.yaml")
REFERENCE = "5M tokens"
WITHIN = 0.01
"""How far in bits per byte a recommended shape may be from the best known one with no more latency."""


@dataclass(frozen=True)
class Known:
    """A shape that was trained long."""

    label: str
    bits_per_byte: float
    seeds: int
    total_ms: float


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("directory", type=Path, help="where the runs go")
    arguments.add_argument("results", type=Path, help="JSON lines of long trainings: read, and added to")
    arguments.add_argument("--runs", type=int, default=10)
    arguments.add_argument("--only", choices=["runs", "trainings", "latencies", "report"], help="one step (default all)")
    options = arguments.parse_args()
    steps = [options.only] if options.only else ["runs", "trainings", "latencies", "report"]
    comparison = Comparison.of(yaml.safe_load(SETS.read_text(encoding="utf-8"))["demo"], [REFERENCE])
    if "runs" in steps:
        for seed in range(options.runs):
            run(options.directory, seed)
    found = recommended(options.directory, options.runs)
    if "trainings" in steps:
        train(comparison, list(found.values()), options.results)
    if "latencies" in steps:
        measure(comparison, list(found.values()), options.results, latencies_file(options.directory))
    if "report" in steps:
        report(comparison, found, options.results, latencies_file(options.directory))


def latencies_file(directory: Path) -> Path:
    return directory / "latencies.jsonl"


def run(directory: Path, seed: int) -> None:
    """The study under one seed, or what is left of it; takes over no training of another run."""
    text = STUDY.read_text(encoding="utf-8")
    assert text.count("\n  seed: 0\n") == 1
    directory.mkdir(parents=True, exist_ok=True)
    study = directory / f"{seed}.yaml"
    study.write_text(text.replace("\n  seed: 0\n", f"\n  seed: {seed}\n  reuse: false\n"), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("archfront")), "run", str(study), "--directory", str(directory / str(seed))]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def recommended(directory: Path, runs: int) -> dict[int, Architecture]:
    """What each run that is over recommends, by its seed."""
    found = {}
    for seed in range(runs):
        if (directory / str(seed) / "finals.jsonl").exists():
            stored = read_study(directory / str(seed))
            number = stored.membership.recommended
            assert number is not None
            found[seed] = stored.record(number).architecture
    return found


def train(comparison: Comparison, shapes: Sequence[Architecture], results: Path) -> None:
    """The long trainings of these shapes and the references that are missing."""
    recipe, done = comparison.references[REFERENCE], read_results(results)
    blocks = prepare_corpus(comparison.corpus, comparison.shapes[0].vocab_size)
    for seed in comparison.seeds:
        for shape in dict.fromkeys([*shapes, *reference_shapes()]):
            if (shape.key, recipe.key, seed) in done:
                continue
            points = train_one(shape, recipe, seed, blocks)
            named = {"label": shape.label, "key": shape.key, "recipe": recipe.key, "seed": seed}
            append_line(results, {**named, "points": [asdict(point) for point in points]})
            print(f"{shape.label}, seed {seed}: {points[-1].bits_per_byte:.4f}", flush=True)


def reference_shapes() -> list[Architecture]:
    study = load_study(STUDY)
    return [shape for _, shape in references(study.references, study.search_space)]


def measure(comparison: Comparison, shapes: Sequence[Architecture], results: Path, latencies: Path) -> None:
    """Milliseconds of every shape with a long training, one after another in one process, into a file."""
    done, known = read_results(results), latency_of(latencies)
    every = dict.fromkeys([*comparison.shapes, *shapes, *reference_shapes()])
    process = LatencyProcess(load_study(STUDY).latency)
    for shape in every:
        if shape.key not in known and any(key == shape.key for key, _, _ in done):
            append_line(latencies, {"key": shape.key, "label": shape.label, "total_ms": process.measure(shape).total_ms.median})
    process.close()


def latency_of(file: Path) -> dict[str, float]:
    rows = read_lines(file, lambda values: values, "a latency", "delete that line to have it measured again") if file.exists() else []
    return {row["key"]: row["total_ms"] for row in rows}


def report(comparison: Comparison, found: dict[int, Architecture], results: Path, latencies: Path) -> None:
    """Print every shape that was trained long, then each run's recommendation with both verdicts."""
    recipe = comparison.references[REFERENCE]
    losses = losses_of(recipe, comparison.seeds, results)
    labels = {shape.key: shape.label for shape in [*comparison.shapes, *found.values(), *reference_shapes()]}
    times = latency_of(latencies)
    known = {key: Known(labels[key], fmean(bits), len(bits), times[key]) for key, bits in losses.items() if key in labels and key in times}
    noise = seed_noise(list(losses.values()))
    print(f"{REFERENCE}; another seed moves a loss by {noise:.2%}\n\n| shape | seeds | bits per byte | latency, ms |\n|---|---|---|---|")
    for each in sorted(known.values(), key=lambda each: each.bits_per_byte):
        print(f"| {each.label} | {each.seeds} | {each.bits_per_byte:.4f} | {each.total_ms:.2f} |")
    compared = sorted((known[shape.key] for shape in reference_shapes() if shape.key in known), key=lambda each: each.total_ms)
    print(
        "\n| run | recommended | bits per byte | best with no more latency | (a) | references there | (b) |\n|---|---|---|---|---|---|---|"
    )
    for seed, shape in found.items():
        if shape.key not in known or not compared:
            print(f"| {seed} | {shape.label} | not trained long | | | | |")
            continue
        own = known[shape.key]
        best = min((each for each in known.values() if each.total_ms <= own.total_ms), key=lambda each: each.bits_per_byte)
        off = own.bits_per_byte / best.bits_per_byte - 1
        there = interpolated(compared, own.total_ms)
        beaten = own.bits_per_byte / there - 1 > NORMAL * noise * math.sqrt(1 / own.seeds + 1 / min(each.seeds for each in compared))
        print(
            f"| {seed} | {own.label} | {own.bits_per_byte:.4f} ({own.seeds}) | {best.bits_per_byte:.4f} {best.label} | "
            f"{off:+.2%}, {'met' if off <= WITHIN else 'MISSED'} | {there:.4f} | {'BEATEN' if beaten else 'not beaten'} |"
        )


def losses_of(recipe: Recipe, seeds: Sequence[int], results: Path) -> dict[str, list[float]]:
    """Last losses by shape, one a seed."""
    found: dict[str, list[float]] = {}
    for (key, trained, seed), points in read_results(results).items():
        if trained == recipe.key and seed in seeds:
            found.setdefault(key, []).append(points[-1].bits_per_byte)
    return found


def seed_noise(losses: Sequence[Sequence[float]]) -> float:
    """Standard deviation between seeds of one shape, over the loss; without pairs of seeds the 0.4 % that findings has of 0.3M."""
    squares = [(np.array(bits) / fmean(bits) - 1) ** 2 for bits in losses if len(bits) > 1]
    freedom = sum(len(each) - 1 for each in squares)
    return math.sqrt(sum(float(each.sum()) for each in squares) / freedom) if freedom else 0.004


def interpolated(compared: Sequence[Known], total_ms: float) -> float:
    """The references' loss at a latency, along its logarithm; that of the nearer one beyond them."""
    return float(np.interp(math.log(total_ms), [math.log(each.total_ms) for each in compared], [each.bits_per_byte for each in compared]))


if __name__ == "__main__":
    main()
