"""What of a study's text is looked at before anything starts: all of it where it is small, else its beginning."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from trials.corpus.byte_stream import compression_of
from trials.corpus.documents import Documents, find_documents
from trials.corpus.given_tokenizer import local_tokenizers
from trials.corpus.prepare import prepare_corpus, require_corpus
from trials.corpus.tokenizer import load_exported
from trials.corpus.validation_sets import find_validations
from trials.study.corpus_spec import CorpusSpec

SMALL_BYTES = 1 << 20
"""Bytes of files up to which a text is made into blocks at once, in a second: what they lack is then told, too."""
BEGINNING_BYTES = 16 << 20
"""Bytes of text that are read of each larger one."""
SAMPLED_BYTES = 2 << 20
"""Text that tells how many tokens a byte makes."""
USUAL_EXPANSION = 5
"""Times its size that compressed text comes to, about."""
MOST_VOCABULARIES = 4
"""Vocabularies up to which a small text is made into blocks."""


@dataclass(frozen=True, slots=True)
class TextLook:
    """What a text has, or its beginning."""

    documents: int
    """Documents, those without text included."""
    without_text: int
    """Documents that are null, empty or white space alone, and left out."""
    is_whole: bool
    """Whether that is the whole text; else its first `BEGINNING_BYTES`."""
    pieces: int
    text_bytes: int
    """Bytes of the text that was read."""
    all_bytes: int
    """Bytes of the whole text; where it was not read whole, by the share of the files that was."""
    sample: tuple[str, ...]
    """Some of the pieces, spread evenly, at most about `SAMPLED_BYTES` of them."""


def look_at(documents: Documents) -> TextLook:
    """Read a text, or its beginning; raises SpecError as `Documents.documents` does."""
    opened: dict[Path, Callable[[], float]] = {}
    count = without_text = read = 0
    sample = _Sample()
    for document in documents.documents(opened.__setitem__):
        before = read
        for text in document:
            read += len(text.encode())
            sample.add(text)
            if read > BEGINNING_BYTES:
                return TextLook(count + 1, without_text, False, sample.seen, read, _all_bytes(documents, opened, read), tuple(sample.kept))
        count += 1
        without_text += read == before
    return TextLook(count, without_text, True, sample.seen, read, read, tuple(sample.kept))


def _all_bytes(documents: Documents, opened: dict[Path, Callable[[], float]], read: int) -> int:
    """What the whole text comes to, where so much was read of it."""
    sizes = {path: path.stat().st_size for path in documents.files}
    if not opened:  # plain files that are text from end to end
        return sum(sizes.values())
    last = next(reversed(opened))
    through = sum(sizes[path] for path in opened if path != last) + sizes[last] * opened[last]()
    return round(read * sum(sizes.values()) / max(through, 1))


class _Sample:
    """Pieces of a stream of unknown length: every second, fourth, eighth ... as it grows."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.seen = 0
        self._stride, self._held = 1, 0

    def add(self, text: str) -> None:
        """One more piece goes by."""
        if self.seen % self._stride == 0:
            self.kept.append(text)
            self._held += len(text)
            if self._held > SAMPLED_BYTES:
                self.kept, self._stride = self.kept[::2], 2 * self._stride
                self._held = sum(map(len, self.kept))
        self.seen += 1


def without_text_notice(documents: int, without_text: int, *, is_whole: bool = True) -> str | None:
    """The sentence on documents that are left out, in `plan` and in `run`; None where there are none."""
    if not without_text:
        return None
    of = f"{documents:,}" if is_whole else f"the first {documents:,}"
    return f"{without_text:,} of {of} documents of the corpus have no text (null, empty or white space) and are left out"


def require_text(spec: CorpusSpec, vocab_sizes: Collection[int], context_tokens: int) -> None:
    """Raise SpecError for text and vocabularies that cannot be had, in the words of `prepare_corpus`; asks no hub.

    Of a text that is not small only the beginning is read, and whether its splits fill a context shows when it is encoded.
    """
    require_corpus(spec, vocab_sizes)
    for given in local_tokenizers(spec.tokenizer):
        load_exported(given.file)
    if spec.dataset is not None:
        return
    if spec.files is not None:
        if is_small(spec) and len(vocab_sizes) <= MOST_VOCABULARIES:
            for size in vocab_sizes:
                prepare_corpus(spec, size).require_context(context_tokens)
            return
        look_at(find_documents(spec))
    for found in find_validations(spec).values():
        look_at(found)


def is_small(spec: CorpusSpec) -> bool:
    """Whether a text of files is made into blocks in a second, its validation sets included."""
    found = [find_documents(spec), *find_validations(spec).values()]
    return _file_bytes(file for documents in found for file in documents.files) <= SMALL_BYTES


def _file_bytes(files: Iterable[Path]) -> int:
    """Bytes of the files, of compressed ones about what they come to."""
    return sum(file.stat().st_size * (1 if compression_of(file) is None else USUAL_EXPANSION) for file in files)
