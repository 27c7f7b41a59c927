"""How a study's training steps are made on this machine (precision, threads, compiled blocks), found by timing a few of them.

One way is chosen for all shapes of a study, for losses in two precisions are not compared. It is kept in the study's directory, where a
continued study finds it, and in the cache for other studies of such a size on such a machine, so that they choose alike.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING

from analysis.calibration import Calibration, Timed, Way, choose
from search_space import cost
from search_space.architecture import Architecture
from search_space.errors import SpecError
from search_space.spread import SEEN, spread_of_shapes
from trials.corpus import cache_folder
from trials.side_by_side import side_by_side
from trials.study import AUTO, ProxySpec, StudySpec
from trials.text.files import write_whole
from trials.timing.machine import device_name
from trials.training.failures import TrainingFailed
from trials.training.schedules import stated_tokens

if TYPE_CHECKING:
    from trials.text.blocks import TokenBlocks

CALIBRATION = "calibration.json"
SHAPES = 2
"""A deep and thin shape and a wide and shallow one."""
TIMED_SECONDS = 1.5
"""For each way and shape, in steps after the first two; at least two more."""
LONGEST_STEP_TOKENS = 1024
"""Of a timed step; more of them change nothing a token."""
COMPILED_FROM_SECONDS = 60.0
"""Shorter trials cannot win back what compiling takes: 10 to 30 s here, for at most a sixth of the rest (docs/findings.md)."""
Measure = Callable[[StudySpec], Calibration]


def settled(study: StudySpec, directory: Path, measure: Measure | None = None) -> StudySpec:
    """The study with nothing left open: as its directory has it, or as `measure` finds it (default: `calibrate`, in a process of its own).

    Raises SpecError where the directory's calibration is damaged.
    """
    if not _is_open(study):
        return study
    path = directory / CALIBRATION
    if not path.exists():
        found = (measure or _apart)(study)
        write_whole(path, json.dumps(found.as_dict(), indent=2) + "\n")
    return as_settled(study, directory)


def as_settled(study: StudySpec, directory: Path) -> StudySpec:
    """The study as its directory's calibration settled it; as it is where there is none."""
    path = directory / CALIBRATION
    if not _is_open(study) or not path.exists():
        return study
    way = _read(path).chosen
    proxy = study.proxy.model_copy(update={"precision": way.precision, "compile": way.compile})
    return study.model_copy(update={"proxy": proxy, "search": study.search.model_copy(update={"threads": way.threads})})


def calibrate(study: StudySpec, cache: Path | None = None) -> Calibration:
    """Time what the study leaves open on this machine, or find in the cache what was timed for such a size before.

    A trial may have as many threads as this machine has processors for each of the study's workers.
    """
    ways = _ways(study)
    if len(ways) == 1 and study.proxy.compile != AUTO:
        return Calibration(chosen=ways[0], machine=_machine(study))
    shapes = spread_of_shapes(study.search_space.sample(SEEN, study.search.seed), SHAPES)
    path = cache_folder(cache) / "calibrations" / f"{_digest(study, ways, shapes)}.json"
    if path.exists():
        return _read(path)
    try:
        found = _timed_ways(study, ways, shapes)
    except TrainingFailed:  # no memory for such shapes: each trial will say so
        return Calibration(chosen=ways[0], machine=_machine(study))
    write_whole(path, json.dumps(found.as_dict(), indent=2) + "\n")
    return found


def _timed_ways(study: StudySpec, ways: Sequence[Way], shapes: Sequence[Architecture]) -> Calibration:
    timed = [time_way(study.proxy, shapes, way, study.search.device) for way in ways]
    seconds = study.proxy.seconds
    tokens = seconds / timed[0].seconds_per_token if seconds else fmean(stated_tokens(study.proxy, shape) or 0 for shape in shapes)
    best = choose(timed, tokens)
    if study.proxy.compile == AUTO and best.trial_seconds(tokens) >= COMPILED_FROM_SECONDS:
        from torch._dynamo.exc import TorchDynamoException

        with suppress(TorchDynamoException):  # no C++ compiler, or one that torch cannot use: such a machine trains as well
            timed.append(time_way(study.proxy, shapes, replace(best.way, compile=True), study.search.device))
        best = choose(timed, tokens)
    return Calibration(
        chosen=best.way, machine=_machine(study), shapes=tuple(shape.label for shape in shapes), tokens=tokens, timed=tuple(timed)
    )


def time_way(proxy: ProxySpec, shapes: Sequence[Architecture], way: Way, device: str = "cpu") -> Timed:
    """Train throw-away networks of these shapes on made-up tokens for a moment."""
    found = [_paces(proxy, shape, way, device) for shape in shapes]
    return Timed(way=way, seconds_per_token=fmean(pace for pace, _ in found), start_seconds=max(0.0, fmean(start for _, start in found)))


def _paces(proxy: ProxySpec, shape: Architecture, way: Way, device: str) -> tuple[float, float]:
    """Seconds a token, and what the first step takes beyond its tokens."""
    from trials.proxy import ProxyRun  # the parent process of a calibration does not need torch

    proxy, stamps = _timing_recipe(proxy, way), list[float]()

    def note() -> float:
        stamps.append(time.perf_counter())
        return 0.0

    run = ProxyRun(shape, _made_up(shape.vocab_size), proxy, seed=0, threads=way.threads, device=device, pause=note)
    tokens, begun = run.plan.tokens_per_step, time.perf_counter()
    run.run(until_tokens=2 * tokens)  # compiles, and warms up
    first, steps = stamps[1] - stamps[0], list[float]()
    while len(steps) < 2 or time.perf_counter() - begun - first < TIMED_SECONDS:
        stamps.clear()
        run.run(until_tokens=run.tokens + tokens)
        steps.append(stamps[1] - stamps[0])  # the second moment is before the evaluation at the end of a stretch
    return median(steps) / tokens, first - median(steps)


def _timing_recipe(proxy: ProxySpec, way: Way) -> ProxySpec:
    """The study's recipe without end, in that way, with steps of a bounded size."""
    context = min(proxy.context_tokens, LONGEST_STEP_TOKENS)
    changes = {
        "tokens": 1 << 40, "tokens_per_parameter": None, "flops": None, "seconds": None, "rungs": (),
        "context_tokens": context, "batch_sequences": min(proxy.batch_sequences, LONGEST_STEP_TOKENS // context),
        "evaluations": 1, "evaluation_tokens": context,
        "precision": way.precision, "compile": way.compile,
    }  # fmt: skip
    return proxy.model_copy(update=changes)


def _made_up(vocab_size: int) -> TokenBlocks:
    import numpy as np

    from trials.text.blocks import TokenBlocks

    ids = np.random.default_rng(0).integers(0, vocab_size, 1 << 16).astype(np.uint32)
    return TokenBlocks(ids, ids, ids, vocab_size, np.ones(vocab_size, np.int32), "made up", "0" * 64, None)


def _ways(study: StudySpec) -> list[Way]:
    """What may be chosen, the plainest first; whether blocks are compiled is asked later, where the study leaves it open."""
    proxy, search = study.proxy, study.search
    share = max(1, (os.cpu_count() or 1) // search.workers)
    threads = [1 << power for power in range(share.bit_length())] if search.threads == AUTO else [search.threads]
    precisions = ["float32", "bfloat16"] if proxy.precision == AUTO else [proxy.precision]
    if search.gpus and search.threads == AUTO:
        threads = [1]  # the processor only feeds the GPU
    return [Way(precision=p, threads=n, compile=proxy.compile is True) for p in precisions for n in threads]


def _is_open(study: StudySpec) -> bool:
    return AUTO in (study.proxy.precision, study.proxy.compile, study.search.threads)


def _apart(study: StudySpec) -> Calibration:
    return next(found for _, found in side_by_side(calibrate, [(study,)], 1, lower="proxy.batch_sequences"))


def _machine(study: StudySpec) -> str:
    if not study.search.gpus:
        return device_name()
    import torch

    return torch.cuda.get_device_name()


def _digest(study: StudySpec, ways: Sequence[Way], shapes: Sequence[Architecture]) -> str:
    """What decides a calibration: machine, libraries, recipe, and the sizes by powers of two."""
    import torch

    proxy = study.proxy
    tokens = [proxy.seconds or stated_tokens(proxy, shape) or 0 for shape in shapes]
    facts = {
        "machine": [_machine(study), os.cpu_count(), torch.__version__],
        "recipe": [proxy.optimizer, proxy.batch_sequences, proxy.context_tokens, bool(proxy.seconds), str(proxy.compile)],
        "ways": [str(way) for way in ways],
        "size": [round(fmean(cost.parameters(shape) for shape in shapes)).bit_length(), round(fmean(tokens)).bit_length()],
        "vocabulary": shapes[0].vocab_size.bit_length(),
        "study": [study.search.gpus, study.search.workers],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path) -> Calibration:
    try:
        return Calibration.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SpecError(f"{path} does not hold a calibration; delete it to have the machine timed again") from None
