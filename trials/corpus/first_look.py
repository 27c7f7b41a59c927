"""What of a study's text is looked at before anything starts: all of it where it is small, else its beginning."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

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
MOST_VOCABULARIES = 4
"""Vocabularies up to which a small text is made into blocks."""


def require_text(spec: CorpusSpec, vocab_sizes: Collection[int], context_tokens: int) -> None:
    """Raise SpecError for text and vocabularies that cannot be had, in the words of `prepare_corpus`; asks no hub.

    Of a text that is not small only the beginning is read, and whether its splits fill a context shows when it is encoded.
    """
    require_corpus(spec, vocab_sizes)
    for given in local_tokenizers(spec.tokenizer):
        load_exported(given.file)
    if spec.dataset is not None:
        return
    documents, validations = find_documents(spec), find_validations(spec)
    if spec.files is not None:
        all_files = [*documents.files, *(file for found in validations.values() for file in found.files)]
        if _file_bytes(all_files) <= SMALL_BYTES and len(vocab_sizes) <= MOST_VOCABULARIES:
            for size in vocab_sizes:
                prepare_corpus(spec, size).require_context(context_tokens)
            return
        _read_beginning(documents)
    for found in validations.values():
        _read_beginning(found)


def _file_bytes(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _read_beginning(documents: Documents) -> None:
    read = 0
    for text in documents.pieces():
        read += len(text)
        if read > BEGINNING_BYTES:
            return
