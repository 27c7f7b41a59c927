"""What a run foretells of its study before the first trial, what it then took, and what the machine's table learns from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from analysis.records.record import TrialRecord
from analysis.records.stages import FORETOLD, Foretold, by_stage, read_taken, write_stages
from analysis.records.training import Training
from analysis.records.unmeasured import read_unmeasured
from search_space import cost
from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.machine.contention import LEAST_SHARE, share_of_fewer
from trials.plans.deadline import require_deadline
from trials.plans.first_trials import FirstTrials
from trials.plans.foretell import ExpectedTrials, foretold
from trials.plans.known_paces import known_paces, of_rows
from trials.plans.pace_measure import Timed, spread_by_flops
from trials.plans.pace_model import step_flops
from trials.plans.pace_table import (
    LatencyPace,
    Origin,
    OverheadPace,
    TrainingPace,
    keep_rows,
    latency_file,
    machine_of,
    overhead_file,
    training_file,
)
from trials.plans.stage_estimate import ROUNDED_EVALUATION, SOLITARY_STAGES
from trials.progress.stages import JUDGED, MEASURED, Stages
from trials.study.spec import StudySpec
from trials.tasks.encoding import tokens_asked

DOUBTFUL_FLOPS_PER_SECOND = 1e9
"""A slow processor's pace: where the quickest trial ends in time even so, nothing is timed before it begins."""
TimeShapes = Callable[[StudySpec, Sequence[Architecture]], Timed]
OVERHEADS = ("start_up", "tracking")


def foretell(
    study: StudySpec,
    directory: Path,
    first: FirstTrials,
    records: Sequence[TrialRecord],
    left_out: Mapping[int, str],
    time_shapes: TimeShapes,
    *,
    share: float | None,
) -> Foretold | None:
    """Keep what the machine's table says of a study that begins; with no table for it, only see that its deadline is none for all trials.

    `share` is what trials would get of their processors, None where another machine trains, of which nothing is kept; `time_shapes` times
    shapes where trials will run, and is asked in doubt alone. Raises SpecError where the deadline would cut every trial.
    """
    if records or (directory / FORETOLD).exists():
        return None
    expected = ExpectedTrials.at(study, first, directory, left_out)
    known = None if share is None else known_paces(study, expected.shapes)
    if known is None and expected.least_flops() > DOUBTFUL_FLOPS_PER_SECOND * study.workers.deadline_seconds:
        known = of_rows(time_shapes(study, spread_by_flops(expected.shapes, study.proxy.context_tokens)).paces)
    if known is None:
        return None
    require_deadline(study, expected.trained_seconds(known))
    if share is None:
        return None
    told = foretold(expected, replace(known, processor_share=share))
    write_stages(directory, told)
    return told


def begin_taken(directory: Path) -> None:
    """Note that a run begins: one that is cut off leaves its seconds nowhere, and the report says so."""
    taken = read_taken(directory)
    write_stages(directory, replace(taken, begun=taken.begun + 1))


def keep_taken(
    study: StudySpec, directory: Path, records: Sequence[TrialRecord], stages: Stages, *, here: bool, was_open: bool = False
) -> None:
    """Add what a run took to the directory's stages, and what it tells of this machine to its table; `records` are the run's own.

    `was_open` says that the run had to settle what the study as it was given leaves open.
    """
    had, seconds = _share_had(study, records), stages.seconds
    write_stages(directory, read_taken(directory).plus(by_stage(seconds, records, study.workers.count), had))
    if not here:
        return
    machine, share, alone = machine_of(study), 1.0 if had is None else had, _share_alone(study, had)
    trained, waited, late = [], list[LatencyPace](), read_unmeasured(directory)
    for record in records:
        training = record.training
        if not record.finished or training is None or training.reused_from is not None or not training.evaluation_seconds:
            continue
        trained.append(_pace(study, record, training, share))
        if record.latency is not None and record.number not in late:
            rest = record.wall_seconds - training.wall_seconds - training.evaluation_seconds - (training.cooldown_seconds or 0.0)
            waited.append(_latency(record, max(0.0, rest * share), "run", is_first=len(waited) < study.workers.count))
    keep_rows(training_file(study, machine), trained)
    keep_rows(latency_file(study, machine), [*waited, *_finals(records, [alone * each for each in stages.single.get(MEASURED, ())])])
    if trained:
        keep_rows(overhead_file(machine), [OverheadPace(seconds=_overheads(study, stages, share, alone, was_open), origin="run")])


def add_report_seconds(study: StudySpec, directory: Path, seconds: float, *, here: bool) -> None:
    """Add what the report took, which is written when everything else was kept."""
    taken = read_taken(directory)
    write_stages(directory, replace(taken, seconds={**taken.seconds, "report": taken.seconds.get("report", 0.0) + seconds}))
    if here:
        alone = _share_alone(study, taken.processor_share)
        keep_rows(overhead_file(machine_of(study)), [OverheadPace(seconds={"report": alone * seconds}, origin="run")])


def _overheads(study: StudySpec, stages: Stages, share: float, alone: float, was_open: bool) -> dict[str, float]:
    """What a run says of the machine's starts and ends, and of what its calibration and its finals needed before they began.

    `share` is what several processes side by side had of their processors, `alone` what one had.
    """
    seconds = stages.seconds
    found = {name: (alone if name in SOLITARY_STAGES else share) * seconds[name] for name in OVERHEADS if name in seconds}
    if study.scaling is not None and not was_open and seconds.get("calibration"):  # else the plan would count what settles it twice
        found["grid_pace"] = share * seconds["calibration"]
    judged = stages.single.get(JUDGED, ())
    if len(judged) > 1:
        found["examiner"] = alone * max(0.0, judged[0] - fmean(judged[1:]))
    return found


def _finals(records: Sequence[TrialRecord], seconds: Sequence[float]) -> list[LatencyPace]:
    """What latencies took when nothing was beside them: of some shapes of the search, whose sizes are about one."""
    if not records:
        return []
    middle = sorted(records, key=lambda record: record.costs.parameters)[len(records) // 2]
    return [_latency(middle, each, "final") for each in seconds]


def _latency(record: TrialRecord, seconds: float, origin: Origin, *, is_first: bool = False) -> LatencyPace:
    shape = record.architecture
    return LatencyPace(label=shape.label, parameters=record.costs.parameters, seconds=seconds, origin=origin, is_first=is_first)


def _pace(study: StudySpec, record: TrialRecord, training: Training, share: float) -> TrainingPace:
    shape, proxy = record.architecture, study.proxy.plain()
    tokens = proxy.batch_sequences * proxy.context_tokens
    times: float = sum(point.validation_loss is not None for point in training.curve)
    qualities = [*training.validations.values(), *([training.validation] if training.validation else [])]
    times += len(training.validations) + ROUNDED_EVALUATION * sum(quality.rounded is not None for quality in qualities)
    asked = 0.0
    with suppress(SpecError):  # of a file that was changed since
        asked = tokens_asked(study.corpus.tasks) * (1 + ROUNDED_EVALUATION * any(score.rounded for score in training.tasks.values()))
    judged = (times * proxy.evaluation_tokens + asked) * cost.decode_flops(shape, proxy.context_tokens)
    assert training.evaluation_seconds
    return TrainingPace(
        label=shape.label,
        step_flops=step_flops(shape, proxy),
        step_tokens=tokens,
        stands_for_flops=step_flops(shape, proxy),
        executed_blocks=shape.num_hidden_layers,
        parameters=record.costs.parameters,
        seconds_per_token=share * training.wall_seconds / training.tokens,
        evaluation_flops_per_second=judged / (share * training.evaluation_seconds),
        start_seconds=0.0,  # the seconds of the training have it
        origin="run",
    )


def _share_alone(study: StudySpec, had: float | None) -> float:
    """What one process had of its processors where trials had that share of theirs; 1 where it is not known."""
    threads = study.workers.trial_threads
    return 1.0 if had is None else share_of_fewer(had, study.workers.count * threads, threads)


def _share_had(study: StudySpec, records: Sequence[TrialRecord]) -> float | None:
    """Share of its processor that a trial had, where it has one thread, so that other work alone keeps it from the whole; else None."""
    if study.workers.gpus or study.workers.trial_threads != 1:
        return None
    trained = [record.training for record in records if record.training is not None and record.training.reused_from is None]
    shares = [each.process_seconds / (each.wall_seconds + (each.evaluation_seconds or 0.0)) for each in trained if each.wall_seconds]
    return min(1.0, max(LEAST_SHARE, fmean(shares))) if shares else None
