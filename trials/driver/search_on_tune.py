"""The search itself: Ray Tune runs what the agenda hands out, to its end."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import Any

from ray import tune
from ray.exceptions import OutOfMemoryError
from ray.tune import PlacementGroupFactory

from analysis.records.unmeasured import UnmeasuredTrial
from trials.cluster.held_folders import held_folder, remove_left, removed_at_last
from trials.cluster.placement import placed
from trials.driver.agenda import Agenda
from trials.driver.attempts import Attempts
from trials.driver.late_latency import LateLatencies
from trials.driver.record_writer import RecordWriter
from trials.driver.stopper import FrontStopper
from trials.driver.trial_actor import Equipment, TrialActor
from trials.driver.trial_news import forget, heard
from trials.driver.tune_adapters import AgendaSearcher, LiveScheduler, RecordCallback
from trials.machine.supervision import when_stopped
from trials.progress.watch import RunWatch
from trials.study.search_spec import WorkersSpec
from trials.trial.reuse import Reuse

TUNE_PREFIX = "archfront-tune-"
"""How the name of the folder begins in which Tune keeps what nobody asks for."""


def search(
    agenda: Agenda,
    equipment: Equipment,
    attempts: Attempts,
    writer: RecordWriter,
    reuse: Reuse | None,
    watch: RunWatch,
    unmeasured: Iterable[UnmeasuredTrial] = (),
) -> None:
    """Run every task of the agenda and have its record written; `watch` is told of each trial as it begins. `attempts` count losses.

    Trials that an earlier run left `unmeasured` are measured beside those that train.
    Raises KeyboardInterrupt after Ctrl-C, WorkError where records cannot be written any more or the latency device was
    ended for good, and what Ray or Tune raise of their own.
    """
    stopper = FrontStopper(agenda)
    late = LateLatencies(equipment.study, agenda, equipment.device, writer, watch, stopper.why_stopped, unmeasured)
    callback = RecordCallback(equipment.study, agenda, attempts, writer, watch, late)
    with when_stopped(agenda.interrupt), watch.hearing(lambda numbers: writer.heard(heard(numbers))), late:
        while not agenda.finished:
            try:
                searcher = AgendaSearcher(agenda, equipment.study, attempts, reuse, late)
                _run_tune(equipment, searcher, stopper, callback)
            except Exception as error:
                if writer.complaint is not None:
                    raise writer.complaint from None
                if callback.is_stranded:
                    callback.give_back()
                    continue
                if not isinstance(error.__cause__, OutOfMemoryError):
                    raise
                callback.on_out_of_memory(str(error.__cause__))
            else:
                if agenda.interrupted:
                    raise KeyboardInterrupt
                return
            finally:
                forget()  # however it ended: a trial that is handed out again has said nothing yet


def _run_tune(equipment: Equipment, searcher: AgendaSearcher, stopper: FrontStopper, callback: RecordCallback) -> None:
    workers = equipment.study.workers
    where = partial(_place, workers)
    remove_left(TUNE_PREFIX)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(workers.count)  # start the workers together, not one after the other
    with held_folder(TUNE_PREFIX) as storage, removed_at_last(storage):
        tune.run(
            tune.with_resources(tune.with_parameters(TrialActor, equipment=equipment), where),
            name="study",
            num_samples=-1,
            search_alg=searcher,
            scheduler=LiveScheduler(),
            stop=stopper,
            callbacks=[callback],
            reuse_actors=True,
            raise_on_failed_trial=False,
            storage_path=str(storage),
            verbose=0,
            trial_dirname_creator=lambda trial: trial.trial_id,
        )


def _place(workers: WorkersSpec, config: dict[str, Any]) -> PlacementGroupFactory:
    return placed(workers, config["avoided"])
