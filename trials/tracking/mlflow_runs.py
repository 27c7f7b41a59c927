"""A study's runs in one MLflow store: found if they are there, completed if they were cut short, written if they are not.

Whatever is written twice is there once (`trials.tracking.mlflow_trial_runs`), and equal metric points are one point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.fronts.front import Front, front_of
from analysis.fronts.membership import Membership, estimate_membership
from analysis.fronts.picks import picked
from analysis.fronts.rows import front_rows
from analysis.records.choice import Choice, read_choice
from analysis.records.json_writer import json_of
from analysis.records.record import FinalRecord, TrialRecord
from analysis.records.training import CurvePoint
from trials.reporting.model_card import model_files
from trials.study.spec import StudySpec
from trials.tracking.mlflow_curves import epoch_ms
from trials.tracking.mlflow_location import MlflowLocation
from trials.tracking.mlflow_mark import IN_PART, MARK, beside_digest, mark_of
from trials.tracking.mlflow_models import StudyModels
from trials.tracking.mlflow_standing import result_names, standing_of
from trials.tracking.mlflow_store import MlflowStore, origin
from trials.tracking.mlflow_study_content import count_metrics, ended_ms, front_data, front_note, study_metrics, study_parameters
from trials.tracking.mlflow_study_files import StudyFiles
from trials.tracking.mlflow_trial_content import digest
from trials.tracking.mlflow_trial_runs import TrialRuns, unsaid
from trials.tracking.mlflow_views import saved_views
from trials.tracking.tracking_uri import LONGEST_TAG
from trials.trial.scaling_grid import planned_tasks
from trials.trial.task import TrialTask

CHOSEN_ALIAS = "chosen"
"""Alias of what `archfront choose` has kept."""
BESIDE_COUNT = "archfront.beside_count"
"""How many runs stand beside a study's."""
TABLE_TAG = {"mlflow.loggedArtifacts": json_of([{"path": "front.json", "type": "table"}])}
"""What `mlflow.load_table` looks for."""


class StudyRuns:
    """One parent run for the study and a nested one for each trial; every method may be repeated, by one process at a time."""

    def __init__(self, directory: Path, study: StudySpec, study_yaml: str, place: MlflowLocation) -> None:
        """Open the store, which takes seconds."""
        self._directory, self._study, self._study_yaml, self._place = directory, study, study_yaml, place
        self._store = MlflowStore(directory, place, place.experiment or study.name)
        self._client = self._store.client
        parent = self._store.find_parent() or self._create_parent()
        self._parent_id: str = parent.info.run_id
        self._status: str = parent.info.status
        self._mark: str | None = parent.data.tags.get(MARK)
        self._began_ms: int = parent.info.start_time
        self.files = StudyFiles(self._store, parent, study, study_yaml, place)
        asked = study_parameters(study)
        lacking = {name: asked[name] for name in asked if name not in parent.data.params}
        self._store.log(self._parent_id, parameters=lacking, tags=unsaid(place.tags, parent.data.tags))
        self._trials = TrialRuns(self._store, study, self._parent_id)
        self._models = StudyModels(self._store, directory, study, place.study_id)
        self._write_views(only_new=True)  # so that a study is looked at while it runs

    def begin_trial(self, task: TrialTask, started_ms: int) -> None:
        """A trial is on a worker: its run is there from now on."""
        self._goes_on()
        self._trials.begin(task, started_ms)

    def grow_trial(self, number: int, curve: Sequence[CurvePoint], planned_tokens: int | None) -> None:
        """A trial on its way has this curve so far."""
        self._trials.grow(number, curve, planned_tokens)

    def write_trial(self, record: TrialRecord) -> None:
        """Bring one trial's run to what its record says, while the study goes on."""
        if self._trials.lacks(record):
            self._goes_on()
            self._trials.complete(record)

    def write_so_far(self, records: Sequence[TrialRecord]) -> None:
        """The front as it is while the study goes on, in numbers whose step is the count of trials, and as a table."""
        if self._study.scaling is not None:
            self._store.log(self._parent_id, count_metrics(records))
            return
        front = front_of(records, {}, self._study.problem)
        rows = front_rows(records, {}, front, estimate_membership(front))
        tags = {**TABLE_TAG, "mlflow.note.content": front_note(rows, front.problem)[:LONGEST_TAG]}
        self._store.log(self._parent_id, study_metrics(records, front), tags=tags)
        self.files.write_found(front_data(rows))

    def leave(self) -> None:
        """Nothing runs any more, and the study is not over: neither it nor a trial on its way is shown as if it ran, or had finished."""
        self._trials.end_others()
        if self._status == "RUNNING":
            self._set_status("KILLED")

    def write_study(self, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord]) -> None:
        """Bring everything to what the records say, the parent's artifacts and its end included; the last is the mark that says so.

        Raises UnregisteredError where all of it is written but the models, which the next catch-up registers.
        """
        choice = read_choice(self._directory)
        digests, beside = {record.number: digest(record) for record in records}, beside_digest(self._directory, self._study.name)
        mark = mark_of(digests, finals, self._study_yaml, choice, self._place.tags, beside)
        if mark != self._mark:
            self._set_mark(None)
        front = front_of(records, finals, self._study.problem)
        membership = estimate_membership(front)
        time_ms = _standing_ms(records, finals.values())
        for record in records:
            standing = standing_of(record, finals.get(record.number), front, membership)
            if self._trials.lacks(record, digests[record.number]):
                self._goes_on()
                self._trials.complete(record, standing, time_ms)
            self._trials.place(record.number, standing, time_ms)
        self._trials.end_others()
        corpora = (record.training.corpus_sha256 for record in records if record.training and record.training.corpus_sha256)
        self._store.log_corpus(self._parent_id, self._study, next(corpora, None))
        if self._study.scaling is None:
            if not self.files.are_there():
                self._trials.forget_files()
            self._write_front(records, finals, front, membership, time_ms)
            self._keep_cards(records, finals, front, choice)
        else:
            self._write_law(records, self._study.scaling.form)
        if choice is not None:
            self.write_choice(choice)
        has_beside = bool(beside) and self._write_beside(records, finals)
        self._write_views(has_checks=has_beside)
        self._set_status(_end(self._study, records, finals, front))
        if self._study.scaling is None:
            self._register(records, front, membership, choice)
        self._set_mark(mark)

    def write_choice(self, choice: Choice) -> None:
        """Tag the study's run with a decision, and the chosen trial's alone among the trials."""
        said = {"archfront.chosen": str(choice.trial), "archfront.chosen_because": choice.because, "archfront.chosen_by": choice.by}
        self._store.log(self._parent_id, tags={**said, "archfront.chosen_at": choice.chosen_at})
        self._trials.tag_chosen(choice.trial)

    def register_chosen(self, record: TrialRecord) -> None:
        """Have the trial of a decision as a registered model; raises UnregisteredError."""
        self._models.register({CHOSEN_ALIAS: record}, self._trials.run_ids)

    def _register(self, records: Sequence[TrialRecord], front: Front, membership: Membership, choice: Choice | None) -> None:
        numbers = {**picked(front, membership), CHOSEN_ALIAS: None if choice is None else choice.trial}
        known = {record.number: record for record in records}
        trials = {word: None if number is None else known.get(number) for word, number in numbers.items()}
        self._models.register(trials, self._trials.run_ids)

    def _create_parent(self) -> Any:
        facts = self._place.environment
        tags = {"archfront.study_id": self._place.study_id, **{f"environment.{name}": value for name, value in facts.items()}, **origin()}
        if "git_commit" in facts:
            tags["mlflow.source.git.commit"] = facts["git_commit"]  # MLflow's own name, which its interface shows
        return self._client.create_run(self._store.experiment_id, tags=tags, run_name=self._study.name)

    def _goes_on(self) -> None:
        """Something is written that the study's mark does not know of."""
        self._set_mark(None)
        self._set_status("RUNNING")

    def _write_front(
        self, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership, time_ms: int
    ) -> None:
        rows = front_rows(records, finals, front, membership)
        self.files.write(front_data(rows))
        tags = {
            **TABLE_TAG,
            "mlflow.note.content": front_note(rows, front.problem),
            **{f"archfront.pick.{word}": str(number) for word, number in picked(front, membership).items() if number is not None},
        }
        # later than what was said of as many trials while the study ran: of two values of one time, MLflow takes the larger
        self._store.log(self._parent_id, study_metrics(records, front, time_ms), tags=tags)

    def _write_views(self, only_new: bool = False, has_checks: bool = False) -> None:
        """The ways of looking that MLflow's page offers under Views; a page of before 3.15 passes them over."""
        metrics = sorted(self._trials.metric_names | set(result_names(self._study.problem)))
        views = saved_views(self._study, self._place.study_id, self._parent_id, self._began_ms, metrics, has_checks)
        self._store.set_experiment_tags(views, only_new)

    def _write_law(self, records: Sequence[TrialRecord], law: str) -> None:
        """What a scaling study found, as data and in numbers."""
        from analysis.law_report.law_study_page import fitted
        from trials.tracking.mlflow_law_content import law_data, law_metrics, law_note

        answered = fitted(records, law)
        self.files.write(law_data(answered))
        self._store.log(self._parent_id, law_metrics(records, answered), tags={"mlflow.note.content": law_note(answered)[:LONGEST_TAG]})

    def _keep_cards(self, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, choice: Choice | None) -> None:
        """What each member of the front is, beside its run."""
        for record in records:
            if record.number in front.members:
                decided = choice if choice is not None and choice.trial == record.number else None
                files = model_files(self._directory, self._study, record, finals.get(record.number), decided)
                self._trials.keep_files(record.number, files)

    def _write_beside(self, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord]) -> bool:
        """Trainings beside the study, as runs beside its own; whether there are any."""
        from trials.reporting.beside_study import beside_runs  # what they say is worked out anew, which few studies need
        from trials.tracking.mlflow_beside_runs import BesideRuns

        runs = beside_runs(self._directory, self._study, records, finals)
        BesideRuns(self._store, self._place.study_id).write(runs)
        self._client.set_tag(self._parent_id, BESIDE_COUNT, str(len(runs)))
        return bool(runs)

    def _set_mark(self, mark: str | None) -> None:
        """Marks the runs as written from what the mark says, or as being written."""
        if mark is not None or self._mark is not None:
            self._client.set_tag(self._parent_id, MARK, mark or IN_PART)
        self._mark = mark

    def _set_status(self, status: str) -> None:
        """Sets the parent's status; an equal one is left alone, so that a second catch-up does not move the study's end."""
        if status == self._status:
            return
        if status == "RUNNING":
            self._client.update_run(self._parent_id, status=status)
        else:
            self._client.set_terminated(self._parent_id, status)
        self._status = status


def _standing_ms(records: Sequence[TrialRecord], finals: Iterable[FinalRecord]) -> int:
    """When the last of what a standing rests on was known, since the epoch."""
    return max([ended_ms(records), *(epoch_ms(final.measured_at) for final in finals)]) + 1


def _end(study: StudySpec, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front) -> str:
    """MLflow's word for how a study ended: whole where all its trials, or the second measurements of its front, are there."""
    if not front.members:
        return "FAILED"
    references = 0 if study.scaling else len(study.references)
    planned = len(planned_tasks(study)) + study.search.trials + study.search.replicates_of(study.search.trials) + references
    return "FINISHED" if len(records) >= planned or set(front.members) <= set(finals) else "KILLED"
