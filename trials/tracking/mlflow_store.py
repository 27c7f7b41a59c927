"""One MLflow store as runs are written into it: opened, in as few requests as it takes. The only file that names MLflow's client."""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from analysis.records.json_writer import json_of
from search_space.errors import SpecError
from trials.machine.provenance import library_version, owner
from trials.study.own_database import require_short
from trials.study.spec import StudySpec
from trials.tracking.mlflow_curves import CURVES, MetricPoint
from trials.tracking.mlflow_location import DATABASE, MlflowLocation, file_uri, follow_move
from trials.tracking.tracking_uri import experiment_name, is_database

MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""No telemetry, nothing on stdout, and a server that does not answer is given up in seconds; what the user has set stays."""
LARGEST_BATCH = 850
"""Metric points of one request; MLflow takes 1,000 entities, parameters and tags included."""
STUDY_TAG, MADE_OF = "archfront.study_id", "archfront.made_of"
"""Tags of a registered model and of its versions: whose it is, and the number and digest of the record whose weights it has."""
TEXT_MODEL = Path(__file__).parents[1] / "formats" / "text_model.py"
INPUT_EXAMPLE = ["Once upon a time"]
PAGE = 1000
"""Runs of one answer."""
DrawnPoint = tuple[str, int, float]
"""A point of a curve without its time, which is that of whoever trained: name, tokens, loss."""


class MlflowStore:
    """Runs of one experiment, each written with one request where it fits."""

    def __init__(self, directory: Path, place: MlflowLocation, experiment: str) -> None:
        """Open the store, which takes seconds: importing MLflow, and creating the tables of a fresh database."""
        self.client, self._place = open_client(directory, place), place
        self.experiment_id = self._experiment(directory, experiment)

    def log(
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
            self.client.log_batch(run_id, points[start : start + LARGEST_BATCH], *(first if start == 0 else ((), ())))

    def log_corpus(self, run_id: str, study: StudySpec, sha256: str | None) -> None:
        """The text that it was trained on, as MLflow's data set; MLflow takes 36 digits of the hash, the source has them all."""
        if sha256 is None:
            return
        from mlflow.entities import Dataset, DatasetInput, InputTag

        names = study.corpus.files or (study.corpus.title,)
        dataset = Dataset(study.corpus.title[:500], sha256[:36], "archfront corpus", json_of({"sha256": sha256, "names": names}))
        self.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def set_experiment_tags(self, tags: Mapping[str, str], only_new: bool = False) -> None:
        """Set those that are not so yet, or, with `only_new`, that are not there."""
        there = self.client.get_experiment(self.experiment_id).tags
        for name, value in tags.items():
            if name not in there or (there[name] != value and not only_new):
                self.client.set_experiment_tag(self.experiment_id, name, value)

    def find_parent(self, experiment_id: str | None = None) -> Any:
        """The study's own run; None where there is none."""
        query = f"tags.`archfront.study_id` = '{self._place.study_id}'"
        return next(iter(self.client.search_runs([experiment_id or self.experiment_id], query, max_results=1)), None)

    def nested(self, parent_id: str) -> Iterator[Any]:
        """Runs of the study's trials."""
        query, token = f"tags.`mlflow.parentRunId` = '{parent_id}' AND tags.`archfront.number` != ''", None
        while True:
            page = self.client.search_runs([self.experiment_id], query, max_results=PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def drawn(self, run: Any) -> set[DrawnPoint]:
        """Every point of the curves of a run."""
        there = [name for name in CURVES if name in run.data.metrics]
        histories = [self.client.get_metric_history(run.info.run_id, name) for name in there]
        return {(point.key, point.step, point.value) for history in histories for point in history}

    def delete(self, run_id: str) -> None:
        """Throw a run away; MLflow keeps it where it keeps what was deleted."""
        self.client.delete_run(run_id)

    def models(self, study_name: str, study_id: str, create: bool) -> tuple[str, dict[str, str], dict[str, str]] | None:
        """A study's registered model: its name, its versions by what they were made of, and its aliases' versions.

        Named as the study is, or, where that is another study's, with the beginning of its id. None where there is none, unless one
        is to be created.
        """
        from mlflow.exceptions import MlflowException

        for name in (study_name, f"{study_name}-{study_id[:8]}"):
            try:
                there = self.client.get_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                if not create:
                    return None
                self.client.create_registered_model(name, {STUDY_TAG: study_id}, f"Winners of the study {study_name}.")
                return name, {}, {}
            if there.tags.get(STUDY_TAG) == study_id:
                versions = self.client.search_model_versions(f"name = '{name}'")
                made = {version.tags[MADE_OF]: str(version.version) for version in versions if MADE_OF in version.tags}
                return name, made, {alias: str(version) for alias, version in there.aliases.items()}
        raise RuntimeError(f"the registered models {study_name} and {name} are of other studies")

    def add_version(self, name: str, run_id: str, folder: str, title: str, made_of: str) -> str:
        """One version more of a registered model: what lies in that folder of a run."""
        source = f"{self.client.get_run(run_id).info.artifact_uri}/{folder}"
        tags = {MADE_OF: made_of}
        return str(self.client.create_model_version(name, source, run_id, tags=tags, description=title, await_creation_for=0).version)

    def _experiment(self, directory: Path, experiment: str) -> str:
        """The experiment of that name, or, where another study's files lie in that one's folder, one of a name of its own."""
        files, tags = self._place.artifacts_uri(directory), {"mlflow.experimentKind": "custom_model_development"}  # not MLflow's GenAI view
        name = experiment_name(self._place.tracking_uri, experiment)
        found = self.client.get_experiment_by_name(name)
        if found and files not in (None, found.artifact_location) and not self.find_parent(found.experiment_id):
            name = f"{name} {self._place.study_id[:8]}"
            found = self.client.get_experiment_by_name(name)
        if not found:
            return str(self.client.create_experiment(name, artifact_location=files, tags=tags))
        if found.lifecycle_stage != "active":
            raise SpecError(
                f"the experiment {name} was deleted there; restore it in MLflow (mlflow experiments restore -x {found.experiment_id})"
            )
        return str(found.experiment_id)


def open_client(directory: Path, place: MlflowLocation) -> Any:
    """MLflow's client; the tables of the directory's own database are created under another name, lest a crash leave half of them."""
    for name, value in MLFLOW_SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    if place.tracking_uri is None or is_database(place.tracking_uri):
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = 1  # it waits for 101 s otherwise, whatever the reason; what may heal is tried again by `Writer.work`
    if place.tracking_uri is None:
        database = directory.resolve() / DATABASE
        require_short(database, "move the directory to a shorter one")
        if not database.exists():
            fresh = database.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            beginning = MlflowClient(tracking_uri=file_uri(directory, fresh.name))
            beginning.delete_experiment("0")  # MLflow's empty example, which would come first
            fresh.replace(database)
        follow_move(directory)
        _spare_the_disk()
    uri = place.uri(directory)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)  # whatever else this process has told MLflow: models lie where their runs do


@cache
def _spare_the_disk() -> None:
    """Have this process not wait for the disk at each of the eight commits of a run in a directory's own database.

    What a loss of power may leave damaged there is set aside and written once more from the records (`trials.study.own_database`).
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def connected(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            files = [Path(file).name for _, _, file in connection.execute("PRAGMA database_list")]
            if files == [DATABASE]:
                connection.execute("PRAGMA synchronous = OFF")


def save_text_model(path: Path, checkpoint: Path) -> None:
    """Write a folder that `mlflow.pyfunc.load_model` loads: weights as safetensors, tokenizer, and our code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what MLflow finds in its own code as it is imported
        from mlflow.models import ModelSignature
        from mlflow.pyfunc import save_model
        from mlflow.types import ColSpec, Schema

        texts = Schema([ColSpec("string")])
        save_model(
            str(path),
            python_model=str(TEXT_MODEL),
            artifacts={"checkpoint": str(checkpoint)},
            signature=ModelSignature(inputs=texts, outputs=texts),
            input_example=INPUT_EXAMPLE,
            pip_requirements=[_requirement(name) for name in ("mlflow", "torch", "transformers", "safetensors")],
        )


def _requirement(library: str) -> str:
    """The version that is here, but for what only says how it was built; any where it is not here."""
    version = library_version(library)
    return library if version is None else f"{library}=={version.partition('+')[0]}"


def origin() -> dict[str, str]:
    """Who made a run, and with what, in MLflow's own tags."""
    return {"mlflow.user": owner(), "mlflow.source.name": "archfront", "mlflow.source.type": "JOB"}
