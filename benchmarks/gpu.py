"""Training on a GPU: tokens a second, the share of the stated peak, memory, and several trials side by side.

    python -m benchmarks.gpu [--sizes 1M 30M 125M] [--only NAME ...] [--steps 12] [--side-by-side 1 2 4] [--profile]

Contenders: ours with AdamW, eager and compiled; ours with Muon, compiled; transformers' Trainer on LlamaForCausalLM with torch's fused
AdamW, eager and with its own `torch_compile`, the loss computed as it computes it. All in bfloat16 under autocast, at equal batch. A
step's time is the median of those after the first two, with the GPU waited for at both ends of each half of them. Model FLOPs are
6 N + 12 layers heads head_dim context a token (PaLM, arXiv 2204.02311, appendix B), over the peak of `trials.training.utilisation`.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.memory import llama
from search_space.architecture import Architecture
from search_space.cost import parameters, training_flops_per_token
from search_space.families import family
from trials.catalogue.hugging_face_config import hugging_face_config
from trials.corpus.blocks import TokenBlocks
from trials.machine.process_pool import side_by_side
from trials.study.spec import ProxySpec
from trials.training.conditions import Conditions
from trials.training.footprint import footprint
from trials.training.proxy_run import ProxyRun
from trials.training.utilisation import peak_of

STRETCHES = 4
"""Of a contender, each timed as a whole; the first one warms up."""


@dataclass(frozen=True)
class Size:
    """A shape and its batch."""

    shape: Architecture
    sequences: int
    context_tokens: int


SIZES = {
    "1M": Size(llama(512, 8, 104, 4, 2, 280), 16, 64),
    "30M": Size(llama(16_384, 16, 384, 6, 3, 1024), 32, 512),
    "125M": Size(family("mobilellm-125m"), 32, 2048),
}


def ours(size: Size, steps: int, **changes: Any) -> list[float]:
    """Seconds a step of every stretch."""
    run = ProxyRun(size.shape, _made_up(size), recipe(size, **changes), seed=0, conditions=Conditions(device="cuda", memory_bytes=1 << 40))
    tokens, found = run.plan.tokens_per_step, []
    for _ in range(STRETCHES):
        before, seconds = run.tokens, run.tally.training_seconds
        run.run(until_tokens=before + steps * tokens)
        found.append((run.tally.training_seconds - seconds) / steps)
    return found[1:]


def trainer(size: Size, steps: int, *, compiled: bool = False) -> list[float]:
    """The same of transformers' Trainer, each stretch a `train()` of its own on one model."""
    from transformers import AutoConfig, AutoModelForCausalLM, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    stamps: list[float] = []

    class Stamp(TrainerCallback):  # type: ignore[misc]  # transformers is not typed for mypy's strict mode
        def on_step_begin(self, arguments: Any, state: Any, *_: object, **__: object) -> None:
            if state.global_step and state.global_step % steps == 0:
                self._note()

        def on_train_end(self, *_: object, **__: object) -> None:
            self._note()

        def _note(self) -> None:
            torch.cuda.synchronize()
            stamps.append(time.perf_counter())

    config = AutoConfig.for_model(**hugging_face_config(size.shape, context_tokens=size.context_tokens))
    model, blocks = AutoModelForCausalLM.from_config(config).train(), _made_up(size)
    batches = (blocks.batch(0, step, size.sequences, size.context_tokens) for step in range(STRETCHES * steps))
    rows = [{"input_ids": torch.from_numpy(row[:-1]), "labels": torch.from_numpy(row[:-1])} for batch in batches for row in batch]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=STRETCHES * steps,
            per_device_train_batch_size=size.sequences,
            bf16=True,
            optim="adamw_torch_fused",
            torch_compile=compiled,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        made = Trainer(model, arguments, train_dataset=rows, callbacks=[Stamp()])
        made.remove_callback(PrinterCallback)
        made.train()
    return [(after - before) / steps for before, after in itertools.pairwise(stamps)]


CONTENDERS: dict[str, Callable[[Size, int], list[float]]] = {
    "ours, AdamW, compiled": lambda size, steps: ours(size, steps, optimizer="adamw", compile=True),
    "ours, Muon, compiled": lambda size, steps: ours(size, steps, compile=True),
    "ours, AdamW": lambda size, steps: ours(size, steps, optimizer="adamw"),
    "Trainer": trainer,
    "Trainer, compiled": lambda size, steps: trainer(size, steps, compiled=True),
}
OWN: dict[str, dict[str, Any]] = {
    "ours, AdamW, compiled": {"optimizer": "adamw", "compile": True},
    "ours, Muon, compiled": {"compile": True},
    "ours, AdamW": {"optimizer": "adamw"},
}


def recipe(size: Size, **changes: Any) -> ProxySpec:
    """One that never ends."""
    values: dict[str, Any] = {
        "tokens": 1 << 40, "context_tokens": size.context_tokens, "batch_sequences": size.sequences, "precision": "bfloat16",
        "evaluations": 1, "evaluation_tokens": size.context_tokens,
    }  # fmt: skip
    return ProxySpec(**values | changes)


def compare(name: str, only: list[str] | None, steps: int) -> None:
    """Print a line for each contender at one size."""
    size = SIZES[name]
    tokens, peak = size.sequences * size.context_tokens, peak_of(torch.cuda.get_device_name())
    flops = tokens * training_flops_per_token(size.shape, size.context_tokens)
    batch = f"{size.sequences} x {size.context_tokens}"
    print(f"\n{name}: {parameters(size.shape):,} parameters, {batch}, bfloat16, {torch.cuda.get_device_name()}")
    for contender, race in CONTENDERS.items():
        if only and contender not in only:
            continue
        torch.cuda.reset_peak_memory_stats()
        begun = time.perf_counter()
        try:
            seconds = statistics.median(race(size, steps))
        except (RuntimeError, torch.OutOfMemoryError) as error:
            print(f"  {contender:<22} failed: {str(error)[:300]}", flush=True)
            continue
        memory = torch.cuda.max_memory_allocated() / (1 << 30)
        foreseen = footprint(size.shape, recipe(size, **OWN[contender]), device="cuda").peak / (1 << 30) if contender in OWN else None
        print(
            f"  {contender:<22} {seconds * 1e3:8.2f} ms a step, {tokens / seconds:12,.0f} tokens/s, "
            f"{'peak unknown' if peak is None else f'{flops / seconds / peak:6.1%} of the peak'}, "
            f"{memory:.2f} GiB{'' if foreseen is None else f' (foreseen {foreseen:.2f})'}, {time.perf_counter() - begun:.0f} s in all",
            flush=True,
        )
        gc.collect()
        torch.cuda.empty_cache()


def profile(name: str, steps: int = 3) -> None:
    """Print where the time of a compiled AdamW step goes on the device."""
    from torch.profiler import ProfilerActivity, profile

    size = SIZES[name]
    run = ProxyRun(
        size.shape,
        _made_up(size),
        recipe(size, optimizer="adamw", compile=True),
        seed=0,
        conditions=Conditions(device="cuda", memory_bytes=1 << 40),
    )
    run.run(until_tokens=3 * run.plan.tokens_per_step)
    with profile(activities=[ProfilerActivity.CUDA]) as watched:
        run.run(until_tokens=run.tokens + steps * run.plan.tokens_per_step)
    print(watched.key_averages().table(sort_by="self_device_time_total", row_limit=25, max_name_column_width=60))


def many(name: str, count: int, steps: int) -> None:
    """Tokens a second of that many trials on one GPU, each in a process of its own."""
    begun = time.perf_counter()
    paces = [seconds for _, seconds in side_by_side(_one_of_many, [(name, steps)] * count, count, lower="--side-by-side")]
    size = SIZES[name]
    together = sum(size.sequences * size.context_tokens / seconds for seconds in paces)
    print(f"{name}: {count} side by side: {together:,.0f} tokens/s in all ({time.perf_counter() - begun:.0f} s with starting)", flush=True)


def _one_of_many(name: str, steps: int) -> float:
    return statistics.median(ours(SIZES[name], steps))


def _made_up(size: Size) -> TokenBlocks:
    vocab = size.shape.vocab_size
    ids = np.random.default_rng(0).integers(0, vocab, 1 << 20).astype(np.uint16)
    return TokenBlocks(ids, ids, ids, vocab, np.ones(vocab, np.int32), "random", "0" * 64, None)


def main() -> None:
    """Compare at every size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=list(SIZES), metavar="SIZE", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, metavar="NAME", help=f"of {'; '.join(CONTENDERS)}")
    parser.add_argument("--steps", type=int, default=12, help="of a stretch")
    parser.add_argument("--side-by-side", nargs="*", type=int, default=[], metavar="N", help="trials of 1M on the GPU at once")
    parser.add_argument("--profile", action="store_true", help="where the time of the largest size goes")
    options = parser.parse_args()
    for name in options.sizes:
        compare(name, options.only, options.steps)
    if options.profile:
        profile(list(SIZES)[-1])
    for count in options.side_by_side:
        many("1M", count, 100)


if __name__ == "__main__":
    main()
