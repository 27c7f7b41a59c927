"""Steps a second of the proxy's loop against others', alternating in one process, at equal batch, optimizer (AdamW) and precision.

    python -m benchmarks.training [--sizes 0.3M 1M 5M 30M] [--threads 1 2] [--rounds 7] [--precision float32] [--calibrated] [--quick]

Contenders: ours (ProxyRun: Lightning, curve and checks); a bare loop on our network; a bare loop on transformers' LlamaForCausalLM of
the same shape; transformers' Trainer on it, which needs the package accelerate. In each round every contender makes a few steps; a
ratio is the median over the rounds of its time a step over ours, so above 1 we are faster. Beside it stands what the matrix products
of a step take alone, and where the time of a bare step on our network goes. `--clock processor` counts processor time, for a machine
that others use too. `--calibrated` adds ours in the precision, and with blocks compiled or not, that a calibration chooses.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from benchmarks.memory import llama
from search_space.architecture import Architecture
from search_space.cost import parameters, training_flops
from trials.catalogue.hugging_face_config import hugging_face_config
from trials.corpus.blocks import TokenBlocks
from trials.network.decoder import Network
from trials.study.spec import ProxySpec
from trials.training.conditions import Conditions
from trials.training.loss import cross_entropy
from trials.training.mode import TrainingMode, saves
from trials.training.optimizers import make_optimizers
from trials.training.pace import time_mode
from trials.training.proxy_run import ProxyRun

Stretch = Callable[[int], list[float]]
"""Makes that many steps and returns the seconds of each."""


@dataclass(frozen=True)
class Size:
    """A shape, its batch, and how many steps a contender makes in a round."""

    shape: Architecture
    sequences: int
    context_tokens: int
    steps: int


SIZES = {
    "0.3M": Size(llama(512, 4, 80, 5, 5, 208), 8, 64, 12),
    "1M": Size(llama(512, 8, 104, 4, 2, 280), 8, 128, 8),
    "5M": Size(llama(4096, 12, 192, 6, 3, 512), 8, 256, 4),
    "30M": Size(llama(16_384, 16, 384, 6, 3, 1024), 4, 256, 3),
}


@dataclass
class Race:
    """What every contender of one size shares."""

    size: Size
    proxy: ProxySpec
    threads: int
    clock: Callable[[], float]
    blocks: TokenBlocks
    parts: list[tuple[float, float, float]] = field(default_factory=list)
    """Seconds of the batch and forward with loss, backward, and clip with update, of every bare step on our network."""

    def batches(self) -> Iterator[Tensor]:
        """[sequences, context + 1], as the proxy's loop gets them."""
        step = 0
        while True:
            yield torch.from_numpy(self.blocks.batch(0, step, self.size.sequences, self.size.context_tokens))
            step += 1

    def autocast(self) -> torch.autocast:
        """The recipe's precision."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.proxy.precision == "bfloat16")


def ours(race: Race) -> Stretch:
    """The proxy's own loop; the moments before its steps are told by its pauses."""
    stamps: list[float] = []

    def note() -> float:
        stamps.append(race.clock())
        return 0.0

    run = ProxyRun(race.size.shape, race.blocks, race.proxy, seed=0, conditions=Conditions(threads=race.threads, pause=note))

    def stretch(steps: int) -> list[float]:
        stamps.clear()
        run.run(until_tokens=run.tokens + steps * race.size.sequences * race.size.context_tokens)
        return _gaps(stamps[: steps + 1])  # what follows are the passes of the evaluation

    return stretch


def calibrated(race: Race) -> Stretch:
    """Ours in the way that a calibration chooses for a trial of 20 tokens per parameter."""
    shape, plain = race.size.shape, TrainingMode(threads=race.threads)
    best, timed = plain, [time_mode(race.proxy, [shape], plain)]
    for change in ({"precision": "bfloat16"}, {"compile": True}):
        rival = replace(best, **change)
        timed += [time_mode(race.proxy, [shape], way) for way in (rival, rival, best)]
        present = [each for each in timed if each.way == best]
        best = rival if saves(timed[-3:-1], present, 20 * parameters(shape)) else best
    print(f"calibrated: {best}; {', '.join(f'{each.way}: {each.seconds_per_token * 1e6:.1f} us a token' for each in timed)}")
    return ours(replace(race, proxy=race.proxy.model_copy(update={"precision": best.precision, "compile": best.compile})))


def bare_own(race: Race) -> Stretch:
    """Batch, forward, loss, backward, clip and update of our network, and nothing else; the race keeps what each took."""
    network = Network(race.size.shape)
    optimizers, batches, weights = make_optimizers(network, race.proxy), race.batches(), list(network.parameters())

    def step() -> float:
        begun = race.clock()
        batch = next(batches)
        with race.autocast():
            loss = cross_entropy(network.hidden_states(batch[:, :-1]).flatten(0, 1), network.output_weight, batch[:, 1:].flatten())
        forward = race.clock()
        torch.autograd.backward(loss)
        backward = race.clock()
        clip_grad_norm_(weights, race.proxy.gradient_clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        ended = race.clock()
        race.parts.append((forward - begun, backward - forward, ended - backward))
        return ended - begun

    return lambda steps: [step() for _ in range(steps)]


def bare_llama(race: Race) -> Stretch:
    """The same loop on transformers' network."""
    model = _llama_model(race)
    optimizer = _adamw(race, model)
    batches, weights = race.batches(), list(model.parameters())

    def step() -> float:
        begun = race.clock()
        batch = next(batches)
        with race.autocast():
            loss = model(input_ids=batch[:, :-1], labels=batch[:, :-1], use_cache=False).loss
        loss.backward()
        clip_grad_norm_(weights, race.proxy.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()
        return race.clock() - begun

    return lambda steps: [step() for _ in range(steps)]


def trainer(race: Race) -> Stretch:
    """The Trainer of transformers, all switched off that is not training; each stretch is a `train()` of its own."""
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    stamps: list[float] = []

    class Stamp(TrainerCallback):  # type: ignore[misc]  # transformers is not typed for mypy's strict mode
        def on_step_begin(self, *_: object, **__: object) -> None:
            stamps.append(race.clock())

        def on_step_end(self, *_: object, **__: object) -> None:
            self.ended = race.clock()

    model, stamp, batches = _llama_model(race), Stamp(), race.batches()
    optimizer = _adamw(race, model)

    def stretch(steps: int) -> list[float]:
        stamps.clear()
        rows = [{"input_ids": row[:-1], "labels": row[:-1]} for _ in range(steps) for row in next(batches)]
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder,
                max_steps=steps,
                per_device_train_batch_size=race.size.sequences,
                bf16=race.proxy.precision == "bfloat16",
                use_cpu=True,
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                max_grad_norm=race.proxy.gradient_clip,
                dataloader_pin_memory=False,
            )
            made = Trainer(model, arguments, train_dataset=rows, optimizers=(optimizer, None), callbacks=[stamp])
            made.remove_callback(PrinterCallback)
            made.train()
        return _gaps([*stamps, stamp.ended])

    return stretch


def _llama_model(race: Race) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(**hugging_face_config(race.size.shape, context_tokens=race.size.context_tokens))
    return AutoModelForCausalLM.from_config(config).train()


def _adamw(race: Race, model: Any) -> torch.optim.AdamW:
    return torch.optim.AdamW(model.parameters(), lr=race.proxy.learning_rate, betas=(0.9, 0.95), weight_decay=0.1, fused=True)


def _gaps(stamps: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(stamps)]


CONTENDERS: dict[str, Callable[[Race], Stretch]] = {"ours": ours, "bare own": bare_own, "bare Llama": bare_llama, "Trainer": trainer}


def product_seconds(race: Race, repeats: int = 5) -> float:
    """What the products of a step with stored matrices take alone: forward, and both backward, at the shape's own sizes."""
    a, tokens = race.size.shape, race.size.sequences * race.size.context_tokens
    dtype = torch.bfloat16 if race.proxy.precision == "bfloat16" else torch.float32
    total = 0.0
    counted = [(p.shape, p.numel()) for name, p in Network(a).named_parameters() if p.ndim == 2]
    for rows, columns in {(shape[0], shape[1]) for shape, _ in counted}:
        weight, inputs, outputs = (torch.randn(size, dtype=dtype) for size in ((rows, columns), (tokens, columns), (tokens, rows)))
        times = []
        for _ in range(repeats):
            begun = race.clock()
            inputs @ weight.T, outputs @ weight, outputs.T @ inputs
            times.append(race.clock() - begun)
        total += median(times) * sum(shape == (rows, columns) for shape, _ in counted)
    return total


def race_of(name: str, options: argparse.Namespace, threads: int) -> Race:
    """A size with random tokens and a recipe that never ends."""
    size = SIZES[name]
    vocab = size.shape.vocab_size
    ids = np.random.default_rng(0).integers(0, vocab, 1 << 18).astype(np.uint16)
    proxy = ProxySpec(
        tokens=1 << 40,
        context_tokens=size.context_tokens,
        batch_sequences=size.sequences,
        optimizer="adamw",
        precision=options.precision,
        evaluations=1,
        evaluation_tokens=size.context_tokens,
    )
    clock = time.process_time if options.clock == "processor" else time.perf_counter
    return Race(size, proxy, threads, clock, TokenBlocks(ids, ids, ids, vocab, np.ones(vocab, np.int32), "random", "0" * 64, None))


def compare(name: str, options: argparse.Namespace, threads: int) -> None:
    """Race all contenders at one size and print a line for each."""
    torch.set_num_threads(threads)
    race = race_of(name, options, threads)
    size, steps = race.size, 2 if options.quick else race.size.steps
    contenders = CONTENDERS | ({"calibrated": calibrated} if options.calibrated else {})
    stretches = {contender: make(race) for contender, make in contenders.items()}
    taken: dict[str, list[float]] = {contender: [] for contender in stretches}
    for turn in range(1 + options.rounds):
        for contender, stretch in stretches.items():
            times = stretch(steps)
            if turn:  # the first round warms up
                taken[contender].append(median(times))
    flops, least = size.sequences * training_flops(size.shape, size.context_tokens), product_seconds(race)
    print(
        f"\n{name}: {parameters(size.shape):,} parameters, {size.sequences} x {size.context_tokens}, {options.precision}, {threads} threads"
    )
    for contender, seconds in taken.items():
        ratio = median(other / mine for other, mine in zip(seconds, taken["ours"], strict=True))
        print(
            f"  {contender:<11} {median(seconds) * 1e3:>9.1f} ms a step, {ratio:.3f} of ours, "
            f"{flops / median(seconds) / 1e9:6.1f} GFLOP/s, {least / median(seconds):4.0%} of it the products"
        )
    forward, backward, update = (median(part) * 1e3 for part in zip(*race.parts[steps:], strict=True))
    rest = (median(taken["ours"]) - median(taken["bare own"])) * 1e3
    print(
        f"  of ours, ms: forward and loss {forward:.1f}, backward {backward:.1f}, clip and update {update:.1f}, "
        f"Lightning and records {rest:.1f}; products alone {least * 1e3:.1f}",
        flush=True,
    )


def main() -> None:
    """Race at every size and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), metavar="SIZE", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("--calibrated", action="store_true", help="race ours in the way that a calibration chooses too")
    parser.add_argument("--quick", action="store_true", help="two steps a round")
    options = parser.parse_args()
    for threads in options.threads:
        for name in options.sizes:
            compare(name, options, threads)


if __name__ == "__main__":
    main()
