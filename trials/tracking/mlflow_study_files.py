"""Files among the artifacts of a study's run in MLflow: what was found, what was asked, where, and the report."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from analysis.records.json_writer import json_of
from trials.study.spec import StudySpec
from trials.tracking.mlflow_location import MlflowLocation
from trials.tracking.mlflow_mark import artifact_names
from trials.tracking.mlflow_store import MlflowStore

PAGE_TAG = "archfront.page"
"""Digest of the report that a study's run has."""


class StudyFiles:
    """Artifacts of one run; every method may be repeated."""

    def __init__(self, store: MlflowStore, parent: Any, study: StudySpec, study_yaml: str, place: MlflowLocation) -> None:
        self._client, self._run_id = store.client, parent.info.run_id
        self._names, self._study_yaml, self._place = artifact_names(study), study_yaml, place
        self._page: str | None = parent.data.tags.get(PAGE_TAG)

    def are_there(self) -> bool:
        """Whether what was found is among the artifacts; if not, those of trials may be gone, too."""
        return self._names[0] in self._all()

    def write(self, data: object) -> None:
        """What was found, what was asked, and where."""
        texts = json_of(data, indent=2), self._study_yaml, json_of(self._place.environment, indent=2)
        for name, text in zip(self._names, texts, strict=True):
            self._client.log_text(self._run_id, text, name)

    def write_found(self, data: object) -> None:
        """What was found so far."""
        self._client.log_text(self._run_id, json_of(data, indent=2), self._names[0])

    def keep_page(self, page: Path) -> None:
        """The study's report, as it is."""
        told = hashlib.sha256(page.read_bytes()).hexdigest()[:16]
        if self._page != told or page.name not in self._all():
            self._client.log_artifact(self._run_id, str(page))
            self._client.set_tag(self._run_id, PAGE_TAG, told)
            self._page = told

    def _all(self) -> set[str]:
        return {file.path for file in self._client.list_artifacts(self._run_id)}
