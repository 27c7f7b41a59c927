"""Text as every model of a comparison reads it: pieces of bounded length, by the document that each is of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.tasks.comparison import TextScore
from search_space.errors import SpecError
from trials.corpus.blocks import TokenBlocks
from trials.corpus.documents import find_documents
from trials.models.loaded_model import LoadedModel
from trials.models.scoring import likelihoods
from trials.study.corpus_spec import CorpusSpec
from trials.tasks.question import Option
from trials.training.evaluation import score

PASSAGE_LETTERS = 1000
"""The longest passage: about 250 tokens of a large vocabulary, and well within the 2,048 that a trial's export states."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text that is scored from what begins a text on."""

    text: str
    unit: int
    """The document that it is of."""
    size_bytes: int


def passages_of_files(files: Sequence[Path], most_bytes: int) -> list[Passage]:
    """Passages of files as a corpus reads them, the first so many bytes of all; raises SpecError where there is no text."""
    found: list[Passage] = []
    total = 0
    for unit, piece in enumerate(find_documents(CorpusSpec(files=tuple(map(str, files))), "--text").pieces()):
        for text in _cut(piece):
            if total >= most_bytes:
                return found
            size = len(text.encode())
            total += size
            found.append(Passage(text, unit, size))
    if not found:
        raise SpecError(f"--text must hold text, found none in {', '.join(map(str, files))}; name another file")
    return found


def _cut(text: str) -> list[str]:
    """A text in pieces of at most `PASSAGE_LETTERS`, cut behind the last white space that leaves half of one."""
    found = []
    while len(text) > PASSAGE_LETTERS:
        end = max(text.rfind(mark, PASSAGE_LETTERS // 2, PASSAGE_LETTERS) for mark in (" ", "\n")) + 1 or PASSAGE_LETTERS
        found.append(text[:end])
        text = text[end:]
    return [*found, text] if text else found


def passages_of_study(own: LoadedModel, blocks: TokenBlocks, split: str, tokens: int, context_tokens: int) -> list[Passage]:
    """The windows that a study's networks are judged on, as text for other models: one passage for each document in a window.

    A model of elsewhere reads each from its beginning, where a study's own has the token before. What is of a letter that the window's end
    cuts through is left out of the text, and its bytes count all the same.
    """
    windows = blocks.evaluation(split, tokens, context_tokens)
    found, end = [], own.prefix_token_id
    for window, units in zip(windows[:, 1:], units_of(blocks, split, tokens, context_tokens), strict=True):
        ends = [*(np.flatnonzero(window == end) + 1), len(window)]
        for begin, behind in zip([0, *ends], ends, strict=False):
            ids = [token for token in window[begin:behind].tolist() if token != end]
            text = own.tokenizer.decode(ids).strip("\ufffd")
            if text:
                found.append(Passage(text, int(units[begin]), int(blocks.bytes_per_token[ids].sum())))
    return found


def units_of(blocks: TokenBlocks, split: str, tokens: int, context_tokens: int) -> npt.NDArray[np.int64]:
    """The document of each predicted token of the windows, [windows, context]; its window where documents are not known."""
    known = blocks.evaluated_units(split, tokens, context_tokens)
    windows = blocks.evaluation(split, tokens, context_tokens)[:, 1:]
    return np.broadcast_to(np.arange(len(windows))[:, None], windows.shape) if known is None else known


def score_passages(model: LoadedModel, passages: Sequence[Passage], units: npt.NDArray[np.int64]) -> TextScore:
    """What a model makes of passages, a value for each of these documents, which are sorted."""
    parts = [(passage, text) for passage in passages for text in _within(model, passage.text)]
    nats = [-each.log_likelihood for each in likelihoods(model, [Option("", text) for _, text in parts])]
    in_parts, whole = (np.searchsorted(units, [passage.unit for passage in some]) for some in ([each for each, _ in parts], passages))
    bits = np.bincount(in_parts, np.array(nats) / math.log(2), len(units)).astype(float)
    return TextScore(bits, np.bincount(whole, [float(passage.size_bytes) for passage in passages], len(units)).astype(float))


def _within(model: LoadedModel, text: str) -> list[str]:
    """A text in as few halves of halves as the context of the model needs; each is read from its beginning."""
    if len(text) < 2 or len(model.encode(text)) <= model.context_tokens:
        return [text]
    return [part for half in (text[: len(text) // 2], text[len(text) // 2 :]) for part in _within(model, half)]


def score_study(model: LoadedModel, blocks: TokenBlocks, split: str, tokens: int, context_tokens: int) -> TextScore:
    """What a study's own network makes of a split, by the windows and figures of its records; a value for each document."""
    found = score(model.network, blocks, split, tokens, context_tokens)
    _, places = np.unique(units_of(blocks, split, tokens, context_tokens), return_inverse=True)
    bits, sizes = (np.bincount(places.ravel(), values.ravel()).astype(float) for values in (found.nats / math.log(2), found.sizes))
    return TextScore(bits, sizes)
