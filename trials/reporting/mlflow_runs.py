"""A study's runs in one MLflow store: found if they are there, completed if they were cut short, written if they are not.

Whatever is written twice is there once: a trial's run carries its number and its record's digest from the moment it exists, it is
RUNNING until all of it is written, and equal metric points are one point.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from analysis.fronts.front import Front, front_of
from analysis.fronts.membership import Membership, estimate_membership
from analysis.fronts.picks import picked
from analysis.fronts.rows import front_rows
from analysis.records.choice import Choice, read_choice
from analysis.records.json_writer import json_of
from analysis.records.record import FinalRecord, TrialRecord
from trials.reporting.mlflow_location import MlflowLocation
from trials.reporting.mlflow_mark import IN_PART, MARK, artifact_names, mark_of
from trials.reporting.mlflow_standing import Standing, result_names, standing_of
from trials.reporting.mlflow_store import MlflowStore, origin, user
from trials.reporting.mlflow_study_content import ended_ms, front_data, front_note, study_metrics, study_parameters
from trials.reporting.mlflow_trial_content import MetricPoint, digest, epoch_ms, trial_run
from trials.reporting.mlflow_views import saved_views
from trials.study.spec import StudySpec
from trials.trial.scaling_grid import planned_tasks

LONGEST_TAG = 5000
"""Characters; MLflow refuses tags of more than 8,000 bytes."""


@dataclass(frozen=True, slots=True)
class _Child:
    """What the store has of one trial."""

    run_id: str
    digest: str
    complete: bool
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The last value of each."""
    tags: Mapping[str, str] = field(default_factory=dict)


class StudyRuns:
    """One parent run for the study and a nested one for each trial; every method may be repeated, by one process at a time."""

    def __init__(self, directory: Path, study: StudySpec, study_yaml: str, place: MlflowLocation) -> None:
        """Open the store, which takes seconds."""
        self._directory, self._study, self._study_yaml, self._place = directory, study, study_yaml, place
        self._store = MlflowStore(directory, place, study.name)
        self._client = self._store.client
        parent = self._store.find_parent() or self._create_parent()
        self._parent_id: str = parent.info.run_id
        self._status: str = parent.info.status
        self._mark: str | None = parent.data.tags.get(MARK)
        self._began_ms: int = parent.info.start_time
        asked = study_parameters(study)
        self._store.log(self._parent_id, parameters={name: asked[name] for name in asked if name not in parent.data.params})
        self._children = {int(run.data.tags["archfront.number"]): _child(run) for run in self._store.nested(self._parent_id)}
        self._write_views(only_new=True)  # so that a study is looked at while it runs

    def write_trial(self, record: TrialRecord, standing: Standing = Standing(), time_ms: int | None = None) -> None:  # noqa: B008  frozen
        """Bring one trial's run to what its record says, and to its standing as of that time where it is written anew."""
        content = trial_run(record, self._study.problem)
        known = self._children.get(record.number)
        if known and known.digest != content.digest:  # its line was deleted and the trial ran again
            self._client.delete_run(known.run_id)
            known = None
        if known and known.complete:
            return
        self._set_mark(None)
        self._set_status("RUNNING")
        tags = {**content.tags, **_said(standing.tags, {})}
        if not known:
            tags |= {"mlflow.parentRunId": self._parent_id, "archfront.digest": content.digest, "mlflow.user": user()}
            run = self._client.create_run(self._store.experiment_id, start_time=content.started_ms, tags=tags, run_name=content.name)
            known = _Child(run.info.run_id, content.digest, complete=False)
        self._children[record.number] = known
        self._store.log_corpus(known.run_id, self._study, content.corpus_sha256)
        said = {point.name: point.value for point in content.metrics}
        changed = {name: value for name, value in standing.metrics.items() if said.get(name) != value}
        later = [MetricPoint(name, value, 0, time_ms or content.ended_ms) for name, value in changed.items()]
        self._store.log(known.run_id, (*content.metrics, *later), content.parameters)
        self._client.set_terminated(known.run_id, content.status, content.ended_ms)
        said |= changed
        self._children[record.number] = replace(known, complete=True, metrics=said, tags=tags)

    def write_study(self, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord]) -> None:
        """Bring everything to what the records say, the parent's artifacts and its end included; the last is the mark that says so."""
        choice = read_choice(self._directory)
        mark = mark_of({record.number: digest(record) for record in records}, finals, self._study_yaml, choice)
        if mark != self._mark:
            self._set_mark(None)
        front = front_of(records, finals, self._study.problem)
        membership = estimate_membership(front)
        time_ms = _standing_ms(records, finals.values())
        for record in records:
            standing = standing_of(record, finals.get(record.number), front, membership)
            self.write_trial(record, standing, time_ms)
            self._write_standing(record.number, standing, time_ms)
        corpora = (record.training.corpus_sha256 for record in records if record.training and record.training.corpus_sha256)
        self._store.log_corpus(self._parent_id, self._study, next(corpora, None))
        if self._study.scaling is None:
            self._write_front(records, finals, front, membership)
        else:
            self._write_law(records, self._study.scaling.form)
        if choice is not None:
            self.write_choice(choice)
        self._write_views()
        self._set_status(_end(self._study, records, finals, front))
        self._set_mark(mark)

    def write_choice(self, choice: Choice) -> None:
        """Tag the study's run with a decision, and the chosen trial's alone among the trials."""
        said = {"archfront.chosen": str(choice.trial), "archfront.chosen_because": choice.because, "archfront.chosen_by": choice.by}
        self._store.log(self._parent_id, tags={**said, "archfront.chosen_at": choice.chosen_at})
        for number, child in self._children.items():
            if tags := _said({"archfront.chosen": str(number == choice.trial).lower()}, child.tags):
                self._store.log(child.run_id, tags=tags)
                self._children[number] = replace(child, tags={**child.tags, **tags})

    def _create_parent(self) -> Any:
        facts = self._place.environment
        tags = {"archfront.study_id": self._place.study_id, **{f"environment.{name}": value for name, value in facts.items()}, **origin()}
        if "git_commit" in facts:
            tags["mlflow.source.git.commit"] = facts["git_commit"]  # MLflow's own name, which its interface shows
        return self._client.create_run(self._store.experiment_id, tags=tags, run_name=self._study.name)

    def _write_standing(self, number: int, standing: Standing, time_ms: int) -> None:
        """What became known of a trial after its run was written; a value that replaces another is the later one."""
        child = self._children[number]
        tags = _said(standing.tags, child.tags)
        changed = {name: value for name, value in standing.metrics.items() if child.metrics.get(name) != value}
        if not tags and not changed:
            return
        later_ms = max(time_ms + 1, round(1000 * time.time()))
        points = [MetricPoint(name, value, 0, later_ms if name in child.metrics else time_ms) for name, value in changed.items()]
        self._store.log(child.run_id, points, tags=tags)
        self._children[number] = replace(child, metrics={**child.metrics, **changed}, tags={**child.tags, **tags})

    def _write_front(self, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership) -> None:
        from analysis.report.figures import figures_page, front_figures  # Plotly is needed once, at the end

        rows = front_rows(records, finals, front, membership)
        self._write_files(figures_page(front_figures(records, front, membership)), front_data(rows))
        tags = {
            "mlflow.loggedArtifacts": json_of([{"path": "front.json", "type": "table"}]),  # what `mlflow.load_table` looks for
            "mlflow.note.content": front_note(rows, front.problem),
            **{f"archfront.pick.{word}": str(number) for word, number in picked(front, membership).items() if number is not None},
        }
        self._store.log(self._parent_id, study_metrics(records, front), tags=tags)

    def _write_views(self, only_new: bool = False) -> None:
        """The ways of looking that MLflow's page offers under Views; a page of before 3.15 passes them over."""
        seen = {name for child in self._children.values() for name in child.metrics}
        metrics = sorted(seen | set(result_names(self._study.problem)))
        views = saved_views(self._study, self._place.study_id, self._parent_id, self._began_ms, metrics)
        self._store.set_experiment_tags(views, only_new)

    def _write_law(self, records: Sequence[TrialRecord], law: str) -> None:
        """A scaling study's pictures on one page, since plotly.js would be in each file, and what it found as data."""
        from analysis.law_report.law_study_page import fitted, law_page
        from trials.reporting.mlflow_law_content import law_data, law_metrics, law_note

        answered = fitted(records, law)
        self._write_files(law_page(self._study.name, records, answered), law_data(answered))
        self._store.log(self._parent_id, law_metrics(records, answered), tags={"mlflow.note.content": law_note(answered)[:LONGEST_TAG]})

    def _write_files(self, page: str, data: object) -> None:
        """What was found, what was asked, and where."""
        texts = (page, json_of(data, indent=2), self._study_yaml, json_of(self._place.environment, indent=2))
        for name, text in zip(artifact_names(self._study), texts, strict=True):
            self._client.log_text(self._parent_id, text, name)

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


def _said(tags: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Tags that are not there so yet; an empty one is as good as none."""
    return {name: value for name, value in tags.items() if known.get(name, "") != value}


def _child(run: Any) -> _Child:
    tags = run.data.tags
    return _Child(run.info.run_id, tags.get("archfront.digest", ""), run.info.status != "RUNNING", run.data.metrics, tags)


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
