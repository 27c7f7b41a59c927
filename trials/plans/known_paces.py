"""What is known of the machine that asks: from the table of what it took before, else timed now and kept there. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median

from analysis.text.words import plural
from search_space import cost
from search_space.architecture import Architecture
from trials.machine.contention import processor_share
from trials.plans.pace_measure import PaceRequest, measured_latency, measured_paces, spread_by_flops
from trials.plans.pace_model import FARTHEST_SIZE, StepLaw, covers
from trials.plans.pace_table import (
    KeptFile,
    LatencyPace,
    OverheadPace,
    TrainingPace,
    has_gpu,
    keep_rows,
    kept_rows,
    latency_file,
    machine_of,
    overhead_file,
    training_file,
    trusted,
)
from trials.plans.stage_estimate import USUAL_IMPORT_SECONDS, USUAL_OVERHEAD, USUAL_PREPARATION, KnownPaces
from trials.study.spec import StudySpec

NEWEST = 16
"""Rows that count: a machine's pace is that of today."""


def trains_elsewhere(study: StudySpec) -> bool:
    """Whether the study trains on a GPU and this machine has none, so that nothing here says how long it takes."""
    return bool(study.workers.gpus) and not has_gpu()


TimedRows = Mapping[Path, Sequence[TrainingPace]]
"""What was timed now, by the file that keeps it where this machine's cache can be written."""


def known_paces(study: StudySpec, shapes: Sequence[Architecture], timed: Mapping[Path, Sequence[TrainingPace]] = {}) -> KnownPaces | None:
    """What the table says of a study with nothing left open, or else what was timed; None without rows near the size of these shapes."""
    if trains_elsewhere(study):
        return None
    machine = machine_of(study)
    file = training_file(study, machine)
    rows = kept_rows(file, TrainingPace)
    if not covers(rows, shapes, study.proxy):
        rows = [*rows, *timed.get(file.path, ())]
    if not covers(rows, shapes, study.proxy):
        return None
    measured = near_in_size(kept_rows(latency_file(study, machine), LatencyPace), shapes)
    return of_rows(rows, measured, kept_rows(overhead_file(machine), OverheadPace))


def near_in_size(rows: Sequence[LatencyPace], shapes: Sequence[Architecture]) -> list[LatencyPace]:
    """The latencies of shapes that are about as large as these: a larger file takes longer to be made and to be run."""
    sizes = [cost.parameters(shape) for shape in shapes]
    return [row for row in rows if min(sizes) <= FARTHEST_SIZE * row.parameters and row.parameters <= FARTHEST_SIZE * max(sizes)]


def of_rows(paces: Sequence[TrainingPace], latencies: Sequence[LatencyPace] = (), overheads: Sequence[OverheadPace] = ()) -> KnownPaces:
    """What rows say, at least one of them of trainings."""
    law = StepLaw.of(paces)
    first = [row.seconds for row in latencies if row.origin == "run" and row.is_first]
    later = [row.seconds for row in latencies if row.origin == "run" and not row.is_first]
    alone = trusted([row for row in latencies if row.origin != "run"])
    return KnownPaces(
        law=law,
        latency_seconds=_newest_mean([row.seconds for row in alone]),
        trial_latency_seconds=_newest_mean(later),
        first_latency_seconds=_newest_mean(first),
        overhead=_overhead(overheads, USUAL_OVERHEAD),
        preparation=_overhead(overheads, USUAL_PREPARATION),
        basis=f"{plural(law.rows, 'training')} that this machine made so"
        if law.are_of_studies
        else f"{plural(law.rows, 'shape')} timed here",
    )


def time_missing(asked: Sequence[PaceRequest]) -> TimedRows:
    """Time here, all in one start, what the table lacks of these: studies with nothing left open and as many trials side by side in each.

    What does not fit the seconds that a plan may take is left to the next one, which goes on where the cache keeps what was timed.
    """
    lacking: dict[Path, tuple[KeptFile, StudySpec, tuple[Architecture, ...]]] = {}
    for study, shapes in asked:
        file = training_file(study, machine_of(study))
        if not trains_elsewhere(study) and not covers(kept_rows(file, TrainingPace), shapes, study.proxy):
            before = lacking[file.path][2] if file.path in lacking else ()
            lacking[file.path] = file, study, (*before, *shapes)
    if not lacking:
        return {}
    requests = [(study, spread_by_flops(shapes, study.proxy.context_tokens)) for _, study, shapes in lacking.values()]
    found, overhead = measured_paces(requests)
    timed = dict(zip(lacking, found, strict=False))
    for path, paces in timed.items():
        keep_rows(lacking[path][0], paces)
    _, study, _ = next(iter(lacking.values()))
    keep_rows(overhead_file(machine_of(study)), [overhead])
    return timed


def ready_paces(study: StudySpec, shapes: Sequence[Architecture], *, times_latency: bool = True) -> KnownPaces | None:
    """What the table says, after what it lacks was timed here: some seconds; None where the study trains elsewhere."""
    if trains_elsewhere(study):
        return None
    workload = latency_file(study, machine_of(study))
    timed = time_missing([(study, shapes)])
    if times_latency and not near_in_size(kept_rows(workload, LatencyPace), shapes):
        latency = measured_latency(study.latency, spread_by_flops(shapes, study.proxy.context_tokens)[:2])
        keep_rows(workload, [latency] if latency else [])
    return known_paces(study, shapes, timed)


def beside_others(known: KnownPaces, study: StudySpec) -> KnownPaces:
    """What is known, with the share that a study's trials would have of their processors now: a quarter of a second tells it."""
    return replace(known, processor_share=share_here(study))


def share_here(study: StudySpec) -> float:
    """Share of their processors that the study's trials would have now beside what else is at work; 1 where GPUs train."""
    workers = study.workers
    return 1.0 if workers.gpus else processor_share(workers.count * workers.trial_threads)


def _newest_mean(seconds: Sequence[float]) -> float | None:
    """The mean of the newest, since their sum is asked for; None of none."""
    return fmean(seconds[-NEWEST:]) if seconds else None


def _overhead(rows: Sequence[OverheadPace], usually: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each part that is neither training nor measuring: as runs took it, else by how long a process takes to import torch."""
    imports = [row.seconds["imports"] for row in rows if "imports" in row.seconds][-NEWEST:]
    factor = median(imports) / USUAL_IMPORT_SECONDS if imports else 1.0
    found = {}
    for name, usual in usually.items():
        ran = [row.seconds[name] for row in rows if name in row.seconds][-NEWEST:]
        found[name] = median(ran) if ran else factor * usual
    return found
