"""What a corpus amounts to and which of its pieces belong to train, validation and test: one reading, remembered.

A piece's place is decided by the SHA-256 of its bytes: sorted by it, the first pieces that make up 5 % of the bytes are the test
split, the next 5 % the validation split. So neither the order of the files nor the vocabulary moves a piece, equal pieces share a
split, and every split has at least one.
"""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from analysis.records.files import write_whole
from analysis.records.json_text import read_json
from analysis.records.json_writer import json_of
from search_space.errors import SpecError
from trials.corpus.documents import Documents

CORPUS_FORMAT = 1
"""Raised when documents, pieces, splits or blocks are made in another way, so that no old cache is taken for a new one."""
HELD_OUT_SHARE = 0.05
"""Share of the bytes for validation and for test each; a piece that crosses the line goes in."""
SETTLED_SECONDS = 2.0
"""A file changed less long ago could change once more without its time telling."""


@dataclass(frozen=True)
class TextPiece:
    """One piece of text with what its hash decides."""

    text: str
    size_bytes: int
    """Bytes of the text as UTF-8."""
    digest: bytes
    """SHA-256 of its UTF-8 bytes."""

    @property
    def rank(self) -> int:
        """Place of the piece in the order of splitting."""
        return int.from_bytes(self.digest[:8], "big")

    @property
    def lot(self) -> float:
        """A number from 0 to 1, independent of the rank, for drawing samples."""
        return int.from_bytes(self.digest[8:16], "big") / 2**64


@dataclass(frozen=True)
class Inventory:
    """What one reading of the corpus found."""

    sha256: str
    """SHA-256 of the pieces' digests, one after the other: equal where text, order and cuts are."""
    test_below: int
    """Pieces of a lower rank are the test split."""
    validation_below: int
    """Pieces of a lower rank that are not the test split are the validation split; the rest is train."""
    train_bytes: int
    """Bytes of the train split's text."""

    def split_of(self, piece: TextPiece) -> str:
        """The name of the split that the piece belongs to."""
        if piece.rank < self.test_below:
            return "test"
        return "validation" if piece.rank < self.validation_below else "train"


def read_pieces(documents: Documents) -> Iterator[TextPiece]:
    """Every piece of the corpus, hashed."""
    for text in documents.pieces():
        data = text.encode()
        yield TextPiece(text, len(data), hashlib.sha256(data).digest())


def take_inventory(documents: Documents, cache: Path) -> Inventory:
    """Read the corpus once; while no file's name, size, inode or times change, later calls answer from the cache.

    Raises SpecError where there are fewer than three different pieces.
    """
    remembered = cache / "inventories" / f"{fingerprint(documents)}.json"
    if remembered.is_file():
        with suppress(SpecError, TypeError):  # a damaged note is no note
            return Inventory(**read_json(remembered, "what a corpus amounts to", "delete it"))
    settled = time.time() - SETTLED_SECONDS
    inventory = _read(documents)
    if all(max(path.stat().st_mtime, path.stat().st_ctime) < settled for path in documents.files):
        write_whole(remembered, json_of(asdict(inventory)).encode())
    return inventory


def _read(documents: Documents) -> Inventory:
    total, ranks, lengths = hashlib.sha256(), array("Q"), array("Q")
    for piece in read_pieces(documents):
        total.update(piece.digest)
        ranks.append(piece.rank)
        lengths.append(piece.size_bytes)
    test_below, validation_below, train_bytes = _cuts(ranks, lengths)
    return Inventory(total.hexdigest(), test_below, validation_below, train_bytes)


def _cuts(ranks: array[int], lengths: array[int]) -> tuple[int, int, int]:
    """Ranks below which pieces are test, and validation; and the bytes that remain for train."""
    different, group = np.unique(np.frombuffer(ranks, np.uint64), return_inverse=True)
    if len(different) < 3:
        raise SpecError(
            f"the corpus must hold 3 different pieces of text (documents, or sections of 4 KiB), found {len(different)}; add text"
        )
    ends = np.cumsum(np.bincount(group, weights=np.frombuffer(lengths, np.uint64)))
    test = min(int(np.searchsorted(ends, HELD_OUT_SHARE * ends[-1])) + 1, len(different) - 2)
    validation = min(max(int(np.searchsorted(ends, 2 * HELD_OUT_SHARE * ends[-1])), test) + 1, len(different) - 1)
    return int(different[test]), int(different[validation]), int(ends[-1] - ends[validation - 1])


def fingerprint(documents: Documents) -> str:
    """A hash of what tells, without reading, that the files are those of last time."""
    statuses = [(str(path.resolve()), path.stat()) for path in documents.files]
    files = [(name, status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns) for name, status in statuses]
    return hashlib.sha256(json_of([CORPUS_FORMAT, documents.embedded, documents.column, files]).encode()).hexdigest()
