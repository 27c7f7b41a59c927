"""The memory that a training step is predicted to take against what it takes, each shape in a fresh process.

    python -m benchmarks.memory [--only NAME ...] [--precision float32] [--optimizer muon] [--threads 2]

Prints predicted and measured peak in MiB and their ratio; the last shape is the 124.6M one of arXiv 2402.14905 with 32,000 tokens of
vocabulary and a step of 2 x 1024, which must stay within 6 GiB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import get_args

from search_space.architecture import Architecture
from search_space.cost import parameters
from search_space.families import family
from trials.study.spec import ProxySpec
from trials.training.conditions import Conditions
from trials.training.footprint import footprint

STEPS = 2
"""The optimizers make their states in the first."""


@dataclass(frozen=True)
class Case:
    """A shape with its batch."""

    shape: Architecture
    sequences: int
    context_tokens: int


def llama(vocab: int, layers: int, hidden: int, heads: int, key_value_heads: int, intermediate: int) -> Architecture:
    """A gated shape without sharing whose heads share its width."""
    return Architecture(
        vocab_size=vocab,
        hidden_size=hidden,
        num_unique_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        head_dim=hidden // heads,
        intermediate_size=intermediate,
    )


CASES = {
    "1M": Case(llama(512, 8, 96, 6, 2, 256), 16, 128),
    "1M-wide-batch": Case(llama(512, 8, 96, 6, 2, 256), 64, 256),
    "5M": Case(llama(4096, 12, 192, 6, 3, 512), 8, 256),
    "15M": Case(llama(8192, 12, 320, 5, 5, 864), 8, 256),
    "30M": Case(llama(16_384, 16, 384, 6, 3, 1024), 4, 512),
    "60M": Case(llama(32_000, 16, 512, 8, 4, 1408), 2, 512),
    "125M": Case(family("mobilellm-125m"), 2, 1024),
}


def main() -> None:
    """Print the table, or measure one case and print its bytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="NAME", help=f"of {', '.join(CASES)}")
    parser.add_argument("--precision", choices=get_args(ProxySpec.model_fields["precision"].annotation), default="float32")
    parser.add_argument("--optimizer", choices=get_args(ProxySpec.model_fields["optimizer"].annotation), default="muon")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--measure", action="store_true", help="measure the one shape in this process")
    options = parser.parse_args()
    if options.measure:
        (name,) = options.only
        print(json.dumps(measure(CASES[name], recipe(CASES[name], options), options.threads)))
        return
    print(f"{'shape':<14} {'parameters':>12} {'batch':>10} {'predicted MiB':>14} {'measured MiB':>13} {'ratio':>6} {'s a step':>9}")
    for name in options.only:
        case = CASES[name]
        command = [sys.executable, "-m", "benchmarks.memory", "--measure", "--only", name, "--threads", str(options.threads)]
        command += ["--precision", options.precision, "--optimizer", options.optimizer]
        found = subprocess.run(command, check=True, capture_output=True, text=True)
        measured = json.loads(found.stdout)
        predicted = footprint(case.shape, recipe(case, options)).peak
        print(
            f"{name:<14} {parameters(case.shape):>12,} {f'{case.sequences} x {case.context_tokens}':>10} {predicted / 2**20:>14,.0f} "
            f"{measured['peak_bytes'] / 2**20:>13,.0f} {predicted / measured['peak_bytes']:>6.2f} {measured['seconds_a_step']:>9.2f}",
            flush=True,
        )


def recipe(case: Case, options: argparse.Namespace) -> ProxySpec:
    """A few steps of the case's batch."""
    return ProxySpec(
        tokens=STEPS * case.sequences * case.context_tokens,
        batch_sequences=case.sequences,
        context_tokens=case.context_tokens,
        precision=options.precision,
        optimizer=options.optimizer,
        evaluations=1,
        evaluation_tokens=case.context_tokens,
    )


def measure(case: Case, proxy: ProxySpec, threads: int) -> dict[str, float]:
    """Train a few steps on random tokens; the peak is that of the whole process."""
    import numpy as np

    from trials.corpus.blocks import TokenBlocks
    from trials.training.proxy_run import train

    vocab = case.shape.vocab_size
    ids = np.random.default_rng(0).integers(0, vocab, 20 * case.context_tokens).astype(np.uint16)
    blocks = TokenBlocks(ids, ids, ids, vocab, np.ones(vocab, np.int32), "random", "0" * 64, None)
    _, training = train(case.shape, blocks, proxy, seed=0, conditions=Conditions(threads=threads))
    if training.peak_memory_bytes is None:
        raise SystemExit("this system does not tell the highest resident set of a process")
    return {"peak_bytes": training.peak_memory_bytes, "seconds_a_step": training.wall_seconds / training.steps}


if __name__ == "__main__":
    main()
