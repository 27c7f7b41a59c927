"""A study from its YAML to its records: what there is, what is missing, and who does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.records.attempt import read_attempts
from analysis.records.record import FinalRecord, TrialRecord, read_finals, read_records
from analysis.records.unmeasured import read_unmeasured
from search_space.errors import SpecError
from trials.cluster.ray_address import is_here
from trials.driver.stage_keeping import keep_taken
from trials.driver.still_to_do import agenda_of, lacks_finals, left_out_here
from trials.machine.native_output import keep_in
from trials.machine.provenance import code_digest
from trials.plans.check_study import check
from trials.plans.first_trials import FirstTrials
from trials.plans.known_paces import share_here
from trials.progress.watch import RunWatch
from trials.study.directory import claim
from trials.study.spec import StudySpec
from trials.trial.calibration import is_open
from trials.trial.study_fit import misfit

if TYPE_CHECKING:
    from trials.driver.trial_actor import Evaluate


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """What a study has after a run."""

    directory: Path
    records: tuple[TrialRecord, ...]
    finals: dict[int, FinalRecord]
    planned: int
    """Trials that the study asked for, references and replicates included; more than the records where the space has no more shapes."""
    left_out: Mapping[int, str] = field(default_factory=dict)
    """Trainings of a scaling study that are out of this machine's reach, each with the reason."""
    has_worked: bool = False
    """Whether anything was left to train or to measure."""
    failure: str | None = None
    """Why the study as a whole failed, in a sentence; None where a trial finished, and no more failed than the study allows."""


def run_study(
    study: StudySpec,
    directory: Path,
    *,
    study_text: str,
    origin: Path | None = None,
    first: FirstTrials | None = None,
    address: str | None = None,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    tags: Mapping[str, str] = {},
    evaluate: Evaluate | None = None,
    watch: RunWatch | None = None,
    write_page: Callable[[], Path] | None = None,
) -> StudyResult:
    """Run a study in its directory, or what is left of it; `study_text` is the YAML as it was given, and `origin` the folder of its file.

    `first` is what `check` returned for this study and directory, where it was asked already.
    `address` is that of a Ray cluster; without it, and outside of a Ray job, one is started on this machine for the time of the run.
    `experiment` is MLflow's, of the study's name where none is given, and `tags` are those that the study's run has there beside ours.
    `evaluate`, a function at the top of a module, takes the place of training and measuring. `watch` is told what goes on.
    `write_page` writes the report of what then lies in the directory, which MLflow's run of the study has too.
    Raises SpecError for wrong input; whatever happens to single trials stands in their records. After an interruption of any kind the
    same call continues.
    """
    code_digest()  # of the code as it is read now, not as it lies there when the first record is written
    from trials.tracking.mlflow_tracker import Tracker

    first = first or check(study, directory, has_text=False, trains_here=evaluate is None and is_here(address))
    watch = watch or RunWatch()
    stages = watch.stages
    settled: StudySpec | None = None
    with claim(directory, study_text, origin) as held:
        records: Sequence[TrialRecord] = read_records(held)
        attempts, unmeasured = read_attempts(held), read_unmeasured(held)
        if (found := misfit(study, [*records, *(trial.record for trial in unmeasured.values())])) is not None:
            raise SpecError(f"{held} must hold records of this study, found others: {found}; restore them, or name another directory")
        finals: Mapping[int, FinalRecord] = read_finals(held)
        left_out: Mapping[int, str] = left_out_here(study, held, first.planned) if evaluate is None else {}
        tracker = Tracker(held, study, study_text, tracking_uri, experiment=experiment, tags=tags)
        agenda = agenda_of(first, study, records, left_out)
        watch.count(agenda.records.values(), agenda.problem, agenda.count)
        watch.open(held, study.name)
        is_searched = agenda.finished
        if is_searched and (evaluate is not None or not lacks_finals(study, records, finals)):
            watch.measured_again(finals)
            tracker.bring_up_to_date(records, finals, None if write_page is None else write_page())
        else:
            stages.end("study")
            keep_in(held)
            watch.begin("imports", "Ray and its libraries to be read")
            from trials.driver.run_on_ray import RayRun  # Ray, which a study that is over does not need

            stages.end("imports")
            # before our own processes start, MLflow's and Ray's, which are at work too
            share = share_here(study) if evaluate is None and not records and is_here(address) else None
            run = RayRun(
                first=first, directory=held, address=address, evaluate=evaluate, attempts=attempts, unmeasured=unmeasured,
                tracker=tracker, watch=watch, share=share,
            )  # fmt: skip
            before = set(agenda.records)
            with tracker.writing(records):
                settled, records, finals, left_out = run.on_ray(study, records, finals)
            watch.begin("tracking", "MLflow's runs to be brought up to date")
            with tracker.ending(records, finals) as keep_page:
                stages.end("tracking")
                if evaluate is None:
                    made = [record for record in records if record.number not in before]
                    keep_taken(settled, held, made, stages, here=is_here(address), was_open=is_open(study))
                if write_page is not None:
                    keep_page(write_page())
    recorded = {record.number for record in records}
    return StudyResult(
        directory=held,
        records=tuple(records),
        finals=dict(finals),
        planned=first.count + study.search.trials + study.search.replicates_of(study.search.trials),
        left_out={number: reason for number, reason in left_out.items() if number not in recorded},
        has_worked=settled is not None,
        failure=why_failed(records, study.limits.failed_share),
    )


def why_failed(records: Sequence[TrialRecord], allowed_share: float) -> str | None:
    """Why a study with these records came to nothing, or to too little; None where it did not."""
    if not records:
        return "no trial was run"
    came_to = [record for record in records if record.failed] if any(record.finished for record in records) else records
    if len(came_to) < len(records) and len(came_to) <= allowed_share * len(records):
        return None
    reasons = Counter(f"{record.outcome}: {record.reason}" for record in came_to)
    reason, count = reasons.most_common(1)[0]
    them = f"{'all' if count == len(came_to) else count} of them {reason}"
    if came_to is records:
        return f"none of {len(records)} trials finished; {them}"
    return f"{len(came_to)} of {len(records)} trials failed, more than limits.failed_share ({allowed_share:g}) allows; {them}"
