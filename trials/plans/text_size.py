"""How many training tokens a text has: counted where its blocks are there, else estimated from its beginning, and said as such."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from search_space.errors import SpecError
from trials.corpus.dataset import COLUMN, fetched_files
from trials.corpus.documents import Documents, find_documents
from trials.corpus.first_look import TextLook, is_small, look_at
from trials.corpus.given_tokenizer import local_tokenizers
from trials.corpus.prepare import known_tokens, prepare_corpus
from trials.corpus.split_choice import HELD_OUT_SHARE
from trials.corpus.tokenizer import SMALLEST_VOCABULARY, load_exported, train_tokenizer
from trials.study.corpus_spec import CorpusSpec
from trials.study.files import cache_folder


@dataclass(frozen=True, slots=True)
class TextSize:
    """A text under one vocabulary."""

    train_tokens: int
    """Tokens of the train split."""
    is_exact: bool
    """Whether they were counted; else they are those of the beginning, carried to the size of the files."""
    look: TextLook | None
    """What of the text was read for it; None where nothing was."""


def text_size(spec: CorpusSpec, vocab_size: int, cache: Path | None = None) -> TextSize | None:
    """The size of a study's text, in a second or two for any text; None where a dataset was not fetched yet, or a tokenizer is on the hub.

    Raises SpecError where the text is not what its files' names say.
    """
    cache = cache_folder(cache)
    known = known_tokens(spec, vocab_size, cache)
    if known is not None:
        return TextSize(known, is_exact=True, look=None)
    if spec.files is not None and is_small(spec):
        return TextSize(len(prepare_corpus(spec, vocab_size, cache).train), is_exact=True, look=None)
    if spec.dataset is None:
        documents = find_documents(spec)
    elif files := fetched_files(spec, cache):
        documents = Documents(spec.title, files, embedded=False, column=COLUMN)
    else:
        return None
    look = look_at(documents)
    per_byte = _tokens_per_byte(spec, vocab_size, look)
    if per_byte is None:
        return None
    ends = look.pieces / max(look.text_bytes, 1)
    return TextSize(round((1 - 2 * HELD_OUT_SHARE) * look.all_bytes * (per_byte + ends)), is_exact=False, look=look)


def _tokens_per_byte(spec: CorpusSpec, vocab_size: int, look: TextLook) -> float | None:
    """What the tokenizer makes of the sample: the given one, or one that learns on the half of it that is not counted."""
    learned, counted = look.sample, look.sample[::2]
    if spec.tokenizer:
        fitting = [known for known in local_tokenizers(spec.tokenizer) if known.fits(vocab_size)]
        if not fitting:
            return None
        file = max(fitting, key=lambda known: known.size).file
        return _count(file, look.sample)
    if not counted:
        return None
    with tempfile.TemporaryDirectory(prefix="archfront-") as folder:
        file = Path(folder) / "tokenizer.json"
        for size in (vocab_size, vocab_size // 2, vocab_size // 4, vocab_size // 8, SMALLEST_VOCABULARY):
            try:
                train_tokenizer(learned, max(size, SMALLEST_VOCABULARY), file)
            except SpecError:  # the sample has too few different words for so many
                continue
            return _count(file, counted)
    return None


def _count(file: Path, texts: tuple[str, ...]) -> float:
    encodings = load_exported(file).encode_batch(list(texts), add_special_tokens=False)
    return sum(len(encoding.ids) for encoding in encodings) / sum(len(text.encode()) for text in texts)
