"""Winners of a study as registered models of MLflow: a version a trial, and an alias for each word that it is picked by."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from analysis.records.record import TrialRecord
from search_space.cost import unrolled_parameters
from search_space.errors import SpecError
from trials.study.directory import tokenizer_file, weights_file
from trials.study.spec import StudySpec
from trials.tracking.mlflow_location import plain_path
from trials.tracking.mlflow_store import MlflowStore, save_text_model
from trials.tracking.mlflow_trial_content import digest

MODEL_FOLDER = "model"
"""Where a trial's run has its model."""
MODEL_ON_ITS_WAY = ".model-on-its-way"
"""Where in a study's directory a model is put together."""
LARGEST_MODEL_BYTES = 2**30
"""Weights of a model beyond which it is not copied into MLflow; an export has them."""
FLOAT32_BYTES = 4


class UnregisteredError(RuntimeError):
    """Models could not be registered, though the runs are written; its cause is what was raised, and its text that one's."""


class StudyModels:
    """One registered model for a study, named as the study is; every method may be repeated, by one process at a time."""

    def __init__(self, store: MlflowStore, directory: Path, study: StudySpec, study_id: str) -> None:
        self._store, self._directory, self._study, self._study_id = store, directory, study, study_id

    def register(self, winners: Mapping[str, TrialRecord | None], run_ids: Mapping[int, str]) -> None:
        """Give each word's trial a version, where its weights are here and transformers can hold its shape, and the word to it as an alias.

        A word of no trial, or of one that has no version, is no alias any more. `run_ids` are those of the trials' runs, by number. Raises
        UnregisteredError, whatever went wrong.
        """
        try:
            self._register(winners, run_ids)
        except Exception as error:
            raise UnregisteredError(str(error).strip() or type(error).__name__) from error

    def _register(self, winners: Mapping[str, TrialRecord | None], run_ids: Mapping[int, str]) -> None:
        is_ready = any(record is not None and record.number in run_ids and self._has_files(record) for record in winners.values())
        found = self._store.models(self._study.name, self._study_id, create=is_ready)
        if found is None:
            return
        name, versions, aliases = found
        for word, record in winners.items():
            alias, version = word.replace("-", "_"), None if record is None else self._version(name, record, versions, run_ids)
            if version is None and alias in aliases:
                self._store.client.delete_registered_model_alias(name, alias)
            elif version is not None and aliases.get(alias) != version:
                self._store.client.set_registered_model_alias(name, alias, version)

    def _version(self, name: str, record: TrialRecord, versions: dict[str, str], run_ids: Mapping[int, str]) -> str | None:
        """A trial's version, the one that is there or a new one, which joins `versions`; None where there can be none."""
        identity, run_id = f"{record.number} {digest(record)}", run_ids.get(record.number)
        if identity not in versions and run_id is not None and self._has_files(record):
            added = self._add(name, record, identity, run_id)
            if added is not None:
                versions[identity] = added
        return versions.get(identity)

    def _has_files(self, record: TrialRecord) -> bool:
        """Whether a model can be made of what lies in the directory, and is small enough as transformers has it: without sharing."""
        weights = weights_file(self._directory, record.number)
        tokenizer = tokenizer_file(self._directory, record.architecture.vocab_size)
        is_small = FLOAT32_BYTES * unrolled_parameters(record.architecture) <= LARGEST_MODEL_BYTES
        return is_small and weights.is_file() and tokenizer.is_file()

    def _add(self, name: str, record: TrialRecord, identity: str, run_id: str) -> str | None:
        """The version that was made of a trial; None where no class of transformers fits its shape, or its weights are damaged."""
        from trials.formats.hugging_face import write_hugging_face  # torch, which a study without winners does not need
        from trials.formats.model import Model
        from trials.network.weights import load_weights

        tokenizer = tokenizer_file(self._directory, record.architecture.vocab_size)
        with folder_of_its_own(self._directory / MODEL_ON_ITS_WAY) as folder:
            checkpoint, model = folder / "checkpoint", folder / MODEL_FOLDER
            try:
                weights = load_weights(weights_file(self._directory, record.number))
                write_hugging_face(checkpoint, Model(record.architecture, weights, "float32", self._study.proxy.context_tokens, tokenizer))
            except SpecError:
                return None
            save_text_model(model, checkpoint)
            self._store.client.log_artifacts(run_id, str(model), MODEL_FOLDER)
        return self._store.add_version(name, run_id, MODEL_FOLDER, record.title, identity)


def remove_model_on_its_way(directory: Path) -> None:
    """Remove what a process that was killed left of a model; for the one process that writes this directory's runs."""
    shutil.rmtree(directory / MODEL_ON_ITS_WAY, ignore_errors=True)


@contextmanager
def folder_of_its_own(folder: Path) -> Iterator[Path]:
    """An empty folder, removed afterwards, in which MLflow too puts the copies that it makes of a model on its way.

    MLflow takes paths for addresses: where none can have the folder's, it is reached through a link that one can have.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    before, named = tempfile.tempdir, plain_path(folder.parent.absolute()) / folder.name
    tempfile.tempdir = str(named)
    try:
        yield named
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)
