"""What a corpus amounts to and which of its pieces belong to train, validation and test: one reading, remembered."""

from __future__ import annotations

import base64
import hashlib
import time
import zlib
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.records.files import write_whole
from analysis.records.json_text import read_json
from analysis.records.json_writer import json_of
from search_space.errors import SpecError
from trials.corpus.blocks import SPLITS
from trials.corpus.documents import Documents
from trials.corpus.near_copies import Sketches
from trials.corpus.split_choice import LEAST_DOCUMENTS, PieceReading, SplitPlaces, choose
from trials.corpus.split_facts import SplitContent, SplitFacts

CORPUS_FORMAT = 2
"""Raised when documents, pieces, splits or blocks are made in another way, so that no old cache is taken for a new one."""
BEGINS = np.uint8(4)
"""Flag of a piece with which a unit begins."""
MOST_PIECES = 1 << 24
"""Pieces whose hashes and signatures are held to be compared, 0.6 KiB each, up to 1.7 where nearly all are near copies (docs/findings.md,
2026-11-29: the tokens of a text before it is encoded, and the memory of its pieces)."""
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
    is_first: bool
    """Whether a document begins with it."""

    @property
    def rank(self) -> int:
        """Place of the piece in the order of splitting."""
        return rank_of(self.digest)

    @property
    def lot(self) -> float:
        """A number from 0 to 1, independent of the rank, for drawing samples."""
        return int.from_bytes(self.digest[8:16], "big") / 2**64


@dataclass(frozen=True)
class Inventory:
    """What one reading of the corpus found."""

    sha256: str
    """SHA-256 of the pieces' digests, one after the other, equal where text, order and cuts are, if each piece is in the split that its own
    digest gives it, as before there were splits by document; else a hash of that and of where each piece is."""
    facts: SplitFacts
    """How the pieces are split."""
    packed: str
    """A byte for each piece in order, compressed, in base 64: the place of its split in SPLITS, and BEGINS where a unit does."""
    documents: int
    """Documents, those without text included."""
    without_text: int
    """Documents that are null, empty or white space alone, and left out."""

    @classmethod
    def of(cls, values: dict[str, Any]) -> Inventory:
        """The reverse of `asdict`; raises TypeError, KeyError or AttributeError for anything else."""
        return cls(**{**values, "facts": SplitFacts.of(values["facts"])})

    @cached_property
    def _flags(self) -> SplitPlaces:
        return np.frombuffer(zlib.decompress(base64.b64decode(self.packed)), np.uint8)

    def assigned(self, documents: Documents) -> Iterator[tuple[TextPiece, str]]:
        """Every piece with its split's name; a piece beyond those that were counted, which the text has gained since, is of train."""
        names = (SPLITS[place] for place in self._flags & ~BEGINS)
        return zip(read_pieces(documents), chain(names, repeat("train")), strict=False)

    def unit_begins(self, split: str) -> npt.NDArray[np.bool_]:
        """Whether each of the split's pieces, in order, begins a unit; [pieces of the split]."""
        inside = self._flags[self._flags & ~BEGINS == SPLITS.index(split)]
        begins: npt.NDArray[np.bool_] = (inside & BEGINS) > 0
        return begins


def rank_of(digest: bytes) -> int:
    """Place of what has this digest in the order of splitting."""
    return int.from_bytes(digest[:8], "big")


def read_pieces(documents: Documents) -> Iterator[TextPiece]:
    """Every piece of the corpus, hashed."""
    return chain.from_iterable(read_documents(documents))


def read_documents(documents: Documents) -> Iterator[Iterator[TextPiece]]:
    """The hashed pieces of each document, to be taken before the next document's; none of one without text."""
    return map(_hashed, documents.documents())


def _hashed(document: Iterator[str]) -> Iterator[TextPiece]:
    is_first = True
    for text in document:
        data = text.encode()
        yield TextPiece(text, len(data), hashlib.sha256(data).digest(), is_first)
        is_first = False


def take_inventory(documents: Documents, cache: Path) -> Inventory:
    """Read the corpus once; while no file's name, size, inode or times change, later calls answer from the cache.

    Raises SpecError where there are fewer than three different pieces.
    """
    remembered = known_inventory(documents, cache)
    if remembered is not None:
        return remembered
    settled = time.time() - SETTLED_SECONDS
    inventory = _read(documents)
    if all(max(path.stat().st_mtime, path.stat().st_ctime) < settled for path in documents.files):
        write_whole(_note(documents, cache), json_of(asdict(inventory)).encode())
    return inventory


def known_inventory(documents: Documents, cache: Path) -> Inventory | None:
    """What the corpus amounts to without reading it; None where it was not read yet, or has changed."""
    note = _note(documents, cache)
    if note.is_file():
        with suppress(SpecError, TypeError, KeyError, AttributeError):  # a damaged note is no note
            return Inventory.of(read_json(note, "what a corpus amounts to", "delete it"))
    return None


def _note(documents: Documents, cache: Path) -> Path:
    return cache / "inventories" / f"{fingerprint(documents)}.json"


def _read(documents: Documents) -> Inventory:
    total, own = hashlib.sha256(), hashlib.sha256()
    ranks, sizes, of_document, document_ranks = array("Q"), array("Q"), array("q"), array("Q")
    whole, sections = Sketches(), Sketches()
    count = without_text = 0
    for document in read_documents(documents):
        before = len(ranks)
        for piece in document:
            data = piece.text.encode()
            if piece.is_first:
                if ranks:
                    document_ranks.append(rank_of(own.digest()))
                own = hashlib.sha256()
                whole.begin()
            own.update(data)
            whole.add(data)
            if len(document_ranks) < LEAST_DOCUMENTS:  # else there are enough to split by them
                sections.begin()
                sections.add(data)
            total.update(piece.digest)
            ranks.append(piece.rank)
            sizes.append(piece.size_bytes)
            of_document.append(len(document_ranks))
        count += 1
        without_text += len(ranks) == before
        if len(ranks) > MOST_PIECES:
            raise SpecError(
                f"the corpus must have at most {MOST_PIECES:,} pieces of text (documents, or sections of long ones), found more; name "
                "fewer files, or put several short documents into one"
            )
    if ranks:
        document_ranks.append(rank_of(own.digest()))
    ranked, sized, ranked_documents = (np.frombuffer(found, np.uint64) for found in (ranks, sizes, document_ranks))
    reading = PieceReading(ranked, sized, ranked_documents, np.frombuffer(of_document, np.int64))
    choice = choose(reading, whole, sections)
    facts = SplitFacts(
        text_sha256=total.hexdigest(),
        unit=choice.unit,
        near_copies=choice.near_copies,
        splits={name: _content(reading, choice.places == place) for place, name in enumerate(SPLITS)},
    )
    sha256 = total.hexdigest() if choice.is_by_piece else hashlib.sha256(total.digest() + choice.places.tobytes()).hexdigest()
    flags = choice.places + BEGINS * choice.begins
    return Inventory(sha256, facts, base64.b64encode(zlib.compress(flags.tobytes())).decode(), count, without_text)


def _content(reading: PieceReading, inside: npt.NDArray[np.bool_]) -> SplitContent:
    """What the pieces inside amount to."""
    return SplitContent(
        documents=len(np.unique(reading.documents[inside])),
        size_bytes=int(reading.sizes[inside].sum()),
        sha256=hashlib.sha256(reading.ranks[inside].astype("<u8").tobytes()).hexdigest(),
    )


def fingerprint(documents: Documents) -> str:
    """A hash of what tells, without reading, that the files are those of last time."""
    statuses = [(str(path.resolve()), path.stat()) for path in documents.files]
    files = [(name, status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns) for name, status in statuses]
    return hashlib.sha256(json_of([CORPUS_FORMAT, documents.embedded, documents.column, files]).encode()).hexdigest()
