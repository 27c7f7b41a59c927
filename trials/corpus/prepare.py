"""Text to token blocks: split, tokenize, encode, and keep by content, so that each (corpus, vocabulary) is encoded once."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from search_space.errors import SpecError
from trials.corpus.blocks import BYTES_PER_TOKEN, META, TOKENIZER, TokenBlocks, write_meta
from trials.corpus.dataset import COLUMN, fetch_dataset, fetched_files, require_dataset_folder
from trials.corpus.documents import Documents, find_documents
from trials.corpus.encoding import PROGRESS, encode_splits
from trials.corpus.given_tokenizer import Given, given_tokenizer, local_tokenizers, read_tokenizer
from trials.corpus.splits import CORPUS_FORMAT, Inventory, known_inventory, take_inventory
from trials.corpus.tokenizer import load_encoder, load_exported, require_vocab_size, train_tokenizer
from trials.corpus.validation_sets import encode_validations, find_validations, known_validations
from trials.study.corpus_spec import CorpusSpec, is_local_path
from trials.study.files import cache_folder, sole
from trials.tasks.encoding import EncodedTask, encoded_tasks, questions_sha256, read_study_tasks

SAMPLE_BYTES = 32 << 20
"""Text of the train split, about, that the merges are learned on."""

logger = logging.getLogger(__name__)


def prepare_corpus(spec: CorpusSpec, vocab_size: int, cache: Path | None = None) -> TokenBlocks:
    """The corpus as token blocks under its tokenizer, or a byte-level BPE of its own; a second call maps the files of the first.

    A call that was killed is continued by the next one; of two at once, one encodes and the other waits. Blocks lie in `cache`
    (default: archfront in $XDG_CACHE_HOME or ~/.cache). Raises SpecError where corpus or vocabulary cannot be used.
    """
    require_vocab_size(vocab_size)
    given = given_tokenizer(spec.tokenizer, vocab_size) if spec.tokenizer else None
    cache = cache_folder(cache)
    documents = _documents(spec, cache)
    inventory = take_inventory(documents, cache)
    folder = _folder(cache, inventory, vocab_size, given)
    if not (folder / META).is_file():
        with sole(folder.with_suffix(".lock")):
            if not (folder / META).is_file():
                _build(folder, documents, inventory, vocab_size, given)
    blocks = TokenBlocks.load(folder)
    validations, begin = encode_validations(spec, folder / TOKENIZER, vocab_size, folder)
    # Equal text under another name shares the folder, so the name is this call's.
    return dataclasses.replace(
        blocks,
        corpus=documents.summary,
        documents=inventory.documents,
        without_text=inventory.without_text,
        validations=validations,
        tasks=_tasks(spec, folder),
        unit_starts={**blocks.unit_starts, **begin},
    )


def known_tokens(spec: CorpusSpec, vocab_size: int, cache: Path) -> int | None:
    """Tokens of the train split where its blocks are in the cache and the files have not changed; None where they are not.

    Reads no text and asks no hub.
    """
    folder = _known_folder(spec, vocab_size, cache)
    return None if folder is None else len(TokenBlocks.load(folder).train)


def known_blocks(spec: CorpusSpec, vocab_size: int, cache: Path | None = None) -> TokenBlocks | None:
    """The blocks as `prepare_corpus` gives them, named validation sets included, where the text is in the cache; else None.

    Tasks have the hash of their questions, which tells trainings apart, and no questions: to encode them takes seconds. Reads no text and
    asks no hub.
    """
    folder = _known_folder(spec, vocab_size, cache_folder(cache))
    validations = None if folder is None else known_validations(spec, vocab_size, folder)
    if folder is None or validations is None:
        return None
    asked = read_study_tasks(spec.tasks)
    tasks = {name: EncodedTask(questions_sha256(questions), ()) for name, questions in asked.items()}
    return dataclasses.replace(TokenBlocks.load(folder), validations=validations, tasks=tasks)


def _tasks(spec: CorpusSpec, folder: Path) -> dict[str, EncodedTask]:
    """The questions that the study names under the folder's tokenizer; before one without a context stands the end of another text."""
    if not spec.tasks:
        return {}
    exported = load_exported(folder / TOKENIZER)

    def encode(text: str) -> list[int]:
        ids: list[int] = exported.encode(text, add_special_tokens=False).ids
        return ids

    return encoded_tasks(spec.tasks, encode, read_tokenizer(folder / TOKENIZER).end_of_text)


def _known_folder(spec: CorpusSpec, vocab_size: int, cache: Path) -> Path | None:
    """Where the whole blocks of a text that has not changed lie; None where they are not there, or that cannot be told."""
    files = () if spec.dataset is None else fetched_files(spec, cache)
    if spec.dataset is not None and not files:
        return None
    documents = find_documents(spec) if spec.dataset is None else Documents(spec.title, files, embedded=False, column=COLUMN)
    inventory = known_inventory(documents, cache)
    if inventory is None or (spec.tokenizer and not local_tokenizers(spec.tokenizer)):
        return None
    given = given_tokenizer(spec.tokenizer, vocab_size) if spec.tokenizer else None
    folder = _folder(cache, inventory, vocab_size, given)
    return folder if (folder / META).is_file() else None


def _folder(cache: Path, inventory: Inventory, vocab_size: int, given: Given | None) -> Path:
    """Where the blocks of a text lie, by its content and its tokenizer's."""
    tokenizer = f"{vocab_size}-{given.sha256[:16]}" if given else f"{vocab_size}"
    return cache / f"{inventory.sha256[:32]}-{tokenizer}-v{CORPUS_FORMAT}"


def corpus_hash(spec: CorpusSpec, cache: Path | None = None) -> str:
    """SHA-256 of the corpus: of its text, its order, where it is cut and how it is split."""
    cache = cache_folder(cache)
    return take_inventory(_documents(spec, cache), cache).sha256


def require_corpus(spec: CorpusSpec, vocab_sizes: Iterable[int]) -> None:
    """Raise SpecError for files that are not there, tasks and vocabularies that cannot be had; reads no text and asks no hub."""
    if spec.files is not None and not any(path.stat().st_size for path in find_documents(spec).files):
        raise SpecError(f"the corpus must hold text, found only empty files for {', '.join(spec.files)}; name others")
    require_dataset_folder(spec)
    find_validations(spec)
    read_study_tasks(spec.tasks)
    local = spec.tokenizer and all(is_local_path(name) or Path(name).exists() for name in spec.tokenizer)
    for size in vocab_sizes:
        require_vocab_size(size)
        if spec.tokenizer and local:
            given_tokenizer(spec.tokenizer, size)


def _documents(spec: CorpusSpec, cache: Path) -> Documents:
    """The files of the corpus; a dataset's are fetched into the cache where they are not there yet."""
    if spec.dataset is None:
        return find_documents(spec)
    return Documents(spec.title, fetch_dataset(spec, cache), embedded=False, column=COLUMN)


def _build(folder: Path, documents: Documents, inventory: Inventory, vocab_size: int, given: Given | None) -> None:
    """Fill a folder beside the final one, continuing what a killed call left there, and rename it when it is complete."""
    partial = folder.with_suffix(".partial")
    partial.mkdir(exist_ok=True)
    try:
        _fill(partial, documents, inventory, vocab_size, given)
    except SpecError:  # nothing there is worth continuing; a kill or a full disk leaves it for the next call
        shutil.rmtree(partial)
        raise
    os.replace(partial, folder)
    (folder / PROGRESS).unlink()


def _fill(folder: Path, documents: Documents, inventory: Inventory, vocab_size: int, given: Given | None) -> None:
    if not (folder / TOKENIZER).is_file():
        draft = folder / f"{TOKENIZER}.draft"
        if given is not None:
            logger.info("%d ids of a tokenizer of %d: %d are padding, which no text has", vocab_size, given.size, vocab_size - given.size)
            shutil.copyfile(given.file, draft)
        else:
            logger.info("learning %d tokens from %s", vocab_size, documents.summary)
            train_tokenizer(_sample(documents, inventory), vocab_size, draft)
        draft.replace(folder / TOKENIZER)
    encoder = load_encoder(folder / TOKENIZER, vocab_size)
    if encode_splits(documents, inventory, encoder, folder) != inventory.facts.text_sha256:
        raise SpecError(f"the corpus {documents.summary} must stay as it is while it is encoded, found it changed; run again")
    np.save(folder / BYTES_PER_TOKEN, encoder.bytes_per_token)
    write_meta(folder, documents.summary, inventory.sha256, vocab_size, inventory.facts)


def _sample(documents: Documents, inventory: Inventory) -> Iterator[str]:
    """About SAMPLE_BYTES of the train split, drawn by content: as good as all of it to learn merges, and bounded in memory."""
    share = SAMPLE_BYTES / inventory.facts.splits["train"].size_bytes
    return (piece.text for piece, split in inventory.assigned(documents) if piece.lot < share and split == "train")
