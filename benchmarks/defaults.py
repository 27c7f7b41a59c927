"""Tokens a step, context and learning rate at which shapes of a size train best in a given number of tokens.

    python -m benchmarks.defaults RESULTS.jsonl [--parameters 250k --vocab-size 512 --head-dim 16 --tokens 524_288] [--report]

Trains a deep and thin and a wide and shallow shape of the size on python-stdlib, everything but what is varied as a study has it by
default: every number of tokens a step at every multiple of the default rates, and the middle one at other contexts. Losses are in bits
per byte on the validation split, read at the context of the training. Every run becomes a line of RESULTS.jsonl at once; a second start
makes the missing runs only. Losses do not depend on the machine's load.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from analysis.records.files import append_line
from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.sizes import written_number
from search_space.space import SearchSpace
from trials.corpus.prepare import prepare_corpus
from trials.study.corpus_spec import CorpusSpec
from trials.study.spec import ProxySpec
from trials.training.proxy_run import train
from trials.training.recipe import with_scaled_rates

STEP_TOKENS = (1_024, 512, 2_048, 4_096)
FACTORS = (1.0, 0.5, 0.25, 2.0)
CONTEXTS = (32, 64, 256)
CONTEXT = 128
DEPTHS = (6, 2)
"""Blocks of the two shapes at 0.25M; they grow with the cube root of the size, as widths do."""


@dataclass(frozen=True)
class Cell:
    """One way to train one shape."""

    shape: str
    tokens: int
    context_tokens: int
    step_tokens: int
    factor: float

    @property
    def proxy(self) -> ProxySpec:
        """The recipe, in float32 on one thread."""
        sequences = self.step_tokens // self.context_tokens
        proxy = ProxySpec(tokens=self.tokens, context_tokens=self.context_tokens, batch_sequences=sequences, evaluations=1).plain()
        return with_scaled_rates(proxy, self.factor)


def shapes(parameters: int, vocab_size: int, head_dim: int) -> dict[str, Architecture]:
    """The two shapes of a size by their labels."""
    found = {}
    for depth in DEPTHS:
        space = SearchSpace.parse(
            {"vocab_size": vocab_size, "num_unique_layers": max(1, round(depth * (parameters / 250_000) ** (1 / 3))), "head_dim": head_dim},
            Budget.parse({"parameters": parameters, "tolerance": 0.02}),
        )
        _, shape = space.table()[0]
        found[shape.label] = shape
    return found


def cells(labels: list[str], tokens: int, steps: list[int], factors: list[float]) -> Iterator[Cell]:
    """Every run; other contexts last, at the first number of tokens a step and the first rate."""
    for step_tokens in steps:
        for factor in factors:
            for label in labels:
                yield Cell(label, tokens, CONTEXT, step_tokens, factor)
    for context in CONTEXTS:
        for label in labels:
            yield Cell(label, tokens, context, steps[0], factors[0])


def report(losses: dict[Cell, float]) -> None:
    """Print the losses of each shape and length, one row a number of tokens a step."""
    for shape, tokens in dict.fromkeys((cell.shape, cell.tokens) for cell in losses):
        here = {cell: bits for cell, bits in losses.items() if (cell.shape, cell.tokens) == (shape, tokens)}
        factors = sorted({cell.factor for cell in here})
        print(f"\n{shape}, {tokens:,} tokens\n\n| tokens a step x context | {' | '.join(f'x{factor:g}' for factor in factors)} |")
        print("|---|" + "---|" * len(factors))
        for step, context in sorted({(cell.step_tokens, cell.context_tokens) for cell in here}):
            row = [here.get(Cell(shape, tokens, context, step, factor)) for factor in factors]
            print(f"| {step:,} x {context} | {' | '.join('' if bits is None else f'{bits:.3f}' for bits in row)} |")


def main() -> None:
    """Make the missing runs and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("results", type=Path)
    options.add_argument("--parameters", default="250k", help="stored parameters of both shapes")
    options.add_argument("--vocab-size", type=int, default=512)
    options.add_argument("--head-dim", type=int, default=16)
    options.add_argument("--tokens", type=int, default=524_288, help="training tokens of every run")
    options.add_argument("--step-tokens", type=int, nargs="+", default=STEP_TOKENS)
    options.add_argument("--factors", type=float, nargs="+", default=FACTORS, help="of the rate 0.04 of both optimizers")
    options.add_argument("--report", action="store_true", help="print what is there, and train nothing")
    given = options.parse_args()
    lines = given.results.read_text(encoding="utf-8").splitlines() if given.results.exists() else []
    losses = {Cell(**row["cell"]): row["bits_per_byte"] for row in map(json.loads, lines)}
    if not given.report:
        size = written_number(given.parameters, "parameters")
        assert size is not None, "--parameters is a number such as 250k"
        found = shapes(int(size), given.vocab_size, given.head_dim)
        blocks = prepare_corpus(CorpusSpec(name="python-stdlib"), given.vocab_size)
        for cell in cells(list(found), given.tokens, given.step_tokens, given.factors):
            if cell in losses:
                continue
            _, training = train(found[cell.shape], blocks, cell.proxy, seed=0)
            assert training.validation is not None
            losses[cell] = training.validation.bits_per_byte
            append_line(given.results, {"cell": asdict(cell), "bits_per_byte": losses[cell]})
            print(cell, f"{losses[cell]:.4f}", flush=True)
    report(losses)


if __name__ == "__main__":
    main()
