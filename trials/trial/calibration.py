"""How a study's training steps are made on this machine (precision, threads, compiled blocks), found by timing a few of them.

One way is chosen for all shapes of a study, for losses in two precisions are not compared. It is kept in the study's directory, where a
continued study finds it, and in the cache for other studies of such a size on such a machine, so that they choose alike.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from analysis.records.files import write_whole
from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from analysis.records.record import read_records
from search_space import cost
from search_space.architecture import Architecture
from search_space.errors import SpecError
from search_space.spread import SEEN, spread_of_shapes
from trials.machine.process_pool import side_by_side
from trials.machine.processors import device_name
from trials.machine.provenance import library_version
from trials.study.files import cache_folder
from trials.study.search_spec import AUTO
from trials.study.spec import StudySpec
from trials.training.failures import TrainingFailed
from trials.training.mode import Calibration, TimedMode, TrainingMode, saves
from trials.training.schedules import stated_tokens
from trials.trial.scaling_grid import planned_tasks

CALIBRATION = "calibration.json"
TIMED_SHAPES = 2
"""Shapes that are timed: a deep and thin one and a wide and shallow one."""
COMPILED_FROM_SECONDS = 60.0
"""Shorter trials cannot win back what compiling takes: 10 to 30 s here, for at most 6 % of the rest (docs/findings.md, 2026-11-25: what a
training step on a CPU is made of, and what of it could be saved)."""
MeasureModes = Callable[[StudySpec], Calibration]


def settled(study: StudySpec, directory: Path, measure: MeasureModes | None = None) -> StudySpec:
    """The study with nothing left open: as its directory has it, or as `measure` finds it (default: `calibrate`, in a process of its own).

    Where a directory has trainings and no calibration, theirs is the way. Raises SpecError where the calibration is damaged.
    """
    path = directory / CALIBRATION
    if is_open(study) and not path.exists():
        found = _recorded(directory) or (measure or _in_subprocess)(study)
        write_whole(path, _text(found).encode())
    return as_settled(study, directory)


def as_settled(study: StudySpec, directory: Path) -> StudySpec:
    """The study as its directory's calibration settled it; as it is where there is none."""
    path = directory / CALIBRATION
    if not is_open(study) or not path.exists():
        return study
    found = _read(path)
    if found is None:
        raise SpecError(f"{path} does not hold a calibration; delete it, and what the directory's trials were trained with is taken")
    return _in_the_way(study, found.chosen)


def mode_of(study: StudySpec) -> TrainingMode:
    """How the study's steps are made: as it states, and in the plainest way where it leaves that open."""
    proxy = study.proxy.plain()
    return TrainingMode(precision=proxy.precision, threads=study.workers.trial_threads, compile=proxy.compile is True)


def with_threads(study: StudySpec, threads: int) -> StudySpec:
    """The study with so many threads for each trial."""
    return study.model_copy(update={"workers": study.workers.model_copy(update={"threads": threads})})


def calibrate(study: StudySpec, cache: Path | None = None) -> Calibration:
    """Time what the study leaves open on this machine, or find in the cache what was timed for such a size before.

    A trial may have as many threads as this machine has processors for each of the study's workers. Ways are timed alone, in turns:
    the present one, its rival twice, the present one.
    """
    plain = mode_of(study)
    shapes = spread_of_shapes(_shapes(study), TIMED_SHAPES)
    path = _cached(study, shapes, cache)
    known = _read(path) if path.exists() else None
    if known is not None:
        return known
    from torch._dynamo.exc import TorchDynamoException

    contest = _Contest(study, shapes, plain)
    try:
        contest.settle_threads()
        contest.settle_precision()
        contest.settle_compilation()
    except (TrainingFailed, TorchDynamoException):  # no memory, or no compiler where the study wants one: each trial will say so
        return Calibration(chosen=plain, machine=device_name(study.workers.device))
    write_whole(path, _text(contest.calibration).encode())
    return contest.calibration


def as_known_here(study: StudySpec, cache: Path | None = None) -> StudySpec:
    """The study as this machine's cache settles it; with what it leaves open where nothing was timed for such a size before.

    Nothing was where trials train on a GPU and this machine has none.
    """
    if not is_open(study) or (study.workers.gpus and not _has_cuda()):
        return study
    path = _cached(study, spread_of_shapes(_shapes(study), TIMED_SHAPES), cache)
    found = _read(path) if path.exists() else None
    return study if found is None else _in_the_way(study, found.chosen)


class _Contest:
    """The best way so far, and what was timed on the way to it."""

    def __init__(self, study: StudySpec, shapes: Sequence[Architecture], plain: TrainingMode) -> None:
        self._study, self._shapes, self._best = study, shapes, plain
        self._timed: list[TimedMode] = []
        self._tokens: float | None = None

    @property
    def calibration(self) -> Calibration:
        """What came of it."""
        labels = tuple(shape.label for shape in self._shapes) if self._timed else ()
        return Calibration(
            chosen=self._best, machine=device_name(self._study.workers.device), shapes=labels, tokens=self._tokens, timed=tuple(self._timed)
        )

    def settle_threads(self) -> None:
        """Go from one thread to the trial's share of the processors while it gets faster; a GPU is only fed by them."""
        workers = self._study.workers
        if workers.threads != AUTO or workers.gpus:
            return
        share = max(1, (os.cpu_count() or 1) // workers.count)
        for threads in sorted({share, *(1 << power for power in range(1, share.bit_length()))} - {1}):
            if not self._try(replace(self._best, threads=threads)):
                return

    def settle_precision(self) -> None:
        """Products in bfloat16, where the processor or GPU has them."""
        if self._study.proxy.precision == AUTO:
            self._try(replace(self._best, precision="bfloat16"))

    def settle_compilation(self) -> None:
        """Compiled blocks, where trials are long; where they last seconds, compiling would be training that nobody gets."""
        if self._study.proxy.compile != AUTO or self._study.proxy.seconds is not None:
            return
        from torch._dynamo.exc import TorchDynamoException

        ours = [each for each in self._timed if each.way == self._best] or [self._time(self._best)]
        if ours[-1].trial_seconds(self._trial_tokens(ours[-1])) >= COMPILED_FROM_SECONDS:
            with suppress(TorchDynamoException, TrainingFailed):  # a machine without a C++ compiler trains as well
                self._try(replace(self._best, compile=True))

    def _try(self, rival: TrainingMode) -> bool:
        """Whether the rival is the best way from now on."""
        before, *rivals, after = (self._time(way) for way in (self._best, rival, rival, self._best))
        if won := saves(rivals, [before, after], self._trial_tokens(before)):
            self._best = rival
        return won

    def _time(self, way: TrainingMode) -> TimedMode:
        from trials.training.pace import time_mode  # the parent process of a calibration does not need torch

        self._timed.append(time_mode(self._study.proxy, self._shapes, way, self._study.workers.device))
        return self._timed[-1]

    def _trial_tokens(self, timed: TimedMode) -> float:
        if self._tokens is None:
            proxy = self._study.proxy
            stated = fmean(stated_tokens(proxy, shape) or 0 for shape in self._shapes)
            self._tokens = stated or (proxy.seconds or 0) / timed.seconds_per_token
        return self._tokens


def is_open(study: StudySpec) -> bool:
    """Whether the study leaves its way of making steps to a calibration."""
    return AUTO in (study.proxy.precision, study.proxy.compile, study.workers.threads)


def _in_the_way(study: StudySpec, way: TrainingMode) -> StudySpec:
    proxy = study.proxy.model_copy(update={"precision": way.precision, "compile": way.compile})
    return with_threads(study.model_copy(update={"proxy": proxy}), way.threads)


def _cached(study: StudySpec, shapes: Sequence[Architecture], cache: Path | None) -> Path:
    return cache_folder(cache) / "calibrations" / f"{_digest(study, shapes)}.json"


def _shapes(study: StudySpec) -> list[Architecture]:
    """Shapes that may be timed: a sample of the space, or a scaling study's shapes of its smallest sizes, since others may not fit here."""
    if study.scaling is None:
        return study.search_space.sample(SEEN, study.search.seed)
    planned = [task.architecture for task in planned_tasks(study)]
    return planned[: max(TIMED_SHAPES, len(planned) // 2)]


def _recorded(directory: Path) -> Calibration | None:
    """The way of the directory's first training; None where there is none."""
    for record in read_records(directory):
        if (training := record.training) is not None:
            way = TrainingMode(precision=training.precision, threads=training.threads, compile=training.compiled)
            return Calibration(chosen=way, machine=record.machine.get("processor", "unknown"))
    return None


def _in_subprocess(study: StudySpec) -> Calibration:
    return next(found for _, found in side_by_side(calibrate, [(study,)], 1, lower="proxy.batch_sequences"))


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _digest(study: StudySpec, shapes: Sequence[Architecture]) -> str:
    """What decides a calibration: machine, libraries, recipe, and the sizes by powers of two."""
    proxy, workers = study.proxy, study.workers
    tokens = [proxy.seconds or stated_tokens(proxy, shape) or 0 for shape in shapes]
    facts = {
        "machine": [device_name(study.workers.device), os.cpu_count(), library_version("torch")],
        "recipe": [proxy.optimizer, proxy.batch_sequences, proxy.context_tokens, bool(proxy.seconds)],
        "open": [proxy.precision, str(proxy.compile), workers.threads, workers.count, workers.gpus],
        "size": [round(fmean(cost.parameters(shape) for shape in shapes)).bit_length(), round(fmean(tokens)).bit_length()],
        "vocabulary": shapes[0].vocab_size.bit_length(),
    }
    return hashlib.sha256(json_of(facts, sort_keys=True).encode()).hexdigest()[:16]


def _text(found: Calibration) -> str:
    return json_of(found.as_dict(), indent=2) + "\n"


def _read(path: Path) -> Calibration | None:
    """The choice that a file holds; None where it holds something else."""
    try:
        return Calibration.from_dict(parse_json(path.read_bytes()))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
