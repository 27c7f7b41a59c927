"""The runs of a study's trials in one MLflow store: begun with their trial, grown with its curve, completed with its record.

Whatever is written twice is there once: a run carries its trial's number from the moment it exists and its record's digest before it ends,
it is RUNNING until all of it is written, and what of its curve was drawn on the way is not drawn again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from analysis.records.json_writer import json_of
from analysis.records.record import TrialRecord
from analysis.records.training import CurvePoint
from trials.machine.provenance import owner
from trials.study.spec import StudySpec
from trials.tracking.mlflow_curves import CURVES, MetricPoint, growing_curve
from trials.tracking.mlflow_standing import Standing
from trials.tracking.mlflow_store import DrawnPoint, MlflowStore
from trials.tracking.mlflow_trial_content import RunContent, begun_run, digest, run_digest, trial_run
from trials.trial.task import TrialTask

NUMBER_TAG, DIGEST_TAG, SHAPE_TAG, FILES_TAG = "archfront.number", "archfront.digest", "archfront.architecture_key", "archfront.files"


@dataclass(frozen=True, slots=True)
class _Child:
    """What the store has of one trial."""

    run_id: str
    digest: str
    """Digest of its record; empty while there is none."""
    status: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The last value of each."""
    tags: Mapping[str, str] = field(default_factory=dict)
    started_ms: int = 0
    drawn: frozenset[DrawnPoint] = frozenset()
    """Points of its curve that are there, where it is not complete."""

    @property
    def is_complete(self) -> bool:
        return bool(self.digest) and self.status != "RUNNING"


class TrialRuns:
    """A nested run for each trial; every method may be repeated, by one process at a time."""

    def __init__(self, store: MlflowStore, study: StudySpec, parent_id: str) -> None:
        """Find those that are there; where an answer was lost and a run created twice, one of them is thrown away."""
        self._store, self._study, self._parent_id = store, study, parent_id
        self._children: dict[int, _Child] = {}
        for run in store.nested(parent_id):
            number, child = int(run.data.tags[NUMBER_TAG]), _child(run)
            if not child.is_complete:
                child = replace(child, drawn=frozenset(store.drawn(run)))
            there = self._children.get(number)
            if there is not None:
                child, lesser = (there, child) if there.is_complete else (child, there)
                store.delete(lesser.run_id)
            self._children[number] = child

    @property
    def metric_names(self) -> set[str]:
        """Metrics that any of them has."""
        return {name for child in self._children.values() for name in child.metrics}

    @property
    def run_ids(self) -> dict[int, str]:
        """Run of each trial, by its number."""
        return {number: child.run_id for number, child in self._children.items()}

    def lacks(self, record: TrialRecord, told: str | None = None) -> bool:
        """Whether a trial's run does not say all that its record does; `told` is the record's digest, where it is known."""
        known = self._children.get(record.number)
        return known is None or not known.is_complete or known.digest != run_digest(told or digest(record))

    def begin(self, task: TrialTask, started_ms: int) -> None:
        """A trial is on a worker: its run is there and RUNNING; one that was cut short goes on."""
        known, (parameters, tags) = self._children.get(task.number), begun_run(task)
        if known and (known.digest or known.tags.get(SHAPE_TAG) != tags[SHAPE_TAG]):  # its record was deleted, or it is another shape's
            self._throw_away(task.number)
            known = None
        if known is None:
            self._children[task.number] = self._create(task.title, tags, started_ms)
            self._store.log(self._children[task.number].run_id, parameters=parameters)
            return
        if known.status != "RUNNING":
            self._store.client.update_run(known.run_id, status="RUNNING")
        self._children[task.number] = replace(known, status="RUNNING", started_ms=started_ms)

    def grow(self, number: int, curve: Sequence[CurvePoint], planned_tokens: int | None) -> None:
        """Draw what a trial's curve has and its run has not."""
        known = self._children.get(number)
        if known is None or known.digest:
            return
        points = [point for point in growing_curve(curve, planned_tokens, known.started_ms) if _drawn(point) not in known.drawn]
        if points:
            self._store.log(known.run_id, points)
            self._children[number] = replace(known, drawn=known.drawn | {_drawn(point) for point in points})

    def complete(self, record: TrialRecord, standing: Standing = Standing(), time_ms: int | None = None) -> None:  # noqa: B008  frozen
        """Bring one trial's run, which lacks something, to what its record says, and to its standing as of that time."""
        content = trial_run(record, self._study.problem)
        known = self._children.get(record.number)
        if known and (known.digest not in ("", content.digest) or not _is_beginning(known, record, content)):
            self._throw_away(record.number)  # its line was deleted and the trial ran again
            known = None
        tags = {**content.tags, DIGEST_TAG: content.digest, **unsaid(standing.tags, {})}
        if known is None:
            known = self._create(content.name, tags, content.started_ms)
            tags = {}
        said = {point.name: point.value for point in content.metrics}
        changed = {name: value for name, value in standing.metrics.items() if said.get(name) != value}
        later = [MetricPoint(name, value, 0, time_ms or content.ended_ms) for name, value in changed.items()]
        new = [point for point in content.metrics if _drawn(point) not in known.drawn]
        self._store.log(known.run_id, (*new, *later), content.parameters, unsaid(tags, known.tags))
        self._store.client.set_terminated(known.run_id, content.status, content.ended_ms)
        tags = {**known.tags, **tags}
        self._children[record.number] = _Child(known.run_id, content.digest, content.status, said | changed, tags)

    def place(self, number: int, standing: Standing, time_ms: int) -> None:
        """What became known of a trial after its run was written; a value that replaces another is the later one."""
        child = self._children[number]
        tags = unsaid(standing.tags, child.tags)
        changed = {name: value for name, value in standing.metrics.items() if child.metrics.get(name) != value}
        if not tags and not changed:
            return
        later_ms = max(time_ms + 1, round(1000 * time.time()))
        points = [MetricPoint(name, value, 0, later_ms if name in child.metrics else time_ms) for name, value in changed.items()]
        self._store.log(child.run_id, points, tags=tags)
        self._children[number] = replace(child, metrics={**child.metrics, **changed}, tags={**child.tags, **tags})

    def forget_files(self) -> None:
        """Have `keep_files` write what it is given, whatever the runs say that they have."""
        for number, child in self._children.items():
            self._children[number] = replace(child, tags={name: value for name, value in child.tags.items() if name != FILES_TAG})

    def keep_files(self, number: int, files: Mapping[str, str]) -> None:
        """Have these texts, by their names, among a trial's artifacts."""
        child, told = self._children[number], hashlib.sha256(json_of(files, sort_keys=True).encode()).hexdigest()[:16]
        if tags := unsaid({FILES_TAG: told}, child.tags):
            for name, text in files.items():
                self._store.client.log_text(child.run_id, text, name)
            self._store.log(child.run_id, tags=tags)
            self._children[number] = replace(child, tags={**child.tags, **tags})

    def tag_chosen(self, chosen: int) -> None:
        """Say of each trial whether it is the chosen one."""
        for number, child in self._children.items():
            if tags := unsaid({"archfront.chosen": str(number == chosen).lower()}, child.tags):
                self._store.log(child.run_id, tags=tags)
                self._children[number] = replace(child, tags={**child.tags, **tags})

    def end_others(self) -> None:
        """Trials that have no record and are on no worker any more are KILLED: the same command goes on with them."""
        for number, child in self._children.items():
            if child.status == "RUNNING":
                self._store.client.set_terminated(child.run_id, "KILLED")
                self._children[number] = replace(child, status="KILLED")

    def _create(self, name: str, tags: Mapping[str, str], started_ms: int) -> _Child:
        whole = {**tags, "mlflow.parentRunId": self._parent_id, "mlflow.user": owner()}
        run = self._store.client.create_run(self._store.experiment_id, start_time=started_ms, tags=whole, run_name=name)
        return _Child(run.info.run_id, "", "RUNNING", tags=whole, started_ms=started_ms)

    def _throw_away(self, number: int) -> None:
        self._store.delete(self._children.pop(number).run_id)


def unsaid(tags: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Tags that are not there so yet; an empty one is as good as none."""
    return {name: value for name, value in tags.items() if known.get(name, "") != value}


def _child(run: Any) -> _Child:
    tags = run.data.tags
    return _Child(run.info.run_id, tags.get(DIGEST_TAG, ""), run.info.status, run.data.metrics, tags, run.info.start_time)


def _drawn(point: MetricPoint) -> DrawnPoint:
    return point.name, point.step, point.value


def _is_beginning(known: _Child, record: TrialRecord, content: RunContent) -> bool:
    """Whether what was drawn on a trial's way is of its record's curve; a training that began anew elsewhere may have another."""
    if record.training is None:
        return True
    curve = {(name, point.tokens, getattr(point, name)) for point in record.training.curve for name in CURVES}
    return known.drawn <= curve | {_drawn(point) for point in content.metrics}
