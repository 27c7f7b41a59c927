"""Evaluators in place of training, at the top of a module so that Ray's workers can import them, and the small study they run in."""

from __future__ import annotations

import math
import os
import resource
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from analysis.objectives.observed import Observed
from analysis.objectives.problem import problem_of
from analysis.objectives.registry import USUAL
from analysis.records.latency import Latency, Spread
from analysis.records.record import Outcome, TrialRecord
from analysis.records.training import CurvePoint, Quality, Training
from search_space import cost
from search_space.architecture import Architecture
from trials.study.load_study import parse_study
from trials.study.spec import StudySpec
from trials.trial.task import Start, TrialTask, count_costs, record_of

VALUES: dict[str, Any] = {
    "name": "small",
    "corpus": {"name": "python-stdlib"},
    "budget": {"parameters": 100_000},
    "space": {
        "vocab_size": 300,
        "num_unique_layers": {"from": 1, "to": 8},
        "hidden_size": {"from": 32, "to": 96, "step": 8},
        "head_dim": [8, 16],
        "num_key_value_heads": [1, 2],
        "mlp": ["swiglu", "relu"],
        "sharing": ["none", {"strategy": "immediate", "repeats": 2}],
        "intermediate_size": {"solve": True, "ratio": [1, 6]},
    },
    "proxy": {"tokens": 20_000, "evaluation_tokens": 2_048, "precision": "float32", "compile": False},
    "search": {"trials": 12, "sampler": "nsga2", "replicates": 0},
    "workers": {"count": 2, "threads": 1},
    "finals": {"learning_rate_bracket": False},
}
WIDE_SPACE: dict[str, Any] = {**VALUES["space"], "vocab_size": [300, 310, 320, 330], "hidden_size": {"from": 32, "to": 128, "step": 4}}
"""A space of 5,500 shapes."""


def small_study(**changes: Any) -> tuple[StudySpec, str]:
    """The small study and its YAML; a change is a section's name with the keys to set in it, or with the value that replaces it."""
    values = dict(VALUES)
    for name, change in changes.items():
        values[name] = {**values.get(name, {}), **change} if isinstance(change, dict) else change
    return parse_study(values), yaml.safe_dump(values)


def plausible(task: TrialTask) -> TrialRecord:
    """Smooth numbers: depth helps and costs time."""
    return answer(task)


def answer(task: TrialTask, **changes: Any) -> TrialRecord:
    """A finished record with smooth numbers, or with these fields."""
    shape, (study, _) = task.architecture, small_study()
    fields = {"outcome": Outcome.FINISHED, "reason": None, "latency": latency(shape), "training": _training(shape), **changes}
    costs = count_costs(shape, study.latency, study.proxy)
    return record_of(task, fields.pop("outcome"), fields.pop("reason"), costs, Start.now(), **fields)


def with_a_curve(task: TrialTask) -> TrialRecord:
    """As `plausible`, with a curve of 16 evaluations that comes down to the last one; ends out of order."""
    time.sleep(0.02 * (task.number % 3))
    record = answer(task)
    training = record.training
    assert training is not None
    assert training.validation is not None
    whole, loss = training.planned_tokens, training.validation.loss
    points = [CurvePoint(tokens=whole * k // 16, seconds=k / 8, validation_loss=loss * (0.7 + 0.3 * (16 / k) ** 0.3)) for k in range(1, 17)]
    return replace(record, training=replace(training, curve=tuple(points)))


def with_a_limit(task: TrialTask) -> TrialRecord:
    """As `plausible`, and as a trial does where a shape takes more than 30 milliseconds."""
    record, bounded = answer(task), problem_of(USUAL, {"total_ms": 30})
    passed = bounded.passed_limit(Observed.of(record), "shape", "device")
    return record if passed is None else replace(record, outcome=Outcome.OVER_LIMIT, reason=passed, training=None)


def slow(task: TrialTask) -> TrialRecord:
    """As `plausible`, after a tenth of a second or two: trials of different length end in another order than they began."""
    time.sleep(0.05 + 0.15 * (task.number % 3))
    return answer(task)


def lingering(task: TrialTask) -> TrialRecord:
    """As `slow`, and one trial is still there when a monitor that looks every two seconds looks for the second time."""
    time.sleep(5 if task.number == 2 else 0)
    return slow(task)


def one_of_each(task: TrialTask) -> TrialRecord:
    """Every way in which a trial can go wrong, and many that go well."""
    if task.number == 2:
        return answer(task, outcome=Outcome.DIVERGED, reason="the training loss was nan", latency=None, training=None)
    if task.number == 3:
        raise ValueError("no such shape")
    if task.number == 4:
        time.sleep(0.5)  # as in `fatal`: where it runs is said before it ends
        os._exit(7)
    if task.number == 5:
        _use_up_memory()
    if task.number == 6:
        time.sleep(3600)
    return answer(task)


def fatal(deaths: Path, times: int, task: TrialTask) -> TrialRecord:
    """As `plausible`, and trial 3 ends its worker, as the kernel does, so many times: a line in that file each time."""
    if task.number == 3 and deaths.read_bytes().count(b"\n") < times:
        time.sleep(0.5)  # what a worker says before it begins is on its way; a training lives that long
        with deaths.open("a") as file:
            print(os.getpid(), file=file)
        os.kill(os.getpid(), signal.SIGKILL)
    return answer(task)


def greedy(deaths: Path, task: TrialTask) -> TrialRecord:
    """As `plausible`, and trial 3 asks for memory until the kernel ends it; trial 4 is ended by somebody, the first time."""
    if task.number == 3:
        time.sleep(0.5)
        held = []
        while True:
            held.append(bytearray(b"x") * (64 << 20))
    if task.number == 4 and not deaths.exists():
        time.sleep(0.5)
        deaths.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return answer(task)


SECRET = "hunter2/of?the#study"
ADDRESS = f"postgresql://me:{SECRET}@host:5432/db"


def unguarded(task: TrialTask) -> TrialRecord:
    """Every second trial fails of a library that has an address with its password in its words; the others go well."""
    if task.number % 2:
        raise ConnectionError(f"could not connect to {ADDRESS}")
    if task.number == 2:
        return answer(task, outcome=Outcome.DIVERGED, reason=f"the loss at {ADDRESS} was nan", training=None)
    return answer(task)


def hopeless(task: TrialTask) -> TrialRecord:
    """Nothing works."""
    raise RuntimeError("the disk is on fire")


def _use_up_memory() -> None:
    """A real MemoryError, in a process that may have little more memory than it has; the limit is lifted again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), hard))
    try:
        bytearray(1 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def latency(shape: Architecture) -> Latency:
    """A latency that grows with depth and with FLOPs."""
    total = 2.0 + 3.0 * shape.num_hidden_layers + 1e-5 * cost.decode_flops(shape, 128)
    return Latency(
        total_ms=Spread(median=total, p10=total, p90=total),
        prefill_ms=Spread(median=total / 10, p10=total / 10, p90=total / 10),
        decode_ms_per_token=Spread(median=total / 70, p10=total / 70, p90=total / 70),
        repeats=5,
        prompt_tokens=64,
        new_tokens=64,
        runtime="none",
        runtime_version="0",
        precision="float32",
        threads=1,
        pinned_cpus=None,
        device="none",
        load_average=None,
        disturbed=False,
        protocol="fake",
    )


def _training(shape: Architecture) -> Training:
    bits = 2.2 + 0.03 * math.log2(shape.num_hidden_layers / 6) ** 2 + (0.02 if shape.mlp == "relu" else 0) - 0.0005 * shape.hidden_size
    return Training(
        tokens=20_480,
        planned_tokens=20_480,
        steps=40,
        parameters=cost.parameters(shape),
        validation=Quality(loss=1.5 * bits, bits_per_byte=bits, next_token_accuracy=0.3, tokens=2_048),
        tokens_per_second=1e4,
        wall_seconds=2.0,
        process_seconds=2.0,
        peak_memory_bytes=None,
        device="none",
        precision="float32",
        threads=1,
    )
