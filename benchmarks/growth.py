"""What grows with a study's trials: membership, the choice of a replicate, the driver's processor time a trial, and its memory.

`benchmarks.overhead` prints both parts. Records are planted, or come from an evaluator that only answers.
"""

from __future__ import annotations

import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.fronts.front import PointReader, front_of
from analysis.fronts.membership import estimate_membership, membership_probabilities
from analysis.objectives.problem import STANDARD
from analysis.records.latency import Spread
from analysis.records.record import Kind, TrialRecord
from tests.support import fakes
from tests.support.sample_study import sample_records

COUNTS = (500, 1000, 2000, 10_000)
"""Records of the planted studies."""
WINDOW = 200
"""Trials at either end of a study whose driver's time is compared."""
WIDE = {**fakes.VALUES["space"], "vocab_size": [300, 310, 320, 330], "hidden_size": {"from": 32, "to": 128, "step": 4}}
"""A space of 5,500 shapes."""
MEBIBYTE = 1 << 20


def planted(count: int) -> list[TrialRecord]:
    """Finished trials along a front, with a scatter above it and half a per cent of noise."""
    random = np.random.default_rng(0)
    base = next(record for record in sample_records() if record.finished and record.kind is Kind.SAMPLED)
    assert base.latency is not None
    assert base.training is not None
    assert base.training.validation is not None
    records = []
    for number, milliseconds in enumerate(np.exp(random.uniform(np.log(5), np.log(40), count)).tolist()):
        above = 0.02 * random.standard_gamma(1) + 0.011 * random.standard_normal()
        bits = 2.2 + 0.25 * float(np.exp(-np.log(milliseconds / 5) / 0.7)) + float(above)
        total = Spread(median=milliseconds, p10=0.99 * milliseconds, p90=1.01 * milliseconds)
        training = replace(base.training, validation=replace(base.training.validation, loss=bits, bits_per_byte=bits))
        records.append(replace(base, number=number, latency=replace(base.latency, total_ms=total), training=training))
    return records


def membership() -> dict[str, float]:
    """Processor seconds of the front with its membership, and of a replicate's choice once the records were read, for each count."""
    found = {}
    for count in COUNTS:
        records, reader = planted(count), PointReader(STANDARD)
        begun = time.process_time()
        estimate_membership(front_of(records))
        found[f"membership_seconds_{count}"] = time.process_time() - begun
        reader.points(records)
        begun = time.process_time()
        membership_probabilities(reader.points(records), STANDARD)
        found[f"replicate_choice_seconds_{count}"] = time.process_time() - begun
    found["peak_memory_mib"] = _peak_memory_mib()
    return found


def study(trials: int, workers: int) -> dict[str, float]:
    """A study of so many trials: the driver's processor seconds a trial at its two ends, its memory, and how long it is answered again."""
    from trials.driver.progress import StudyProgress
    from trials.driver.run_study import run_study

    spec, text = fakes.small_study(search={"trials": trials}, space=WIDE, workers={"count": workers})
    came: list[float] = []

    def note(progress: StudyProgress) -> None:
        came.append(time.process_time())

    with tempfile.TemporaryDirectory() as directory:
        begun = time.perf_counter()
        run_study(spec, Path(directory) / "study", study_text=text, evaluate=fakes.plausible, progress=note)
        whole, begun = time.perf_counter() - begun, time.perf_counter()
        run_study(spec, Path(directory) / "study", study_text=text, evaluate=fakes.plausible)
        again = time.perf_counter() - begun
    first, last = ((came[start + WINDOW] - came[start]) / WINDOW for start in (10, len(came) - WINDOW - 1))
    return {
        "trials": len(came),
        "wall_seconds": whole,
        "driver_cpu_seconds_per_trial_first": first,
        "driver_cpu_seconds_per_trial_last": last,
        "last_over_first": last / first,
        "answered_again_seconds": again,
        "peak_memory_mib": _peak_memory_mib(),
    }


def _peak_memory_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEBIBYTE
