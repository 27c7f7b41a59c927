"""How fast this machine trains and measures, timed on a few steps in plain processes, as many side by side as trials will run."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from search_space import cost
from search_space.architecture import Architecture
from search_space.errors import SpecError, WorkError
from search_space.sharing import Sharing
from trials.machine.contention import processor_share
from trials.machine.process_pool import side_by_side
from trials.machine.processors import waited_seconds
from trials.plans.pace_model import optimizer_flops, step_flops
from trials.plans.pace_table import LatencyPace, OverheadPace, TrainingPace
from trials.study.latency_spec import LatencySpec
from trials.study.spec import StudySpec

logger = logging.getLogger(__name__)
TIMED_FOR_A_PLAN = 3
"""Shapes that are timed, from the smallest to the largest by their FLOPs."""
LARGEST_WHOLE = 30_000_000
"""Parameters above which one block is timed instead of the whole network."""
LONGEST_TIMED_TOKENS = 1024
"""Longest step that is timed on a processor; what longer ones cost is scaled by FLOPs, and more of them change nothing a token."""
FEWEST_TIMED_TOKENS = 64
MOST_STEP_FLOPS, MOST_STEP_BYTES, MOST_STEP_SECONDS = 1.5e10, 300 << 20, 0.4
"""Largest timed step, its seconds as products of that precision go here; of more, fewer tokens are timed, and then another shape
(docs/findings.md, 2026-12-01: files changed at random, and studies under odd names)."""
WIDE_BLOCKS = tuple(
    Architecture(
        vocab_size=1024,
        hidden_size=128 * heads,
        num_unique_layers=1,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        head_dim=128,
        intermediate_size=128 * heads,
    )
    for heads in (16, 8, 4)
)
"""Blocks one of which is timed in the place of larger ones, which go at its FLOPs a second."""
TIMED_SECONDS_OF_A_PLAN = 8.0
"""Once so long was timed, beside no other work, no other recipe is begun: what is kept by then is not asked for again."""
LATENCY_SECONDS = 30.0
"""Longest latency that a plan waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What one process found."""

    paces: tuple[TrainingPace, ...]
    import_seconds: float
    """Seconds until torch and Lightning were there."""
    timed_seconds: float
    """Seconds that this took after that, as they would be beside no other work."""


PaceRequest = tuple[StudySpec, Sequence[Architecture]]
"""A study's recipe, and the shapes that are timed by it."""


def spread_by_flops(shapes: Sequence[Architecture], context_tokens: int, count: int = TIMED_FOR_A_PLAN) -> list[Architecture]:
    """So many of the shapes, from the smallest to the largest by their FLOPs."""
    ordered = sorted(dict.fromkeys(shapes), key=lambda shape: cost.training_flops_per_token(shape, context_tokens))
    return list(dict.fromkeys(ordered[round(place * (len(ordered) - 1) / (count - 1))] for place in range(count)))


def measured_paces(requests: Sequence[PaceRequest]) -> tuple[list[list[TrainingPace]], OverheadPace]:
    """Paces of each request's shapes, means over processes that train side by side, and what those took to start; fewer where time is up.

    Studies with nothing left open, and as many trials side by side in each; raises what a training raises here.
    """
    logger.warning("a few steps are timed, once for shapes of this size on this machine: half a minute, or minutes beside other work")
    workers = requests[0][0].workers
    beside = 1 if workers.gpus else max(1, min(workers.count, (os.cpu_count() or 1) // workers.trial_threads))
    found = [timed for _, timed in side_by_side(time_requests, [(tuple(requests),)] * beside, beside, lower="proxy.batch_sequences")]
    imports = fmean(each[0].import_seconds for each in found)
    return [mean_paces(same) for same in zip(*found, strict=False)], OverheadPace(seconds={"imports": imports}, origin="timed")


def time_requests(requests: Sequence[PaceRequest]) -> list[Timed]:
    """Paces of the shapes of each, one after another, in this process, until `TIMED_SECONDS_OF_A_PLAN` were spent on them."""
    found: list[Timed] = []
    for request in requests:
        if sum(each.timed_seconds for each in found) > TIMED_SECONDS_OF_A_PLAN:
            break
        found.append(time_shapes(*request))
    return found


def mean_paces(found: Sequence[Timed]) -> list[TrainingPace]:
    """The paces of several processes, which timed the same shapes, as their means."""
    return [
        replace(same[0], seconds_per_token=fmean(pace.seconds_per_token for pace in same))
        for same in zip(*(each.paces for each in found), strict=True)
    ]


def time_shapes(study: StudySpec, shapes: Sequence[Architecture]) -> Timed:
    """Paces of these shapes, one after another, in this process; of what is too large for that, a block or fewer tokens."""
    since, waited = time.perf_counter(), waited_seconds()
    import torch

    from trials.training.pace import StepTimes, products_per_second, time_steps
    from trials.trial.calibration import mode_of

    imported = _worked_seconds(since, waited)
    torch.set_num_threads(study.workers.trial_threads)
    since, waited = time.perf_counter(), waited_seconds()
    proxy, device, paces = study.proxy.plain(), study.workers.device, []
    way, known = mode_of(study), dict[tuple[object, ...], StepTimes]()
    most_flops = MOST_STEP_FLOPS if device == "cuda" else min(MOST_STEP_FLOPS, MOST_STEP_SECONDS * products_per_second(way.precision))
    for shape in shapes:
        timed, context, sequences = _affordable(study, shape, most_flops)
        whole = timed == shape and optimizer_flops(shape, proxy.optimizer) <= most_flops
        optimizer = proxy.optimizer if whole or device == "cuda" else "adamw"  # Muon's products on a wide block take minutes here
        recipe = proxy.model_copy(update={"context_tokens": context, "batch_sequences": sequences, "optimizer": optimizer})
        key = (timed, context, sequences, optimizer)
        times = known[key] = known.get(key) or time_steps(recipe, timed, way, device, judges=True)
        judged = (times.evaluation_seconds_per_token or 0.0) * times.processor_share
        paces.append(
            TrainingPace(
                label=timed.label,
                step_flops=times.step_tokens * cost.training_flops_per_token(timed, context) + optimizer_flops(timed, optimizer),
                step_tokens=times.step_tokens,
                stands_for_flops=step_flops(shape, proxy),
                executed_blocks=timed.num_hidden_layers,
                parameters=cost.parameters(timed),
                seconds_per_token=times.seconds_per_token * times.processor_share,
                evaluation_flops_per_second=None if not judged else cost.decode_flops(timed, context) / judged,
                start_seconds=max(0.0, times.start_seconds) * times.processor_share if way.compile else 0.0,
                origin="timed",
            )
        )
    return Timed(paces=tuple(paces), import_seconds=imported, timed_seconds=_worked_seconds(since, waited))


def _worked_seconds(since: float, waited: float) -> float:
    """Seconds since that moment less what this process has waited for a processor, of which it had waited so many by then."""
    passed = time.perf_counter() - since
    return passed - min(waited_seconds() - waited, 0.9 * passed)


def measured_latency(spec: LatencySpec, shapes: Sequence[Architecture]) -> LatencyPace | None:
    """What a latency takes where its process is warm: of the last of these shapes, after the first; None where it cannot be taken here."""
    from trials.latency.process import LatencyError, LatencyProcess

    try:
        process = LatencyProcess(spec)
    except SpecError:
        return None  # not installed here: the machine that measures may be another one
    try:
        process.measure(shapes[0], LATENCY_SECONDS)
        since = time.perf_counter()
        process.measure(shapes[-1], LATENCY_SECONDS)
        seconds = time.perf_counter() - since
        size = cost.parameters(shapes[-1])
        return LatencyPace(label=shapes[-1].label, parameters=size, seconds=seconds * processor_share(1), origin="timed")
    except (SpecError, WorkError, LatencyError):
        return None
    finally:
        process.close()


def _affordable(study: StudySpec, shape: Architecture, most_flops: float) -> tuple[Architecture, int, int]:
    """What is timed for a shape: itself, one of its blocks or a wide block, with the tokens of a sequence and the sequences of a step."""
    proxy = study.proxy
    if study.workers.gpus:
        return shape, proxy.context_tokens, proxy.batch_sequences
    # one block and a small vocabulary have the width's speed; the law of a step scales them by FLOPs
    block = replace(
        shape, num_unique_layers=1, vocab_size=min(shape.vocab_size, 1024), layer_types=shape.layer_types[:1], sharing=Sharing()
    )
    for timed in (shape, block, *WIDE_BLOCKS):
        context, sequences = _timed_tokens(study, timed, most_flops)
        if cost.parameters(timed) <= LARGEST_WHOLE and _is_short(timed, context, sequences, most_flops):
            break
    return timed, context, sequences


def _timed_tokens(study: StudySpec, timed: Architecture, most_flops: float) -> tuple[int, int]:
    """Tokens of a sequence, and sequences, of a step that takes little time and memory, where so few tokens can."""
    context = min(study.proxy.context_tokens, LONGEST_TIMED_TOKENS)
    sequences = min(study.proxy.batch_sequences, LONGEST_TIMED_TOKENS // context)
    while context * sequences > FEWEST_TIMED_TOKENS and not _is_short(timed, context, sequences, most_flops):
        if sequences > 1:
            sequences = -(-sequences // 2)
        else:
            context //= 2
    return context, sequences


def _is_short(timed: Architecture, context: int, sequences: int, most_flops: float) -> bool:
    """Whether a step, whose logits and attention maps are whole, stays within the bounds."""
    from trials.training.footprint import activation_bytes

    tokens = context * sequences
    held = activation_bytes(timed, sequences, context, "float32") + 12 * tokens * timed.vocab_size
    held += 8 * timed.num_attention_heads * context * tokens
    return tokens * cost.training_flops_per_token(timed, context) <= most_flops and held <= MOST_STEP_BYTES
