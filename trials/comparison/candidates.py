"""What a comparison is of: models with what each reads, and of a study the trials that take about as many bytes."""

from __future__ import annotations

from collections.abc import Sequence
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
from trials.comparison.passages import Passage, passages_of_files, passages_of_study, score_passages, score_study, units_of
from trials.corpus.blocks import TokenBlocks
from trials.corpus.prepare import prepare_corpus
from trials.models.loaded_model import LoadedModel
from trials.network.decoder import Network
from trials.reporting.stored_study import StoredStudy
from trials.rounding.ways import Way
from trials.study.directory import weights_file


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
        blocks = prepare_corpus(stored.study.corpus, own.architecture.vocab_size)
        blocks.require_same_text(stored.records)
        return cls(stored, split, blocks, own)

    def __call__(self, model: LoadedModel) -> TextScore:
        """What a model makes of it."""
        proxy = self.stored.study.proxy
        windows = (self.blocks, self.split, proxy.evaluation_tokens, proxy.context_tokens)
        if model.tokenizer.to_str() == self.own.tokenizer.to_str():
            return score_study(model, *windows)
        if self.passages is None:
            self.passages = passages_of_study(self.own, *windows)
        return score_passages(model, self.passages, np.unique(units_of(*windows)))


def at_equal_bytes(stored: StoredStudy, ways: Sequence[Way], most_bytes: int, within: float) -> list[tuple[TrialRecord, list[Way]]]:
    """The best trial of each kind of shape in each way, of those that take at most so many bytes, and no less than `within` under it.

    Best by the study's own quality on the validation split, the best first. Raises SpecError where no trial takes about so many bytes.
    """
    best: dict[tuple[str, str], tuple[float, TrialRecord, Way]] = {}
    smallest, largest = None, None
    for record in stored.records:
        quality = None if record.training is None else record.training.validation
        if not record.finished or quality is None or not weights_file(stored.directory, record.number).is_file():
            continue
        for way in ways:
            size = shape_bytes(record.architecture, way)
            smallest, largest = min(size, smallest or size), max(size, largest or size)
            key = (kind_of(record.architecture), way.name)
            if (1 - within) * most_bytes <= size <= most_bytes and (key not in best or quality.bits_per_byte < best[key][0]):
                best[key] = quality.bits_per_byte, record, way
    if not best:
        there = "none finished" if smallest is None or largest is None else f"{bytes_text(smallest)} to {bytes_text(largest)}"
        raise SpecError(
            f"--stored-bytes must be near what a trial of {stored.directory} takes in one of the ways, found {bytes_text(most_bytes)} "
            f"where the trials take {there}; name another number or other ways"
        )
    found: dict[int, tuple[TrialRecord, list[Way]]] = {}
    for _, record, way in sorted(best.values(), key=lambda each: each[0]):
        found.setdefault(record.number, (record, []))[1].append(way)
    return list(found.values())


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
