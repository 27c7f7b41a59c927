"""A study from its YAML to its records: what there is, what is missing, and who does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.records.record import FinalRecord, TrialRecord, read_finals, read_records
from search_space.errors import SpecError
from trials.corpus.first_look import require_text
from trials.driver.agenda import Agenda
from trials.driver.finals_on_ray import finish_finals, lacks_finals
from trials.driver.preparation import (
    equipped,
    left_out_here,
    make_proposer,
    read_blocks,
    require_latency_node,
    settled_on_a_worker,
    time_pace_on_a_worker,
)
from trials.driver.progress import StudyProgress
from trials.driver.ray_session import connected
from trials.driver.record_writer import RecordWriter
from trials.driver.search_on_tune import search
from trials.driver.startup_times import Stages
from trials.driver.trial_actor import Evaluate
from trials.latency.device_tables import frozen_table
from trials.plans.check_study import FirstTrials, check
from trials.study.directory import claim
from trials.study.spec import StudySpec
from trials.trial.reuse import Reuse
from trials.trial.scaling_grid import largest_first
from trials.trial.study_fit import misfit
from trials.trial.training_index import TrainingText

if TYPE_CHECKING:
    from trials.reporting.mlflow_tracker import Tracker
    from trials.search.proposer import Proposer


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
    failure: str | None = None
    """Why the study as a whole failed, in a sentence; None where at least one trial finished."""


def run_study(
    study: StudySpec,
    directory: Path,
    *,
    study_text: str,
    first: FirstTrials | None = None,
    address: str | None = None,
    tracking_uri: str | None = None,
    progress: Callable[[StudyProgress], None] | None = None,
    evaluate: Evaluate | None = None,
    stages: Stages | None = None,
) -> StudyResult:
    """Run a study in its directory, or what is left of it; `study_text` is the YAML as it was given.

    `first` is what `check` returned for this study and directory, where it was asked already.
    `address` is that of a Ray cluster; without it, and outside of a Ray job, one is started on this machine for the time of the run.
    `evaluate`, a function at the top of a module, takes the place of training and measuring. `stages` tells where the start's time went.
    Raises SpecError for wrong input; whatever happens to single trials stands in their records. After an interruption of any kind the
    same call continues.
    """
    from trials.reporting.mlflow_tracker import Tracker

    first = first or check(study, directory, has_text=False)
    with claim(directory, study_text) as held:
        records: Sequence[TrialRecord] = read_records(held)
        if (found := misfit(study, records)) is not None:
            raise SpecError(f"{held} must hold records of this study, found others: {found}; restore them, or name another directory")
        finals: Mapping[int, FinalRecord] = read_finals(held)
        left_out: Mapping[int, str] = left_out_here(study, held, first.planned) if evaluate is None else {}
        tracker = Tracker(held, study, study_text, tracking_uri)
        try:
            tracker.start()
            tracker.catch_up(records)
            is_searched = _agenda(first, study, records, left_out, _nothing_to_propose).finished
            if not is_searched or (evaluate is None and lacks_finals(study, records, finals)):
                run = _Run(
                    first=first, directory=held, address=address, evaluate=evaluate,
                    tracker=tracker, progress=progress, stages=stages or Stages(),
                )  # fmt: skip
                records, finals, left_out = run.on_ray(study, records, finals)
        except BaseException:
            tracker.abandon()
            raise
        tracker.finish(records, finals)
    recorded = {record.number for record in records}
    return StudyResult(
        directory=held,
        records=tuple(records),
        finals=dict(finals),
        planned=first.count + study.search.trials + study.search.replicates_of(study.search.trials),
        left_out={number: reason for number, reason in left_out.items() if number not in recorded},
        failure=_failure(records),
    )


def _agenda(
    first: FirstTrials,
    study: StudySpec,
    records: Iterable[TrialRecord],
    left_out: Mapping[int, str],
    proposer: Callable[[], Proposer],
) -> Agenda:
    """What is tried in which order, from these records on."""
    return Agenda(study, first.references, records, proposer, largest_first(first.planned, study), left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One driver's work on a directory that it holds."""

    first: FirstTrials
    directory: Path
    address: str | None
    evaluate: Evaluate | None
    tracker: Tracker
    progress: Callable[[StudyProgress], None] | None
    stages: Stages

    def on_ray(
        self, study: StudySpec, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord]
    ) -> tuple[Sequence[TrialRecord], Mapping[int, FinalRecord], Mapping[int, str]]:
        """Search and measure the finals, in sight of what there is: all records, all finals, and the planned trainings left out."""
        first, directory, stages, is_real = self.first, self.directory, self.stages, self.evaluate is None
        sizes = first.vocab_sizes(study) if is_real else set()
        if is_real:
            require_text(study.corpus, sorted(sizes), study.proxy.context_tokens)  # before Ray takes its seconds to start
        with stages.threads() as begin:
            made = None if study.scaling else begin("search space", make_proposer, study, frozen_table(study, directory))
            blocks = {size: begin("corpus", read_blocks, study, size) for size in sizes}
            stages.end("study")
            with connected(study, self.address):
                if is_real:
                    require_latency_node(study)
                stages.end("Ray")
                ready = {size: found.result() for size, found in blocks.items()}  # a calibration wants the machine for itself
                stages.end("rest of the corpus")
                left_out: Mapping[int, str] = {}
                if is_real:
                    study = settled_on_a_worker(study, directory)
                    left_out = left_out_here(study, directory, first.planned, time_pace_on_a_worker)
                    stages.end("calibration")
                agenda = _agenda(first, study, records, left_out, _nothing_to_propose if made is None else made.result)
                with equipped(study, directory, ready, records, self.evaluate) as equipment:
                    texts = {size: TrainingText.of(found) for size, found in ready.items()}
                    reuse = Reuse(study, directory, texts) if is_real else None
                    search(agenda, equipment, RecordWriter(directory, agenda, reuse, self.tracker, self.progress), reuse, stages.ready)
                    found = _in_order(agenda.records.values())
                    if reuse is not None and lacks_finals(study, found, finals):
                        finals = finish_finals(equipment, reuse, found, finals)
        return found, finals, left_out


def _in_order(records: Iterable[TrialRecord]) -> tuple[TrialRecord, ...]:
    return tuple(sorted(records, key=lambda record: record.number))


def _nothing_to_propose() -> Proposer:
    raise AssertionError("a plan has no proposals")


def _failure(records: Sequence[TrialRecord]) -> str | None:
    if any(record.finished for record in records):
        return None
    if not records:
        return "no trial was run"
    reasons = Counter(f"{record.outcome}: {record.reason}" for record in records)
    reason, count = reasons.most_common(1)[0]
    return f"none of {len(records)} trials finished; {'all' if count == len(records) else count} of them {reason}"
