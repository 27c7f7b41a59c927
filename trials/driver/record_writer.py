"""The one writer of a running study: weights, then the record that vouches for them, then everybody who wants to know. No Ray."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from analysis.records.attempt import Attempt, append_attempt
from analysis.records.files import write_whole
from analysis.records.record import Outcome, TrialRecord, append
from analysis.records.unmeasured import UnmeasuredTrial, append_unmeasured
from search_space.errors import WorkError, complaint_of
from trials.driver.agenda import Agenda
from trials.progress.watch import News, RunWatch
from trials.study.directory import CHECKPOINTS, DRAFT, checkpoint_file, weights_file
from trials.trial.reuse import Reuse
from trials.trial.task import TrialTask

if TYPE_CHECKING:
    from trials.tracking.mlflow_tracker import Tracker


class RecordWriter:
    """Writes what comes back, and tells the index of finished trainings, the agenda, MLflow and whoever watches, in this order."""

    def __init__(self, directory: Path, agenda: Agenda, reuse: Reuse | None, tracker: Tracker, watch: RunWatch) -> None:
        """`reuse` lets other studies find what finished here; None where nothing is trained."""
        self._directory, self._agenda, self._reuse, self._tracker, self._watch = directory, agenda, reuse, tracker, watch
        self.complaint: WorkError | None = None
        """Why writing failed, or the run cannot go on; Tune makes a long trace of whatever is raised here."""

    def begun(self, task: TrialTask) -> None:
        """A trial is on a worker."""
        self._watch.started(task)
        self._tracker.begun(task)

    def heard(self, news: Mapping[int, News]) -> Mapping[int, News]:
        """What trials on their way say goes to MLflow too."""
        self._tracker.heard(news)
        return news

    def write(self, record: TrialRecord, weights: bytes | None) -> None:
        """One trial, with its weights as a file's bytes where it was trained here; raises WorkError where the disk refuses them."""
        with self._writable():
            path = weights_file(self._directory, record.number)
            if weights is not None:
                write_whole(path, weights)
            elif not record.finished and record.outcome is not Outcome.LOST:  # which says nothing of what was trained
                path.unlink(missing_ok=True)  # taken over for a shape whose latency could not be measured then
            append(self._directory, record)
            if record.outcome is not Outcome.LOST:  # which goes on from there
                checkpoint_file(self._directory, record.number).unlink(missing_ok=True)
        if self._reuse is not None:
            self._reuse.leave(record)
        self._agenda.add(record)
        self._tracker.record(record)
        self._watch.recorded(record, self._agenda.count)

    def set_aside(self, trial: UnmeasuredTrial, weights: bytes | None) -> None:
        """A trial is trained and has no latency yet: kept beside the records, and out of its worker's way; raises as `write` does."""
        number = trial.record.number
        with self._writable():
            if weights is not None:
                write_whole(weights_file(self._directory, number), weights)
            append_unmeasured(self._directory, trial)
            checkpoint_file(self._directory, number).unlink(missing_ok=True)
        self._agenda.set_aside(number)
        self._watch.set_aside(trial.record)

    def write_attempt(self, attempt: Attempt) -> None:
        """An attempt at a trial that was lost with its worker, where the trial has no record for it; raises as `write` does."""
        with self._writable():
            append_attempt(self._directory, attempt)

    def give_up(self, why: str) -> NoReturn:
        """End the run in that sentence, which says what to do; raises WorkError."""
        self.complaint = WorkError(why)
        raise self.complaint

    def sweep(self) -> None:
        """While nothing trains: no state stays of a trial that is over, and no half of one whose worker was lost as it left it."""
        over = {checkpoint_file(self._directory, number).name for number in self._agenda.records}
        for file in (self._directory / CHECKPOINTS).glob("*"):
            if file.name in over or file.name.endswith(DRAFT):
                with suppress(OSError):
                    file.unlink()

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.complaint = WorkError(
                f"{self._directory} cannot be written any more ({complaint_of(error)}); make room and run the same command again, "
                f"which repeats only what is not recorded"
            )
            raise self.complaint from None
