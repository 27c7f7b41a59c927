"""The longer trainings that ship with archfront, from the results that `benchmarks.proxy` keeps.

    python -m benchmarks.longer [--check | --lengths]

Writes analysis/fidelity/longer_trainings.json: of each set named in SETS the shapes whose reference has been trained with at least one
seed, with its last losses. `--check` says instead whether the file is what the results make, `--lengths`
what one doubling of blocks, heads, key-value heads and runs of a block does to the loss after each number of tokens of these trainings.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from analysis.fidelity.longer_trainings import SHIPPED
from analysis.fronts.effects import SHAPE_FACTORS, effects
from benchmarks.proxy import SETS, Comparison, read_results

RESULTS = Path(__file__).parent / "results"
SHIPPED_REFERENCES = {"demo": "5M tokens", "0.3M": "Muon, 2.4M tokens", "1M": "Muon, 1.6M tokens"}
"""Set and reference of each that ships."""
FEWEST_SHAPES = 8


def shipped() -> list[dict[str, Any]]:
    """What the file holds."""
    sets, found = yaml.safe_load(SETS.read_text(encoding="utf-8")), []
    for title, name in SHIPPED_REFERENCES.items():
        comparison = Comparison.of(sets[title], [name])
        recipe, done = comparison.references[name], read_results(RESULTS / f"proxy-{title}.jsonl")
        rows = []
        for stated, shape in zip(sets[title]["shapes"], comparison.shapes, strict=True):
            runs = [done[key] for seed in comparison.seeds if (key := (shape.key, recipe.key, seed)) in done]
            if runs:
                bits = [round(points[-1].bits_per_byte, 4) for points in runs]
                rows.append({"shape": {"vocab_size": shape.vocab_size, **stated}, "bits_per_byte": bits})
        if len(rows) >= FEWEST_SHAPES:
            found.append({"title": title, "corpus": comparison.corpus.name, "tokens": recipe.proxy.tokens, "rows": rows})
    return found


def shipped_text() -> str:
    """The file as it is written: a shape a line."""
    sets = []
    for each in shipped():
        rows = ",\n".join(f"    {json.dumps(row)}" for row in each["rows"])
        head = ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in each.items() if name != "rows")
        sets.append(f'  {{{head}, "rows": [\n{rows}\n  ]}}')
    return "[\n" + ",\n".join(sets) + "\n]\n"


def print_lengths() -> None:
    """One table a set: 90 % intervals of each effect at each length that its reference has a finished loss at."""
    sets = yaml.safe_load(SETS.read_text(encoding="utf-8"))
    for title, name in SHIPPED_REFERENCES.items():
        comparison = Comparison.of(sets[title], [name])
        key, done = comparison.references[name].key, read_results(RESULTS / f"proxy-{title}.jsonl")
        runs = {shape: [done[run] for seed in comparison.seeds if (run := (shape.key, key, seed)) in done] for shape in comparison.shapes}
        trained = {shape: of_shape for shape, of_shape in runs.items() if of_shape}
        if len(trained) < FEWEST_SHAPES:
            continue
        print(f"\n{title}, {name}, {len(trained)} shapes\n\n| tokens | {' | '.join(factor.name for factor in SHAPE_FACTORS)} |")
        print("|---" * (1 + len(SHAPE_FACTORS)) + "|")
        for place, point in enumerate(next(iter(trained.values()))[0]):
            losses = [fmean(points[place].bits_per_byte for points in of_shape) for of_shape in trained.values()]
            found = {effect.factor: effect.change_text for effect in effects(list(trained), losses)}
            print(f"| {point.tokens:,} | {' | '.join(found.get(factor, '') for factor in SHAPE_FACTORS)} |")


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("--check", action="store_true", help="write nothing; end with 1 where the file is another one")
    arguments.add_argument("--lengths", action="store_true", help="write nothing; print what moves the loss after how many tokens")
    options = arguments.parse_args()
    if options.lengths:
        return print_lengths()
    if options.check:
        sys.exit(SHIPPED.read_text(encoding="utf-8") != shipped_text())
    SHIPPED.write_text(shipped_text(), encoding="utf-8")
    return print(SHIPPED)


if __name__ == "__main__":
    main()
