"""A long training as a run of MLflow's: curves while it trains, its model registered at its end; a store that fails costs a warning."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from analysis.records.json_writer import json_of
from analysis.records.training import CurvePoint, Training
from search_space.cost import parameters, unrolled_parameters
from search_space.errors import said_by
from trials.machine.redaction import redacted
from trials.pretraining.statement import Statement
from trials.pretraining.subject import Subject
from trials.tracking.mlflow_beside_runs import BESIDE_TAG, KIND_TAG
from trials.tracking.mlflow_curves import MetricPoint
from trials.tracking.mlflow_location import PLACE, location_of, plain_path
from trials.tracking.mlflow_models import FLOAT32_BYTES, LARGEST_MODEL_BYTES, MODEL_FOLDER, MODEL_ON_ITS_WAY, folder_of_its_own
from trials.tracking.mlflow_store import MlflowStore, origin, save_text_model

TRAINING_TAG, TRAINING_KIND = "archfront.training", "training"
logger = logging.getLogger(__name__)


class TrackedTraining:
    """The run of one training, found again by what decides its numbers; nothing here is ever an error of the training."""

    def __init__(self, subject: Subject, wanted: Statement, folder: Path, uri: str | None) -> None:
        """Open the study's store where the study is tracked, or `uri`, kept with the folder; without either nothing is done."""
        self._wanted, self._folder, self._subject = wanted, folder.absolute(), subject
        self._store: MlflowStore | None = None
        self._run_id, self._study_id, self._drawn = "", "", set[tuple[str, int, float]]()
        self._model_name = subject.stem if subject.stored is None else subject.stored.study.name
        stored = subject.stored
        of_study = stored is not None and uri is None and (stored.directory / PLACE).is_file()
        self._directory = stored.directory.absolute() if of_study and stored is not None else self._folder
        if of_study or uri is not None or (folder / PLACE).is_file():
            self._safely(lambda: self._open(of_study, uri))

    @property
    def is_on(self) -> bool:
        """Whether anything is written."""
        return self._store is not None

    def point(self, point: CurvePoint, began: int) -> None:
        """Draw a point of the curve, once however often it is told."""
        if self.is_on:
            self._safely(lambda: self._draw([point]))

    def end(self, training: Training, judged: str, model: Path) -> None:
        """Draw the whole curve where a part is missing, and register the model, where it is small enough."""
        if self.is_on:
            whole = model.absolute()
            self._safely(lambda: self._end(training, judged, whole))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """No run seems to go on when its training does not: it was stopped by somebody, or failed."""
        store = self._store
        if store is not None and kind is not None:
            status = "KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED"
            self._safely(lambda: store.client.set_terminated(self._run_id, status))

    def _open(self, of_study: bool, uri: str | None) -> None:
        stored = self._subject.stored
        if of_study and stored is not None:
            place, name = location_of(self._directory, None), stored.study.name
        else:
            place, name = location_of(self._directory, uri, study_name=self._model_name), self._model_name
        store = MlflowStore(self._directory, place, place.experiment or name)
        self._study_id, identity = place.study_id, _identity(self._wanted)
        query = f"tags.`{TRAINING_TAG}` = '{identity}'"
        found = next(iter(store.client.search_runs([store.experiment_id], query, max_results=1)), None)
        if found is None:
            kind = {KIND_TAG: TRAINING_KIND, TRAINING_TAG: identity, BESIDE_TAG: place.study_id}
            title = f"{self._wanted.title}, {self._wanted.recipe}"
            found = store.client.create_run(store.experiment_id, tags={**kind, **origin()}, run_name=title)
            store.log(found.info.run_id, (), _settings(self._wanted))
        elif found.info.status == "FINISHED":
            return  # everything is there
        elif found.info.status != "RUNNING":
            store.client.update_run(found.info.run_id, status="RUNNING")
        self._store, self._run_id, self._drawn = store, found.info.run_id, store.drawn(found)

    def _draw(self, curve: list[CurvePoint]) -> None:
        assert self._store is not None
        now_ms, points = round(1000 * time.time()), []
        for point in curve:
            if ("training_loss", point.tokens, point.training_loss) in self._drawn:
                continue
            for name, value in (("training_loss", point.training_loss), ("validation_loss", point.validation_loss)):
                if value is not None:
                    self._drawn.add((name, point.tokens, value))
                    points.append(MetricPoint(name, value, point.tokens, now_ms))
            points.append(MetricPoint("learning_rate", point.learning_rate or 0.0, point.tokens, now_ms))
        self._store.log(self._run_id, points)

    def _end(self, training: Training, judged: str, model: Path) -> None:
        assert self._store is not None
        self._draw(list(training.curve))
        now_ms, quality = round(1000 * time.time()), training.validation
        figures = {"tokens_per_second": training.tokens_per_second, "tokens": float(training.tokens)}
        if quality is not None:
            figures |= {"bits_per_byte": quality.bits_per_byte, "next_token_accuracy": quality.next_token_accuracy}
        points = [MetricPoint(name, value, 0, now_ms) for name, value in figures.items()]
        self._store.log(self._run_id, points, tags={"mlflow.note.content": judged})
        for file in ("README.md", "config.json"):
            if (model / file).is_file():
                self._store.client.log_artifact(self._run_id, str(model / file))
        self._register(model)
        self._store.client.set_terminated(self._run_id, "FINISHED")

    def _register(self, model: Path) -> None:
        """One version of the study's registered model, or of the folder's own; weights beyond a gigabyte stay where they are."""
        assert self._store is not None
        if FLOAT32_BYTES * unrolled_parameters(self._wanted.shape) > LARGEST_MODEL_BYTES:
            return
        identity = f"training {_identity(self._wanted)}"
        found = self._store.models(self._model_name, self._study_id, create=True)
        if found is None or identity in found[1]:
            return
        with folder_of_its_own(self._folder / MODEL_ON_ITS_WAY) as folder:
            save_text_model(folder / MODEL_FOLDER, plain_path(model.parent) / model.name)  # MLflow takes no link itself
            self._store.client.log_artifacts(self._run_id, str(folder / MODEL_FOLDER), MODEL_FOLDER)
        title = f"{self._wanted.title}, trained by {self._wanted.recipe}"
        version = self._store.add_version(found[0], self._run_id, MODEL_FOLDER, title, identity)
        self._store.client.set_registered_model_alias(found[0], "trained", version)

    def _safely(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # MLflow and its database raise whatever they like
            logger.warning(
                "MLflow does not take this training's run (%s); it goes on, and the same command catches up", redacted(said_by(error))
            )
            self._store = None


def _identity(wanted: Statement) -> str:
    return hashlib.sha256(json_of(wanted.as_dict(), sort_keys=True).encode()).hexdigest()[:16]


def _settings(wanted: Statement) -> dict[str, str]:
    proxy, shape = wanted.proxy, wanted.shape
    values: dict[str, Any] = {
        "shape": shape.label,
        "parameters": parameters(shape),
        "recipe": wanted.recipe,
        "tokens": wanted.tokens,
        "steps": wanted.steps,
        "seed": wanted.seed,
        "devices": wanted.devices,
        "corpus": wanted.corpus.title,
    }
    kept = ("optimizer", "learning_rate", "schedule", "batch_sequences", "context_tokens", "precision")
    values |= {name: getattr(proxy, name) for name in kept}
    return {name: str(value)[:500] for name, value in values.items()}
