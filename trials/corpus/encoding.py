"""Pieces of text to one file of ids per split: in parallel, in order, in bounded memory, continued where a killed call left off."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from analysis.records.files import write_whole
from analysis.records.json_text import read_json
from analysis.records.json_writer import json_of
from trials.corpus.blocks import SPLITS, Ids, Places, id_type, split_file, unit_file
from trials.corpus.documents import Documents
from trials.corpus.splits import Inventory, TextPiece
from trials.corpus.tokenizer import Encoder

BUNDLE_BYTES = 1 << 20
"""Text, about, that one thread encodes at a time."""
CHECKPOINT_BUNDLES = 32
"""After so many bundles what is written is made safe; at most this much is done twice after a kill."""
CHECKED_CHARACTERS = 1000
"""Characters of each bundle that the exported tokenizer encodes too."""

PROGRESS = "progress.json"

logger = logging.getLogger(__name__)

In = TypeVar("In")
Out = TypeVar("Out")

Assigned = tuple[TextPiece, str]
"""A piece and its split."""
Bundle = list[Assigned]


@dataclass(frozen=True)
class EncodingProgress:
    """What is safely written."""

    pieces: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))


def encode_splits(documents: Documents, inventory: Inventory, encoder: Encoder, folder: Path) -> str:
    """Write every split's file of ids into the folder; returns the hash of the text that was read, for the caller to compare."""
    kind = id_type(len(encoder.bytes_per_token))
    progress = _resume(folder, np.dtype(kind).itemsize)
    total = hashlib.sha256()
    bundles = _bundles(_hashed(inventory.assigned(documents), total), progress.pieces)

    def encode(bundle: Bundle) -> tuple[int, dict[str, Ids]]:
        return len(bundle), _encode_bundle(bundle, encoder, kind)

    for number, (pieces, ids) in enumerate(_in_order(encode, bundles), 1):
        for split in SPLITS:
            with (folder / split_file(split)).open("ab") as file:
                file.write(ids[split].tobytes())
        tokens = {split: progress.tokens[split] + len(ids[split]) for split in SPLITS}
        progress = EncodingProgress(progress.pieces + pieces, tokens)
        if number % CHECKPOINT_BUNDLES == 0:
            _save(progress, folder)
            logger.info("encoded %.1f million tokens of %s", sum(tokens.values()) / 1e6, documents.summary)
    _save(progress, folder)
    ends = encoder.bytes_per_token == 0
    for split in SPLITS[1:]:
        if (folder / split_file(split)).stat().st_size:
            np.save(
                folder / unit_file(split),
                _unit_starts(np.memmap(folder / split_file(split), kind, "r"), ends, inventory.unit_begins(split)),
            )
    return total.hexdigest()


def _unit_starts(ids: Ids, is_end: npt.NDArray[np.bool_], begins: npt.NDArray[np.bool_]) -> Places:
    """Places of the first tokens of the pieces that begin a unit; `is_end` says of each id whether it ends a piece."""
    starts = np.concatenate([[0], np.flatnonzero(is_end[ids]) + 1])[: len(begins)]
    found: Places = starts[begins[: len(starts)]].astype(np.int64)
    return found


def _hashed(pieces: Iterable[Assigned], total: hashlib._Hash) -> Iterator[Assigned]:
    """Hands on the pieces, each added to the hash as it passes."""
    for piece, split in pieces:
        total.update(piece.digest)
        yield piece, split


def _bundles(pieces: Iterator[Assigned], done: int) -> Iterator[Bundle]:
    """Pieces after the first `done`, which are read all the same, in bundles of about BUNDLE_BYTES."""
    bundle: Bundle = []
    size_bytes = 0
    for piece, split in islice(pieces, done, None):
        bundle.append((piece, split))
        size_bytes += piece.size_bytes
        if size_bytes >= BUNDLE_BYTES:
            yield bundle
            bundle, size_bytes = [], 0
    if bundle:
        yield bundle


def _encode_bundle(bundle: Bundle, encoder: Encoder, kind: type[np.uint16] | type[np.uint32]) -> dict[str, Ids]:
    checked = bundle[0][0].text[:CHECKED_CHARACTERS]
    if encoder.encode([checked])[:-1].tolist() != encoder.exported.encode(checked, add_special_tokens=False).ids:
        raise RuntimeError(f"tiktoken and tokenizers disagree on {checked!r}; report it with their versions")
    texts: dict[str, list[str]] = {split: [] for split in SPLITS}
    for piece, split in bundle:
        texts[split].append(piece.text)
    ids: dict[str, Ids] = {}
    for split in SPLITS:
        ids[split] = encoder.encode(texts[split]).astype(kind)
    return ids


def _in_order(work: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """The work's results in the order of the items, on every processor, with few items at a time in memory."""
    threads = os.cpu_count() or 1
    waiting: deque[Future[Out]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _resume(folder: Path, id_bytes: int) -> EncodingProgress:
    """What an earlier call left, its files cut back to what was safely written; or a fresh start."""
    progress = EncodingProgress()
    if (folder / PROGRESS).is_file():
        progress = EncodingProgress(**read_json(folder / PROGRESS, "how far an encoding is", f"delete {folder}, and it begins anew"))
    for split, tokens in progress.tokens.items():
        (folder / split_file(split)).touch()
        os.truncate(folder / split_file(split), tokens * id_bytes)
    return progress


def _save(progress: EncodingProgress, folder: Path) -> None:
    for split in SPLITS:
        with (folder / split_file(split)).open("rb") as file:
            os.fsync(file.fileno())
    write_whole(folder / PROGRESS, json_of(asdict(progress)).encode())
