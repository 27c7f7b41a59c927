"""A study's runs in one MLflow store: found if they are there, completed if they were cut short, written if they are not.

Whatever is written twice is there once: a trial's run carries its number and its record's digest from the moment it exists, it is
RUNNING until all of it is written, and equal metric points are one point.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from getpass import getuser
from pathlib import Path
from typing import Any

from analysis.fronts.front import Front, front_of
from analysis.fronts.membership import estimate_membership
from analysis.fronts.rows import front_rows
from analysis.records.json_writer import json_of
from analysis.records.record import FinalRecord, TrialRecord
from search_space.errors import SpecError
from trials.reporting.mlflow_location import DATABASE, MlflowLocation, file_uri, follow_move
from trials.reporting.mlflow_mark import IN_PART, MARK, artifact_names, mark_of
from trials.reporting.mlflow_trial_content import (
    MetricPoint,
    digest,
    final_metrics,
    front_data,
    front_note,
    study_metrics,
    study_parameters,
    trial_run,
)
from trials.reporting.tracking_uri import experiment_name
from trials.study.spec import StudySpec
from trials.trial.scaling_grid import planned_tasks

MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""No telemetry, nothing on stdout, and a server that does not answer is given up in seconds; what the user has set stays."""
LARGEST_BATCH = 900
"""Metric points of one request; MLflow takes 1,000 entities, parameters and tags included."""
LONGEST_TAG = 5000
"""Characters; MLflow refuses tags of more than 8,000 bytes."""
PAGE = 1000
"""Runs of one answer."""


@dataclass(frozen=True, slots=True)
class _Child:
    """What the store has of one trial."""

    run_id: str
    digest: str
    complete: bool
    final_digest: str | None = None
    on_front: bool = False


class StudyRuns:
    """One parent run for the study and a nested one for each trial; every method may be repeated, by one process at a time."""

    def __init__(self, directory: Path, study: StudySpec, study_yaml: str, place: MlflowLocation) -> None:
        """Open the store, which takes seconds: importing MLflow, and creating the tables of a fresh database."""
        self._study, self._study_yaml, self._place = study, study_yaml, place
        self._client = _open(directory, place)
        self._experiment_id = self._experiment(directory)
        parent = self._find_parent(self._experiment_id) or self._create_parent()
        self._parent_id: str = parent.info.run_id
        self._status: str = parent.info.status
        self._mark: str | None = parent.data.tags.get(MARK)
        asked = study_parameters(study)
        self._log(self._parent_id, parameters={name: asked[name] for name in asked if name not in parent.data.params})
        self._children = self._find_children()

    def write_trial(self, record: TrialRecord) -> None:
        """Bring one trial's run to what its record says."""
        content = trial_run(record)
        known = self._children.get(record.number)
        if known and known.digest != content.digest:  # its line was deleted and the trial ran again
            self._client.delete_run(known.run_id)
            known = None
        if known and known.complete:
            return
        self._set_mark(None)
        self._set_status("RUNNING")
        if not known:
            tags = {"mlflow.parentRunId": self._parent_id, "archfront.digest": content.digest, **content.tags, **_origin()}
            run = self._client.create_run(self._experiment_id, start_time=content.started_ms, tags=tags, run_name=content.name)
            known = _Child(run.info.run_id, content.digest, complete=False)
        self._children[record.number] = known
        self._log_corpus(known.run_id, content.corpus_sha256)
        self._log(known.run_id, content.metrics, content.parameters)
        self._client.set_terminated(known.run_id, content.status, content.ended_ms)
        self._children[record.number] = replace(known, complete=True)

    def write_study(self, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord]) -> None:
        """Bring everything to what the records say, the parent's artifacts and its end included; the last is the mark that says so."""
        mark = mark_of({record.number: digest(record) for record in records}, finals, self._study_yaml)
        for record in records:
            self.write_trial(record)
        if mark != self._mark:
            self._set_mark(None)
        self._log_corpus(
            self._parent_id, next((r.training.corpus_sha256 for r in records if r.training and r.training.corpus_sha256), None)
        )
        front = front_of(records, finals, self._study.problem)
        by_number = {record.number: record for record in records}
        for number, child in self._children.items():
            if number in by_number:
                self._children[number] = self._write_standing(child, by_number[number], finals.get(number), number in front.members)
        if self._study.scaling is None:
            self._write_front(records, finals, front)
        else:
            self._write_law(records, self._study.scaling.form)
        self._set_status(_end(self._study, records, finals, front))
        self._set_mark(mark)

    def _experiment(self, directory: Path) -> str:
        """The experiment of the study's name, or, where another study's files lie in that one's folder, one of a name of its own."""
        files, tags = self._place.artifacts_uri(directory), {"mlflow.experimentKind": "custom_model_development"}  # not MLflow's GenAI view
        name = experiment_name(self._place.tracking_uri, self._study.name)
        found = self._client.get_experiment_by_name(name)
        if found and files not in (None, found.artifact_location) and not self._find_parent(found.experiment_id):
            name = f"{name} {self._place.study_id[:8]}"
            found = self._client.get_experiment_by_name(name)
        if not found:
            return str(self._client.create_experiment(name, artifact_location=files, tags=tags))
        if found.lifecycle_stage != "active":
            raise SpecError(
                f"the experiment {name} was deleted there; restore it in MLflow (mlflow experiments restore -x {found.experiment_id})"
            )
        return str(found.experiment_id)

    def _find_parent(self, experiment_id: str) -> Any:
        query = f"tags.`archfront.study_id` = '{self._place.study_id}'"
        return next(iter(self._client.search_runs([experiment_id], query, max_results=1)), None)

    def _create_parent(self) -> Any:
        facts = self._place.environment
        tags = {"archfront.study_id": self._place.study_id, **{f"environment.{name}": value for name, value in facts.items()}, **_origin()}
        if "git_commit" in facts:
            tags["mlflow.source.git.commit"] = facts["git_commit"]  # MLflow's own name, which its interface shows
        return self._client.create_run(self._experiment_id, tags=tags, run_name=self._study.name)

    def _find_children(self) -> dict[int, _Child]:
        found: dict[int, _Child] = {}
        query = f"tags.`mlflow.parentRunId` = '{self._parent_id}' AND tags.`archfront.digest` != ''"
        page = self._client.search_runs([self._experiment_id], query, max_results=PAGE)
        while True:
            for run in page:
                tags = run.data.tags
                found[int(tags["archfront.number"])] = _Child(
                    run.info.run_id,
                    tags["archfront.digest"],
                    complete=run.info.status != "RUNNING",
                    final_digest=tags.get("archfront.final_digest"),
                    on_front=tags.get("archfront.on_front") == "true",
                )
            if not page.token:
                return found
            page = self._client.search_runs([self._experiment_id], query, max_results=PAGE, page_token=page.token)

    def _log(
        self,
        run_id: str,
        metrics: Sequence[MetricPoint] = (),
        parameters: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """One request, unless there are very many points."""
        from mlflow.entities import Metric, Param, RunTag

        points = [Metric(point.name, point.value, point.time_ms, point.step) for point in metrics]
        first = [Param(*item) for item in (parameters or {}).items()], [RunTag(*item) for item in (tags or {}).items()]
        for start in range(0, max(1, len(points)), LARGEST_BATCH):
            self._client.log_batch(run_id, points[start : start + LARGEST_BATCH], *(first if start == 0 else ((), ())))

    def _log_corpus(self, run_id: str, sha256: str | None) -> None:
        """The text that it was trained on, as MLflow's data set; MLflow takes 36 digits of the hash, the source has them all."""
        if sha256 is None:
            return
        from mlflow.entities import Dataset, DatasetInput, InputTag

        names = self._study.corpus.files or (self._study.corpus.title,)
        dataset = Dataset(self._study.corpus.title[:500], sha256[:36], "archfront corpus", json_of({"sha256": sha256, "names": names}))
        self._client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def _write_standing(self, child: _Child, record: TrialRecord, final: FinalRecord | None, on_front: bool) -> _Child:
        """What became known of a trial after its own record: whether it is on the front, and its second measurement."""
        mark = digest(final) if final else child.final_digest
        if (mark, on_front) != (child.final_digest, child.on_front):
            tags = {"archfront.on_front": str(on_front).lower()} | ({"archfront.final_digest": mark} if mark else {})
            self._log(child.run_id, final_metrics(record, final) if final else (), tags=tags)
        return replace(child, final_digest=mark, on_front=on_front)

    def _write_front(self, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front) -> None:
        from analysis.report.figures import figures_page, front_figures  # Plotly is needed once, at the end

        membership = estimate_membership(front)
        rows = front_rows(records, finals, front, membership)
        self._write_files(figures_page(front_figures(records, front, membership)), front_data(rows))
        listed = json_of([{"path": "front.json", "type": "table"}])  # what `mlflow.load_table` looks for
        tags = {"mlflow.loggedArtifacts": listed, "mlflow.note.content": front_note(rows, front.problem)}
        self._log(self._parent_id, study_metrics(records, front), tags=tags)

    def _write_law(self, records: Sequence[TrialRecord], law: str) -> None:
        """A scaling study's pictures on one page, since plotly.js would be in each file, and what it found as data."""
        from analysis.law_report.law_study_page import fitted, law_page
        from trials.reporting.mlflow_law_content import law_data, law_metrics, law_note

        answered = fitted(records, law)
        self._write_files(law_page(self._study.name, records, answered), law_data(answered))
        self._log(self._parent_id, law_metrics(records, answered), tags={"mlflow.note.content": law_note(answered)[:LONGEST_TAG]})

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


def _open(directory: Path, place: MlflowLocation) -> Any:
    """MLflow's client; the tables of the directory's own database are created under another name, lest a crash leave half of them."""
    for name, value in MLFLOW_SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    if place.tracking_uri is None:
        database = directory.resolve() / DATABASE
        if not database.exists():
            fresh = database.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            MlflowClient(tracking_uri=file_uri(directory, fresh.name)).delete_experiment(
                "0"
            )  # MLflow's empty example, which would come first
            fresh.replace(database)
        follow_move(directory)
    return MlflowClient(tracking_uri=place.uri(directory))


def _end(study: StudySpec, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front) -> str:
    """MLflow's word for how a study ended: whole where all its trials, or the second measurements of its front, are there."""
    if not front.members:
        return "FAILED"
    references = 0 if study.scaling else len(study.references)
    planned = len(planned_tasks(study)) + study.search.trials + study.search.replicates_of(study.search.trials) + references
    return "FINISHED" if len(records) >= planned or set(front.members) <= set(finals) else "KILLED"


def _origin() -> dict[str, str]:
    try:
        user = getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "unknown"
    return {"mlflow.user": user, "mlflow.source.name": "archfront", "mlflow.source.type": "JOB"}
