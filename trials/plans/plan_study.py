"""What a study will cost, before anything runs: counted where it can be, timed on three sample shapes where it must be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import mean
from typing import Any

import torch
from torch.nn import functional

from analysis.objectives.registry import find_objective
from analysis.text.words import joined
from search_space import cost
from search_space.architecture import Architecture
from search_space.space import Explanation
from trials.catalogue.formats import described_exports
from trials.catalogue.runtimes import RUNTIMES
from trials.corpus.prepare import require_corpus
from trials.latency.device_tables import require_table
from trials.latency.refusals import refusal_of, require_measurable
from trials.machine.memory import trials_on_a_machine, usable_bytes
from trials.network.decoder import Network
from trials.plans.notices import study_notices
from trials.study.spec import StudySpec
from trials.training.failures import OutOfMemory
from trials.training.footprint import fit_batch, footprint, readable_bytes
from trials.training.schedules import stated_tokens
from trials.trial.known_before import passed_limit, require_within_limits
from trials.trial.references import references

SAMPLES = 3
COUNTED = 100
"""Shapes whose closed forms stand for all in the sums."""
LARGEST_WHOLE = 30_000_000
"""Parameters above which one block is timed instead of the whole network."""
LONGEST_TIMED_TOKENS = 1024
"""Longest sequence of one timed step; what longer ones cost is scaled by FLOPs, and more of them change nothing a token."""
OPTIMIZER_SHARE = {"muon": 0.6, "adamw": 0.1}
"""Time of the optimizer's step over forward and backward at 0.3M parameters; smaller for larger networks (docs/findings.md)."""
START_SECONDS = 20.0
"""Ray, imports and the report, on two cores."""
RETRAINED_SHAPES = 4
"""Most shapes that the report names; they are trained again after the search, one after another."""
LATENCY_SECONDS = 1.5
"""One latency measurement at small sizes; training pauses for it."""


@dataclass(frozen=True, kw_only=True)
class SampleShape:
    """One shape of the space, and what training it costs."""

    label: str
    parameters: int
    training_tokens: int
    training_flops: int
    training_seconds: float
    """Seconds of training on this machine, estimated from a few timed steps."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What the shape that takes most memory will take, and what a trial may have on this machine."""

    label: str
    peak_bytes: int
    """Predicted for a trial's process, or for its share of a GPU; of a single sequence where not even that fits."""
    micro_batches: int | None
    """Parts that its batch is split into; None where not even a single sequence fits, so that the trial will be refused."""
    usable_bytes: int

    def __str__(self) -> str:
        has = f"{readable_bytes(self.peak_bytes)} for {self.label}, of {readable_bytes(self.usable_bytes)} that a trial may take"
        if self.micro_batches is None:
            return f"{has}: it does not fit; lower proxy.context_tokens or workers.count"
        return has if self.micro_batches == 1 else f"{has}, each batch in {self.micro_batches} parts"


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """The cost of a study."""

    name: str
    budget: str
    trials: int
    references: int
    replicates: int
    """Trials that repeat a shape with another seed."""
    workers: int
    space: Explanation
    training_tokens: int
    training_flops: int
    estimated_seconds: float
    """Seconds from start to report with this machine's speed; cached tokens assumed, and no trial that stops early."""
    stops_early: bool
    """Whether trials may stop early, so that tokens, FLOPs and time are the most that the study takes."""
    disk_bytes: int
    """Weights of every trial in float32; records and MLflow add about 50 KiB a trial."""
    memory: Memory
    objectives: str
    """What shapes are judged by, what bounds them, and how many of those looked at keep the limits that closed forms tell."""
    latency: str
    """What times the shapes, and how many of those looked at it can hold; the others are not proposed."""
    exports: dict[str, str]
    """How many of the shapes looked at can have each format, and why others cannot."""
    samples: tuple[SampleShape, ...]
    notices: tuple[str, ...] = ()
    """What is passed over or taken off of the files that the study names."""

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {"feasible_shapes": self.space.shapes}

    def __str__(self) -> str:
        lines = [
            f"study       {self.name}: {self.trials} shapes of {self.budget}",
            f"beside      {self.references} references, {self.replicates} replicates",
            f"space       {str(self.space).replace(chr(10), chr(10) + ' ' * 12)}",
            f"training    {self.training_tokens:,} tokens, {self.training_flops:.2e} FLOPs{', less what stops early' * self.stops_early}",
            f"time        about {_duration(self.estimated_seconds)} with {self.workers} workers on this machine",
            f"disk        about {self.disk_bytes / 1e6:,.0f} MB",
            f"memory      {self.memory}",
            f"objectives  {self.objectives}",
            f"latency     {self.latency}",
            *(f"{'exports' if place == 0 else '':<11} {name}: {said}" for place, (name, said) in enumerate(self.exports.items())),
            *(f"notice      {said}" for said in self.notices),
            "for example",
        ]
        lines += [
            f"  {shape.label:<40} {shape.parameters:>13,} parameters, {_duration(shape.training_seconds)} of training"
            for shape in self.samples
        ]
        return "\n".join(lines)


def plan_study(study: StudySpec) -> StudyPlan:
    """Count and time; raises SpecError where no shape is feasible, or corpus or references cannot be what the study says."""
    space = study.search_space
    space.require_feasible()
    _require_text(study)
    require_within_limits(study)
    require_table(study)
    compared = references(study.references, space)
    shapes = space.sample(COUNTED, study.search.seed)
    samples = tuple(_sample(study, shape) for shape in shapes[:SAMPLES])
    explained = space.explain()
    trials = min(study.search.trials, explained.shapes)  # the search ends where the space has no more
    replicates = study.search.replicates_of(trials)
    runs = trials + replicates + len(compared)
    tokens = mean(_tokens(study, shape, samples) for shape in shapes)
    flops = mean(_tokens(study, s, samples) * cost.training_flops_per_token(s, study.proxy.context_tokens) for s in shapes)
    seconds = study.proxy.seconds or mean(shape.training_seconds for shape in samples)
    waves = -(-runs // study.workers.count)
    again = RETRAINED_SHAPES * (study.finals.fresh_seed + 2 * study.finals.learning_rate_bracket)
    return StudyPlan(
        name=study.name,
        budget=str(space.budget),
        trials=trials,
        references=len(compared),
        replicates=replicates,
        workers=study.workers.count,
        space=explained,
        training_tokens=round(runs * tokens),
        training_flops=round(runs * flops),
        estimated_seconds=START_SECONDS + (waves + again) * seconds + 2 * runs * LATENCY_SECONDS,
        stops_early=study.search.early_stopping != "none",
        disk_bytes=round(runs * (mean(4 * cost.parameters(shape) for shape in shapes) + 50 * 1024)),
        memory=_memory(study),
        objectives=_objectives(study, shapes),
        latency=_timed(study, compared, shapes),
        exports=_exports(shapes),
        samples=samples,
        notices=study_notices(study),
    )


def _require_text(study: StudySpec) -> None:
    """Raise SpecError for files that are not there, or a vocabulary that no tokenizer has, as the run itself would."""
    require_corpus(study.corpus, study.search_space.choices("vocab_size"))


def _objectives(study: StudySpec, shapes: list[Architecture]) -> str:
    """When each is known, and what the limits are."""
    when = {"shape": "before anything runs", "device": "once measured", "training": "after the training"}
    said = joined([f"{objective.words.label} ({when[objective.known]})" for objective in study.problem.objectives])
    if not study.limits:
        return said
    bounds = [(find_objective(name), limit) for name, limit in study.limits.items()]
    limits = joined([f"{o.words.label} {'at most' if o.better == 'lower' else 'at least'} {o.words.write(limit)}" for o, limit in bounds])
    return f"{said}; {limits}, kept by {_share([passed_limit(study, shape) for shape in shapes])}"


def _timed(study: StudySpec, compared: Sequence[tuple[str, Architecture]], shapes: list[Architecture]) -> str:
    """How many of a study's shapes its runtime can hold; the others are not proposed."""
    spec = study.latency
    require_measurable(spec, compared, shapes)
    here = "" if RUNTIMES[spec.runtime].installed else " (not installed here)"  # the machine that measures may be another one
    return f"{spec.runtime}, {spec.precision}{here}: {_share([refusal_of(shape, spec) for shape in shapes])}"


def _share(reasons: list[str | None]) -> str:
    said = [reason for reason in reasons if reason is not None]
    those = "every shape" if not said else f"{len(reasons) - len(said)} of {len(reasons)} shapes looked at"
    return those + (f"; {said[0]}" if said else "")


def _exports(shapes: list[Architecture]) -> dict[str, str]:
    """What a study's shapes can be exported as."""
    found = [described_exports(shape) for shape in shapes]
    return {name: _share([exports[name] for exports in found]) for name in found[0]}


def _memory(study: StudySpec) -> Memory:
    """Memory of the shape with the largest step; on the machine that asks, or on its GPU where the study wants one and it has one."""
    proxy, device = study.proxy, "cuda" if study.workers.gpus and torch.cuda.is_available() else "cpu"
    shapes = [shape for _, shape in study.search_space.table()]
    shape = max(shapes, key=lambda shape: footprint(shape, proxy, device=device).peak)
    usable = usable_bytes(device, trials_on_a_machine(study.workers))
    try:
        found, parts = fit_batch(shape, proxy, usable, device=device), True
    except OutOfMemory:
        found, parts = footprint(shape, proxy, device=device, sequences=1), False
    return Memory(label=shape.label, peak_bytes=found.peak, micro_batches=found.micro_batches if parts else None, usable_bytes=usable)


def _sample(study: StudySpec, shape: Architecture) -> SampleShape:
    per_token = _seconds_per_token(study, shape)
    tokens = round(study.proxy.seconds / per_token) if study.proxy.seconds else _stated_tokens(study, shape)
    return SampleShape(
        label=shape.label,
        parameters=cost.parameters(shape),
        training_tokens=tokens,
        training_flops=tokens * cost.training_flops_per_token(shape, study.proxy.context_tokens),
        training_seconds=study.proxy.seconds or tokens * per_token,
    )


def _tokens(study: StudySpec, shape: Architecture, samples: tuple[SampleShape, ...]) -> float:
    return mean(sample.training_tokens for sample in samples) if study.proxy.seconds else _stated_tokens(study, shape)


def _stated_tokens(study: StudySpec, shape: Architecture) -> int:
    """Training tokens with what the cooldowns' branches add to the trunk."""
    proxy = study.proxy
    return round((stated_tokens(proxy, shape) or 0) * (1 + proxy.decay * sum(proxy.cooldowns)))


def _seconds_per_token(study: StudySpec, shape: Architecture) -> float:
    """Forward and backward on random tokens with throw-away weights, the best of three, and the optimizer's share."""
    context = min(study.proxy.context_tokens, LONGEST_TIMED_TOKENS)
    sequences = min(study.proxy.batch_sequences, LONGEST_TIMED_TOKENS // context)
    flops = cost.training_flops_per_token(shape, study.proxy.context_tokens)
    timed = shape
    if cost.parameters(shape) > LARGEST_WHOLE:  # one block and a small vocabulary have the width's speed; scaled by FLOPs below
        timed = replace(shape, num_unique_layers=1, vocab_size=min(shape.vocab_size, 1024), layer_types=shape.layer_types[:1])
    threads = torch.get_num_threads()
    torch.set_num_threads(study.workers.trial_threads)
    try:
        network = Network(timed)
        tokens = torch.randint(timed.vocab_size, (sequences, context + 1), generator=torch.Generator().manual_seed(0))
        elapsed = min(_step(network, tokens) for _ in range(4))
    finally:
        torch.set_num_threads(threads)
    scale = flops / cost.training_flops_per_token(timed, context)
    return elapsed * scale * (1 + OPTIMIZER_SHARE[study.proxy.optimizer]) / (sequences * context)


def _step(network: Network, tokens: torch.Tensor) -> float:
    start = time.perf_counter()
    logits = network(tokens[:, :-1])
    functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()  # type: ignore[no-untyped-call]
    return time.perf_counter() - start


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {rest:02}s" if minutes else f"{rest}s"
