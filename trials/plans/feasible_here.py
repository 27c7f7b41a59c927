"""Which trainings of a scaling study this machine can run: what its memory holds, and what its measured speed ends in time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.records.files import write_whole
from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from analysis.text.words import duration, plural
from search_space import cost
from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.machine.memory import trials_on_a_machine, usable_bytes
from trials.machine.processors import device_name
from trials.plans.known_paces import ready_paces
from trials.plans.pace_measure import spread_by_flops
from trials.study.spec import ProxySpec, StudySpec
from trials.training.failures import OutOfMemory
from trials.training.footprint import fit_batch
from trials.training.schedules import paid_tokens
from trials.trial.finished_elsewhere import NONE_FINISHED, finished_elsewhere
from trials.trial.task import TrialTask

MeasurePace = Callable[[StudySpec, Sequence[TrialTask]], "Pace"]
PACE = "pace.json"
LARGEST_TIMED = 30_000_000
"""Parameters of the largest shape that is timed; larger ones are taken to go at its FLOPs a second."""
SLOW = "it takes about"
"""The beginning of a reason of time; the others are of memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a machine trains, and the memory that a trial may take there."""

    machine: str
    flops_per_token: tuple[int, ...]
    """Training FLOPs of a token of the timed shapes, ascending."""
    flops_per_second: tuple[float, ...]
    """Speed of each timed shape."""
    usable_bytes: int

    def seconds(self, shape: Architecture, proxy: ProxySpec) -> float:
        """Seconds of a training with branches and evaluations; between two timed shapes the slower one's speed, so that none is late."""
        flops = cost.training_flops_per_token(shape, proxy.context_tokens)
        place = bisect_left(self.flops_per_token, flops)
        speed = min(self.flops_per_second[max(0, place - 1) : place + 1])
        judged = (proxy.evaluations + len(proxy.cooldowns)) * proxy.evaluation_tokens / 3  # forward is a third of a step
        return (paid_tokens(shape, proxy) + judged) * flops / speed


def time_pace(study: StudySpec, tasks: Sequence[TrialTask]) -> Pace:
    """The pace of the machine that asks in the study's way of making steps; a few of the shapes are timed where its table lacks them."""
    shapes = sorted({task.architecture for task in tasks}, key=lambda shape: _flops(shape, study))
    small = [shape for shape in shapes if cost.parameters(shape) <= LARGEST_TIMED] or shapes[:1]
    known = ready_paces(study, small, times_latency=False)
    if known is None:
        raise SpecError(
            f"workers.gpus of a study with `scaling` must be 0 on a machine without a GPU, found {study.workers.gpus:g}; plan it where it "
            "trains"
        )
    chosen = spread_by_flops(small, study.proxy.context_tokens)
    device = study.workers.device
    return Pace(
        machine=device_name(study.workers.device),
        flops_per_token=tuple(_flops(shape, study) for shape in chosen),
        flops_per_second=tuple(_flops(shape, study) / known.law.seconds_per_token(shape, study.proxy) for shape in chosen),
        usable_bytes=usable_bytes(device, trials_on_a_machine(study.workers)),
    )


def infeasible_reason(study: StudySpec, task: TrialTask, pace: Pace) -> str | None:
    """Why a machine of that pace cannot run the training, with the cure; None where it can."""
    proxy = task.recipe(study.proxy).plain()
    try:
        fit_batch(task.architecture, proxy, pace.usable_bytes, device=study.workers.device)
    except OutOfMemory as error:
        return str(error)
    seconds, limit = pace.seconds(task.architecture, proxy), study.workers.deadline_seconds
    if seconds > limit:
        return f"{SLOW} {duration(seconds)} here, more than the {duration(limit)} of workers.deadline_seconds"
    return None


def infeasible_here(
    study: StudySpec, directory: Path, tasks: Sequence[TrialTask], measure: MeasurePace | None = None
) -> dict[int, str] | None:
    """Numbers of the trainings that are left out, each with the reason, by the pace that the directory has; none that is taken over is.

    Where it has none, `measure` finds it and it is kept there, so that a continued study has the same part; None without `measure`.
    """
    path = directory / PACE
    if not path.exists():
        if measure is None:
            return None
        write_whole(path, (json_of(asdict(measure(study, tasks)), indent=2) + "\n").encode())
    pace = _read(path)
    found = [(task, reason) for task in tasks if (reason := infeasible_reason(study, task, pace)) is not None]
    elsewhere = finished_elsewhere(study, directory, {task.architecture.vocab_size for task, _ in found}) if found else NONE_FINISHED
    return {task.number: reason for task, reason in found if not elsewhere.holds(task)}


def grouped(left_out: Mapping[int, str]) -> list[str]:
    """What is left out in a line for each kind of reason, memory and time, with the reason of the cheapest of its kind."""
    kinds: dict[bool, list[int]] = {}
    for number, reason in left_out.items():
        kinds.setdefault(reason.startswith(SLOW), []).append(number)
    return [f"{plural(len(those), 'training')} ({_numbers(those)}): {left_out[those[0]]}" for _, those in sorted(kinds.items())]


def _numbers(those: Sequence[int]) -> str:
    shown = [f"#{number}" for number in those]
    return ", ".join(shown if len(shown) < 5 else [*shown[:3], f"... {shown[-1]}"])


def _flops(shape: Architecture, study: StudySpec) -> int:
    return cost.training_flops_per_token(shape, study.proxy.context_tokens)


def _read(path: Path) -> Pace:
    try:
        values: dict[str, Any] = parse_json(path.read_bytes())
        settled: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return Pace(**settled)
    except (ValueError, TypeError, AttributeError):
        raise SpecError(f"{path} must hold how fast this machine trains, found something else; delete it to have it timed again") from None
