"""Runs beside a study's in its experiment of MLflow, one for each that has a name; whatever is written twice is there once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from analysis.records.json_writer import json_of
from trials.reporting.beside_run import BesideRun
from trials.tracking.mlflow_curves import MetricPoint
from trials.tracking.mlflow_store import MlflowStore, origin
from trials.tracking.mlflow_trial_runs import DIGEST_TAG
from trials.tracking.tracking_uri import LONGEST_TAG

BESIDE_TAG, KIND_TAG = "archfront.beside", "archfront.kind"
"""Id of the study that a run stands beside, and what it is."""
BESIDE_FORM = 1
"""Raised with what a run beside a study is given, so that those of earlier versions are written once more."""


class BesideRuns:
    """What stands beside one study; every method may be repeated, by one process at a time."""

    def __init__(self, store: MlflowStore, study_id: str) -> None:
        """Find those that are there."""
        self._store, self._study_id = store, study_id
        query = f"tags.`{BESIDE_TAG}` = '{study_id}'"
        self._known = {run.info.run_name: run for run in store.client.search_runs([store.experiment_id], query, max_results=1000)}

    def write(self, runs: Sequence[BesideRun]) -> None:
        """Bring each of these to what it says."""
        for run in runs:
            self._write(run)

    def _write(self, run: BesideRun) -> None:
        told, known = _digest(run), self._known.get(run.name)
        if known is not None and known.data.tags.get(DIGEST_TAG) == told and known.info.status == "FINISHED":
            return
        if known is not None and not (known.data.metrics.keys() <= run.metrics.keys() and known.data.params == run.parameters):
            self._store.delete(known.info.run_id)  # what is said no more cannot be taken back
            known = None
        run_id = self._create(run) if known is None else known.info.run_id
        now_ms = round(1000 * time.time())
        points = [MetricPoint(name, value, 0, now_ms) for name, value in run.metrics.items()]
        self._store.log(run_id, points, run.parameters, {"mlflow.note.content": run.markdown[:LONGEST_TAG]})
        client = self._store.client
        client.log_text(run_id, run.page(), f"{run.kind}.html")
        client.log_text(run_id, f"{run.markdown}\n", "verdict.md")
        client.log_text(run_id, json_of(run.data, indent=2), f"{run.kind}.json")
        client.set_tag(run_id, DIGEST_TAG, told)
        client.set_terminated(run_id, "FINISHED")
        self._known[run.name] = client.get_run(run_id)

    def _create(self, run: BesideRun) -> Any:
        tags = {BESIDE_TAG: self._study_id, KIND_TAG: run.kind, "archfront.study": run.study, **origin()}
        return self._store.client.create_run(self._store.experiment_id, tags=tags, run_name=run.name).info.run_id


def _digest(run: BesideRun) -> str:
    return hashlib.sha256(json_of([BESIDE_FORM, asdict(run)], sort_keys=True).encode()).hexdigest()[:16]
