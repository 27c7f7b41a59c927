"""What one driver and one latency device spend on a trial, by the number of trials that there are; docs/scale.md reckons from it.

    python -m benchmarks.scale [--counts 100 1000 3000] [--only PART ...]

Processor seconds, so that other work beside says little; each part prints one line of JSON:

- `propose`: what the agenda takes to hand out the next trial with so many recorded, and to take its record, for each sampler.
- `records`: to append a record and to read it again, and its bytes.
- `latency`: one measurement of a shape of 1M parameters by the process that takes latencies, after the first one.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from analysis.records.record import RECORDS, TrialRecord, append, read_records
from search_space.space import SearchSpace
from tests.support import fakes
from trials.driver.agenda import Agenda
from trials.latency.process import LatencyProcess
from trials.search.proposer import Proposer
from trials.study.spec import StudySpec
from trials.trial.task import TrialTask

SAMPLERS = ("front", "nsga2", "random")
MANY = {**fakes.WIDE_SPACE, "vocab_size": list(range(300, 700, 10))}
"""A space of tens of thousands of shapes."""
ASKED = 10
"""Trials that are handed out at each count."""
MEASURED = 5
MILLION: dict[str, Any] = {
    "budget": {"parameters": 1_000_000},
    "space": {"vocab_size": 512, "hidden_size": [128, 160, 192], "intermediate_size": {"solve": True, "ratio": [1, 6]}},
}


def study_of(sampler: str, trials: int) -> StudySpec:
    """A study of the fakes with a space of many shapes."""
    return fakes.small_study(search={"trials": trials, "sampler": sampler}, space=MANY)[0]


def planted(study: StudySpec, count: int) -> list[TrialRecord]:
    """Records of so many random shapes, or of all that there are."""
    space: SearchSpace = study.search_space
    agenda = Agenda(study_of("random", count), (), [], lambda: Proposer(space, 0, "random"))
    found: list[TrialRecord] = []
    while len(found) < count and isinstance(task := agenda.next(), TrialTask):
        record = fakes.plausible(task)
        agenda.add(record)
        found.append(record)
    return found


def propose(counts: Sequence[int]) -> dict[str, Any]:
    """Milliseconds of one trial's place in the agenda, with so many recorded."""
    records = planted(study_of("random", max(counts)), max(counts))
    found: dict[str, Any] = {"records": len(records)}
    for sampler in SAMPLERS:
        for count in [each for each in counts if each <= len(records)]:
            study = study_of(sampler, count + 10 * ASKED)
            proposer = Proposer(study.search_space, study.search.seed, sampler)
            agenda = Agenda(study, (), records[:count], partial(_same, proposer))
            task = agenda.next()  # what was there is told once
            assert isinstance(task, TrialTask)
            agenda.add(fakes.plausible(task))
            begun = time.process_time()
            for _ in range(ASKED):
                task = agenda.next()
                assert isinstance(task, TrialTask)
                agenda.add(fakes.plausible(task))
            found[f"{sampler}_{count}_ms"] = 1e3 * (time.process_time() - begun) / ASKED
    return found


def _same(made: Proposer) -> Proposer:
    return made


def kept(counts: Sequence[int]) -> dict[str, Any]:
    """Milliseconds of a record's line, written and read."""
    records, found = planted(study_of("random", 1_000), 1_000), dict[str, Any]()
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        for record in records:
            append(Path(folder), record)
        found["append_ms"] = 1e3 * (time.process_time() - begun) / len(records)
        found["bytes"] = (Path(folder) / RECORDS).stat().st_size / len(records)
        begun = time.process_time()
        read_records(Path(folder))
        found["read_ms"] = 1e3 * (time.process_time() - begun) / len(records)
    return found


def latency(counts: Sequence[int]) -> dict[str, Any]:
    """Processor seconds of one measurement, its process and those that it starts together."""
    study, _ = fakes.small_study(**MILLION, latency={"prompt_tokens": 64, "new_tokens": 64, "repeats": 5})
    shapes = study.search_space.sample(MEASURED + 1)
    with closing(LatencyProcess(study.latency)) as process:
        process.measure(shapes[0])
        before = _spent(process.pid)
        for shape in shapes[1:]:
            process.measure(shape)
        return {"shapes": len(shapes) - 1, "seconds": (_spent(process.pid) - before) / (len(shapes) - 1)}


def _spent(pid: int | None) -> float:
    """Processor seconds of a process and of those that it has waited for."""
    parts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, parts[11:15])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run the parts one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts: dict[str, Callable[[Sequence[int]], dict[str, Any]]] = {"propose": propose, "records": kept, "latency": latency}
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 1_000, 3_000])
    parser.add_argument("--only", choices=parts, nargs="+", default=list(parts))
    options = parser.parse_args()
    for part in options.only:
        found = {name: round(value, 3) if isinstance(value, float) else value for name, value in parts[part](options.counts).items()}
        print(json.dumps({"part": part, **found, "load": round(os.getloadavg()[0], 1)}), flush=True)


if __name__ == "__main__":
    main()
