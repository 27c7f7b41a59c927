"""One driver's work on a study: search and finals on Ray, from what there is to what was missing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.records.attempt import Attempt
from analysis.records.record import FinalRecord, TrialRecord
from analysis.records.unmeasured import UnmeasuredTrial
from trials.cluster.ray_address import is_here
from trials.cluster.ray_session import connected
from trials.corpus.first_look import require_text, without_text_notice
from trials.driver.attempts import Attempts
from trials.driver.finals_on_ray import finish_finals
from trials.driver.preparation import (
    equipped,
    make_proposer,
    read_blocks,
    require_latency_node,
    settled_on_a_worker,
    tell_of_niceness,
    time_pace_on_a_worker,
    time_shapes_on_a_worker,
)
from trials.driver.record_writer import RecordWriter
from trials.driver.search_on_tune import search
from trials.driver.stage_keeping import begin_taken, foretell
from trials.driver.still_to_do import agenda_of, lacks_finals, left_out_here, nothing_to_propose, still_unmeasured
from trials.driver.trial_actor import Evaluate
from trials.latency.device_tables import frozen_table
from trials.plans.first_trials import FirstTrials
from trials.plans.text_use import use_of_blocks
from trials.progress.watch import RunWatch
from trials.study.spec import StudySpec
from trials.trial.reuse import Reuse
from trials.trial.training_index import TrainingText

if TYPE_CHECKING:
    from trials.corpus.blocks import TokenBlocks
    from trials.tracking.mlflow_tracker import Tracker

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RayRun:
    """One driver's work on a directory that it holds."""

    first: FirstTrials
    directory: Path
    address: str | None
    evaluate: Evaluate | None
    attempts: Sequence[Attempt]
    """The attempts at trials that were lost in earlier runs."""
    unmeasured: Mapping[int, UnmeasuredTrial]
    """The trials that earlier runs trained while the latency device was away."""
    tracker: Tracker
    watch: RunWatch
    share: float | None
    """Share of their processors that trials would get beside others' work; None where another machine trains, or a study goes on."""

    def on_ray(
        self, study: StudySpec, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord]
    ) -> tuple[StudySpec, Sequence[TrialRecord], Mapping[int, FinalRecord], Mapping[int, str]]:
        """Search and measure the finals, in sight of what there is: the study with nothing left open, all records, all finals, and the
        planned trainings left out.
        """
        first, directory, watch, is_real = self.first, self.directory, self.watch, self.evaluate is None
        stages = watch.stages
        sizes = first.vocab_sizes(study) if is_real else set()
        if is_real:
            watch.begin("text", "a first look at the text")
            require_text(study.corpus, sorted(sizes), study.proxy.context_tokens)  # before Ray takes its seconds to start
        with stages.threads() as begin:
            made = None if study.scaling else begin("search space", make_proposer, study, frozen_table(study, directory))
            blocks = {size: begin("corpus", read_blocks, study, size) for size in sizes}
            stages.end("study")
            watch.begin("Ray", "Ray's processes to start, or a cluster to answer")
            with connected(study, self.address):
                if is_real:
                    require_latency_node(study.latency)
                    if not is_here(self.address):
                        tell_of_niceness()
                stages.end("Ray")
                watch.begin("corpus", "the text to be tokens")
                ready = {size: found.result() for size, found in blocks.items()}  # a calibration wants the machine for itself
                stages.end("rest of the corpus")
                _tell_of_text(study, first, ready.values())
                left_out: Mapping[int, str] = {}
                if is_real:
                    watch.begin("calibration", "this machine's way of training to be known")
                    study = settled_on_a_worker(study, directory)
                    left_out = left_out_here(study, directory, first.planned, time_pace_on_a_worker)
                    foretell(study, directory, first, records, left_out, time_shapes_on_a_worker, share=self.share)
                    stages.end("calibration")
                watch.begin("search space", "the shapes of the space to be listed")
                unmeasured = still_unmeasured(directory, records, self.unmeasured, has_weights=is_real)
                trained = [*records, *(trial.record for trial in unmeasured.values())]
                agenda = agenda_of(first, study, records, left_out, nothing_to_propose if made is None else made.result, unmeasured)
                with equipped(study, directory, ready, trained, self.evaluate, is_joined=not is_here(self.address)) as equipment:
                    texts = {size: TrainingText.of(found) for size, found in ready.items()}
                    reuse = Reuse(study, directory, texts) if is_real else None
                    if is_real:
                        begin_taken(directory)  # nothing is refused from here on
                    watch.begin_search(
                        agenda.records.values(), agenda.problem, agenda.count, study.workers.count, lambda: agenda.waits_for_device
                    )
                    attempts = Attempts(directory, self.attempts)
                    writer = RecordWriter(directory, agenda, reuse, self.tracker, watch)
                    writer.sweep()
                    search(agenda, equipment, attempts, writer, reuse, watch, unmeasured.values())
                    writer.sweep()
                    stages.end("search")
                    found = _in_order((agenda.lost | agenda.records).values())
                    if reuse is not None and lacks_finals(study, found, finals):
                        finals = finish_finals(equipment, reuse, found, finals, watch)
        return study, found, finals, left_out


def _tell_of_text(study: StudySpec, first: FirstTrials, blocks: Iterable[TokenBlocks]) -> None:
    """What the whole text, which is read by now, has without text, and whether trainings repeat it much."""
    found = list(blocks)
    if not found:
        return
    use = use_of_blocks(study, first, [len(each.train) for each in found])
    for said in (without_text_notice(found[0].documents or 0, found[0].without_text or 0), use and use.warning):
        if said:
            logger.warning(said)


def _in_order(records: Iterable[TrialRecord]) -> tuple[TrialRecord, ...]:
    return tuple(sorted(records, key=lambda record: record.number))
