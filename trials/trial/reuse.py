"""What a study takes over from trainings that are finished elsewhere, and leaves to others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from analysis.records.files import write_whole
from analysis.records.record import TrialRecord, read_record
from analysis.records.training import Training
from search_space.architecture import Architecture
from trials.study.directory import tokenizer_file, weights_file
from trials.study.load_study import STUDY, parse_stored
from trials.study.spec import ProxySpec, StudySpec
from trials.training.mode import TrainingMode
from trials.training.recipe import as_it_is
from trials.trial.calibration import mode_of
from trials.trial.task import TrialTask
from trials.trial.training_index import (
    Found,
    TrainingLocation,
    TrainingText,
    What,
    find,
    location,
    note,
    sha256,
    training_key,
    trainings_folder,
)

Recipe = Callable[[ProxySpec], ProxySpec]
"""What a training makes of its study's recipe."""
Read = Callable[[Path, TrialRecord], tuple[int, Found]]
"""The seed and the result of a finished training beside a trial in a study's directory; raises KeyError where there is none."""


class Reuse:
    """The index of finished trainings as one study uses it.

    What is looked up is checked where it lies; what does not fit counts as not there, and nothing here is ever an error.
    """

    def __init__(self, study: StudySpec, directory: Path, texts: Mapping[int, TrainingText]) -> None:
        """`study` has nothing left open; `texts` has each vocabulary's."""
        self._study, self._directory, self._texts = study, directory.absolute(), texts
        self._folder = trainings_folder()

    def take(self, task: TrialTask) -> Training | None:
        """The finished training of a task, its weights put where the trial's belong; None where there is none."""

        def read(place: TrainingLocation) -> tuple[str | None, tuple[Training, bytes]]:
            directory, record = _recorded(place)
            weights = weights_file(directory, record.number).read_bytes()
            if record.training is None or sha256(weights) != place.weights_sha256:
                raise KeyError(place.number)
            origin = record.training.reused_from or f"{directory} #{record.number}"
            return self._key_at(directory, record, record.seed, as_it_is), (replace(record.training, reused_from=origin), weights)

        taken = self._find("trial", task.architecture, task.seed, task.recipe, read)
        if taken is None:
            return None
        training, weights = taken
        try:
            write_whole(weights_file(self._directory, task.number), weights)
        except OSError:  # whoever writes the record next will say so
            return None
        return training

    def elsewhere(self, task: TrialTask) -> Path | None:
        """The other directory where `take` would find a training of the task; its weights are not read, and nothing is changed."""

        def read(place: TrainingLocation) -> str | None:
            if Path(place.directory) == self._directory:
                return None
            directory, record = _recorded(place)
            return self._key_at(directory, record, record.seed, as_it_is) if weights_file(directory, record.number).is_file() else None

        key = self._key(task.architecture, task.seed, task.recipe)
        place = location(self._folder, key, "trial", read) if key is not None and self._study.search.reuse else None
        return None if place is None else Path(place.directory)

    def leave(self, record: TrialRecord) -> None:
        """Let others find a trial that is recorded; one that did not finish is nobody's."""
        if record.finished and record.training is not None:
            with suppress(OSError):
                weights = weights_file(self._directory, record.number).read_bytes()
                self._note("trial", record, record.seed, lambda _: _recipe_of(self._study, record), sha256(weights))

    def result(self, what: What, shape: Architecture, seed: int, recipe: Recipe, read: Read[Found]) -> Found | None:
        """What a training after some search has found; None where there is none."""

        def read_there(place: TrainingLocation) -> tuple[str | None, Found]:
            directory, record = _recorded(place)
            its_seed, found = read(directory, record)
            return self._key_at(directory, record, its_seed, recipe), found

        return self._find(what, shape, seed, recipe, read_there)

    def leave_result(self, what: What, record: TrialRecord, seed: int, recipe: Recipe) -> None:
        """Let others find what such a training of a trial's shape has found here."""
        self._note(what, record, seed, recipe, None)

    def _find(
        self, what: What, shape: Architecture, seed: int, recipe: Recipe, read: Callable[[TrainingLocation], tuple[str | None, Found]]
    ) -> Found | None:
        key = self._key(shape, seed, recipe)
        return find(self._folder, key, what, read) if key is not None and self._study.search.reuse else None

    def _note(self, what: What, record: TrialRecord, seed: int, recipe: Recipe, weights_sha256: str | None) -> None:
        key = self._key(record.architecture, seed, recipe)
        if key is not None:
            with suppress(OSError):  # a full cache costs somebody a training, and this study nothing
                place = TrainingLocation(directory=str(self._directory), number=record.number, what=what, weights_sha256=weights_sha256)
                note(self._folder, key, place)

    def _key(self, shape: Architecture, seed: int, recipe: Recipe) -> str | None:
        study = self._study
        return training_key(shape, seed, recipe(study.proxy), mode_of(study), study.workers.device, self._texts[shape.vocab_size])

    def _key_at(self, directory: Path, record: TrialRecord, seed: int, recipe: Recipe) -> str | None:
        """The key of a training there from what lies there; validation sets can only be told by their names."""
        vocab_size, training = record.architecture.vocab_size, record.training
        ours = self._texts[vocab_size]
        if not record.finished or training is None or training.corpus_sha256 is None:
            return None
        if training.validations.keys() != ours.validations.keys():
            return None
        proxy = recipe(_recipe_of(_study_of((directory / STUDY).read_text(encoding="utf-8")), record))
        way = TrainingMode(precision=training.precision, threads=training.threads, compile=training.compiled)
        tokenizer = sha256(tokenizer_file(directory, vocab_size).read_bytes())
        answered = {name: score.questions_sha256 for name, score in training.tasks.items()}
        text = replace(ours, corpus_sha256=training.corpus_sha256, tokenizer_sha256=tokenizer, tasks=answered)
        return training_key(record.architecture, seed, proxy, way, training.device, text)


def _recorded(place: TrainingLocation) -> tuple[Path, TrialRecord]:
    directory = Path(place.directory)
    record = read_record(directory, place.number)
    if record is None:
        raise KeyError(place.number)
    return directory, record


def _recipe_of(study: StudySpec, record: TrialRecord) -> ProxySpec:
    """What a trial of the study was trained by: in a grid each has tokens of its own."""
    if study.scaling is None or record.training is None:
        return study.proxy
    return study.proxy.with_tokens(record.training.planned_tokens)


@lru_cache(maxsize=8)
def _study_of(study_text: str) -> StudySpec:
    return parse_stored(study_text)
