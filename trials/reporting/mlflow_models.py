"""Winners of a study as registered models of MLflow: a version a trial, and an alias for each word that it is picked by."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from analysis.records.record import TrialRecord
from search_space.errors import SpecError
from trials.reporting.mlflow_store import MlflowStore, save_text_model
from trials.reporting.mlflow_trial_content import digest
from trials.study.directory import tokenizer_file, weights_file
from trials.study.spec import StudySpec

MODEL_FOLDER = "model"
"""Where a trial's run has its model."""
LARGEST_MODEL_BYTES = 2**30
"""Weights of a trial beyond which it is not copied into MLflow; an export has them."""


class StudyModels:
    """One registered model for a study, named as the study is; every method may be repeated."""

    def __init__(self, store: MlflowStore, directory: Path, study: StudySpec, study_id: str) -> None:
        self._store, self._directory, self._study, self._study_id = store, directory, study, study_id

    def register(self, winners: Mapping[str, TrialRecord], run_ids: Mapping[int, str]) -> None:
        """Give each word's trial a version, where its weights are here and transformers can hold its shape, and the word to it as an alias.

        `run_ids` are those of the trials' runs, by number.
        """
        ready = {word: record for word, record in winners.items() if record.number in run_ids and self._has_files(record)}
        if not ready:
            return
        name, versions, aliases = self._store.models(self._study.name, self._study_id)
        for word, record in ready.items():
            identity = f"{record.number} {digest(record)}"
            if identity not in versions and (added := self._add(name, record, identity, run_ids[record.number])) is not None:
                versions[identity] = added
            alias = word.replace("-", "_")
            if identity in versions and aliases.get(alias) != versions[identity]:
                self._store.client.set_registered_model_alias(name, alias, versions[identity])

    def _has_files(self, record: TrialRecord) -> bool:
        weights = weights_file(self._directory, record.number)
        tokenizer = tokenizer_file(self._directory, record.architecture.vocab_size)
        return weights.is_file() and tokenizer.is_file() and weights.stat().st_size <= LARGEST_MODEL_BYTES

    def _add(self, name: str, record: TrialRecord, identity: str, run_id: str) -> str | None:
        """The version that was made of a trial; None where no class of transformers fits its shape."""
        from trials.formats.hugging_face import write_hugging_face  # torch, which a study without winners does not need
        from trials.formats.model import Model
        from trials.network.weights import load_weights

        weights = load_weights(weights_file(self._directory, record.number))
        tokenizer = tokenizer_file(self._directory, record.architecture.vocab_size)
        with tempfile.TemporaryDirectory(prefix="archfront-model-") as folder:
            checkpoint, model = Path(folder) / "checkpoint", Path(folder) / MODEL_FOLDER
            try:
                write_hugging_face(checkpoint, Model(record.architecture, weights, "float32", self._study.proxy.context_tokens, tokenizer))
            except SpecError:
                return None
            save_text_model(model, checkpoint)
            self._store.client.log_artifacts(run_id, str(model), MODEL_FOLDER)
        return self._store.add_version(name, run_id, MODEL_FOLDER, record.title, identity)
