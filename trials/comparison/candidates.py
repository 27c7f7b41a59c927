"""What a comparison is of: models with what each reads, and of a study the trials that take about as many bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from analysis.records.record import TrialRecord
from analysis.tasks.comparison import TextScore
from analysis.text.words import bytes_text
from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.comparison.mending import Mending
from trials.comparison.passages import Passage, passages_of_files, passages_of_study, score_passages, score_study, units_of
from trials.corpus.blocks import TokenBlocks
from trials.corpus.prepare import prepare_corpus
from trials.models.loaded_model import LoadedModel
from trials.network.decoder import Network
from trials.reporting.stored_study import StoredStudy
from trials.rounding.ways import Way
from trials.study.directory import weights_file
from trials.study.load_study import stored_corpus


@dataclass(frozen=True, slots=True)
class ReadFiles:
    """The text of files, read alike by every model."""

    passages: list[Passage]
    units: npt.NDArray[np.int64]

    @classmethod
    def of(cls, files: Sequence[Path], most_bytes: int) -> ReadFiles:
        """The first so many bytes of the files; raises SpecError where there is no text."""
        passages = passages_of_files(files, most_bytes)
        return cls(passages, np.unique([passage.unit for passage in passages]))

    def __call__(self, model: LoadedModel) -> TextScore:
        """What a model makes of it."""
        return score_passages(model, self.passages, self.units)


@dataclass(slots=True)
class ReadStudy:
    """A study's held-out text: its own networks read the windows of its records, others their text."""

    stored: StoredStudy
    split: str
    blocks: TokenBlocks
    own: LoadedModel
    """A trial with the tokenizer of the blocks."""
    passages: list[Passage] | None = None
    """The windows as text, once a model of elsewhere asks for it."""

    @classmethod
    def of(cls, stored: StoredStudy, split: str, own: LoadedModel) -> ReadStudy:
        """A split of the text that the study's trials were trained on, in the vocabulary of one of them.

        Raises SpecError where the text is not there or is another one.
        """
        return cls(stored, split, _blocks_of(stored, own.architecture), own)

    def __call__(self, model: LoadedModel) -> TextScore:
        """What a model makes of it."""
        proxy = self.stored.study.proxy
        windows = (self.blocks, self.split, proxy.evaluation_tokens, proxy.context_tokens)
        if model.tokenizer.to_str() == self.own.tokenizer.to_str():
            return score_study(model, *windows)
        if self.passages is None:
            self.passages = passages_of_study(self.own, *windows)
        return score_passages(model, self.passages, np.unique(units_of(*windows)))


def at_equal_bytes(
    studies: Sequence[StoredStudy], ways: Sequence[Way], most_bytes: int, within: float
) -> list[tuple[StoredStudy, TrialRecord, list[Way]]]:
    """The best trial of each kind of shape in each way, of those that take at most so many bytes, and no less than `within` under it.

    Best by the studies' own quality on the validation split, the best first. Raises SpecError where no trial takes about so many bytes, or
    the studies are not of one text.
    """
    best: dict[tuple[str, str], tuple[float, StoredStudy, TrialRecord, Way]] = {}
    sizes: list[int] = []
    texts = set()
    for stored, record, quality in _kept_trials(studies):
        texts.add(_text_of(record))
        if len(texts) > 1:
            raise SpecError(f"--stored-bytes must be of studies of one text, found another in {stored.directory}; leave that one out")
        for way in ways:
            sizes.append(size := shape_bytes(record.architecture, way))
            key = (kind_of(record.architecture), way.name)
            if _fits(size, most_bytes, within) and (key not in best or quality < best[key][0]):
                best[key] = quality, stored, record, way
    if not best:
        there = f"{bytes_text(min(sizes))} to {bytes_text(max(sizes))}" if sizes else "none finished"
        named = ", ".join(str(stored.directory) for stored in studies)
        raise SpecError(
            f"--stored-bytes must be near what a trial of {named} takes in one of the ways, found {bytes_text(most_bytes)} where the "
            f"trials take {there}; name another number or other ways"
        )
    found: dict[tuple[Path, int], tuple[StoredStudy, TrialRecord, list[Way]]] = {}
    for _, stored, record, way in sorted(best.values(), key=lambda each: each[0]):
        found.setdefault((stored.directory, record.number), (stored, record, []))[2].append(way)
    return list(found.values())


def fitting(model: LoadedModel, ways: Sequence[Way], most_bytes: int, within: float) -> list[Way]:
    """The ways in which a model takes about so many bytes."""
    return [way for way in ways if _fits(way.stored_bytes(model.network), most_bytes, within)]


def mending_of(stored: StoredStudy, record: TrialRecord, tokens: int) -> Mending:
    """How a trial is trained on: by its study's recipe and text, with an order of the data that it has not had."""
    return Mending(_blocks_of(stored, record.architecture), stored.study.proxy, tokens, record.seed + 1)


def _blocks_of(stored: StoredStudy, shape: Architecture) -> TokenBlocks:
    """The text of a study's trials in a shape's vocabulary, without the sets that it names beside; SpecError where it is another text."""
    named = stored.study.corpus.without_tasks.model_copy(update={"validation": {}})
    blocks = prepare_corpus(stored_corpus(named, stored.directory), shape.vocab_size)
    blocks.require_same_text(stored.records)
    return blocks


def is_of_text(record: TrialRecord, study: StoredStudy | None) -> bool:
    """Whether a trial was trained on the text of a study's trials."""
    return study is not None and _text_of(record) in {_text_of(other) for other in study.records}


def _kept_trials(studies: Sequence[StoredStudy]) -> Iterator[tuple[StoredStudy, TrialRecord, float]]:
    """Finished trials with weights, and their bits per byte on the validation split."""
    for stored in studies:
        for record in stored.records:
            quality = None if record.training is None else record.training.validation
            if record.finished and quality is not None and weights_file(stored.directory, record.number).is_file():
                yield stored, record, quality.bits_per_byte


def _text_of(record: TrialRecord) -> str | None:
    return None if record.training is None else record.training.corpus_sha256


def _fits(size: int, most_bytes: int, within: float) -> bool:
    return (1 - within) * most_bytes <= size <= most_bytes


def shape_bytes(architecture: Architecture, way: Way) -> int:
    """Stored bytes of a shape in a way."""
    with torch.device("meta"):
        return way.stored_bytes(Network(architecture))


def kind_of(a: Architecture) -> str:
    """What a shape does to be small, beside its sizes: `shared blocks, grouped heads`; `plain` where it does nothing."""
    words = {
        "shared blocks": a.num_hidden_layers != a.num_unique_layers,
        "grouped heads": a.num_key_value_heads != a.num_attention_heads,
        "sliding attention": a.sliding_window is not None,
    }
    return ", ".join(word for word, is_so in words.items() if is_so) or "plain"
