"""Which pieces of a corpus are held out: arithmetic over hashes and sizes, without the text.

A unit is a document where there are at least 200, else a section, and near copies stand together. A unit's place is decided by the
SHA-256 of its text: sorted by it, the first units that make up 5 % of the bytes are the test split, the next 5 % the validation split.
So neither the order of the files nor the vocabulary moves a unit, and every split has at least one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search_space.errors import SpecError
from trials.corpus.near_copies import Groups, Sketches, group_near_copies
from trials.corpus.split_facts import Unit

LEAST_DOCUMENTS = 200
"""Documents from which on no document is cut in two by a split: each held-out split then has ten, about."""
HELD_OUT_SHARE = 0.05
"""Share of the bytes for validation and for test each; a unit that crosses the line goes in."""
TRAIN, VALIDATION, TEST = 0, 1, 2
"""Places in `trials.corpus.blocks.SPLITS`."""

Ranks = npt.NDArray[np.uint64]
SplitPlaces = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PieceReading:
    """What was read of each piece."""

    ranks: Ranks
    """[pieces] The first 64 bits of a piece's SHA-256."""
    sizes: Ranks
    """[pieces] Bytes."""
    document_ranks: Ranks
    """[documents] The same of whole documents."""
    documents: Groups
    """[pieces] Number of each piece's document."""


@dataclass(frozen=True, eq=False)
class SplitChoice:
    """Where each piece belongs."""

    places: SplitPlaces
    """[pieces] TRAIN, VALIDATION or TEST."""
    begins: npt.NDArray[np.bool_]
    """[pieces] Whether a unit begins with it."""
    unit: Unit
    """What is in one split as a whole."""
    near_copies: int
    """Units that have a near copy."""
    is_by_piece: bool
    """Whether each piece is where its own rank alone puts it: how corpora were split before there were splits by document."""


def choose(reading: PieceReading, whole: Sketches, sections: Sketches) -> SplitChoice:
    """The splits; `sections` need not have those of a corpus of many documents.

    Raises SpecError where there are fewer than three different pieces.
    """
    each = np.arange(len(reading.ranks))
    before = _cut(reading.ranks, reading.sizes, each)
    if before is None:
        found = len(np.unique(reading.ranks))
        raise SpecError(f"the corpus must hold 3 different pieces of text (documents, or sections of 4 KiB), found {found}; add text")
    count = len(reading.document_ranks)
    if count >= LEAST_DOCUMENTS:
        groups = group_near_copies(*whole.signatures())
        sizes = np.bincount(reading.documents, weights=reading.sizes, minlength=count).astype(np.float64)
        by_document = _cut(reading.document_ranks, sizes, groups, must_fit=True)
        if by_document is not None:
            begins = np.diff(reading.documents, prepend=-1) > 0
            return _choice(by_document[reading.documents], before, begins, "document", groups)
    groups = group_near_copies(*sections.signatures()) if count <= LEAST_DOCUMENTS else each
    places = _cut(reading.ranks, reading.sizes, groups)
    return _choice(before if places is None else places, before, np.ones(len(each), np.bool_), "section", groups)


def _choice(places: SplitPlaces, before: SplitPlaces, begins: npt.NDArray[np.bool_], unit: Unit, groups: Groups) -> SplitChoice:
    _, of_unit, members = np.unique(groups, return_inverse=True, return_counts=True)
    return SplitChoice(places, begins, unit, int((members[of_unit] > 1).sum()), np.array_equal(places, before))


def _cut(ranks: Ranks, sizes: npt.NDArray[np.float64] | Ranks, groups: Groups, *, must_fit: bool = False) -> SplitPlaces | None:
    """Where each unit belongs, whole groups together; None where that leaves fewer than three groups.

    A group takes the least of its ranks. One that alone would fill a held-out split is trained on, where the others suffice for both; where
    they do not it may be held out, or, with `must_fit`, the answer is None.
    """
    least = np.full(int(groups.max(initial=-1)) + 1, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, groups, ranks)
    different, places = np.unique(least[groups], return_inverse=True)
    if len(different) < 3:
        return None
    amounts = np.bincount(places, weights=sizes)
    wanted = HELD_OUT_SHARE * amounts.sum()
    fit = np.flatnonzero(amounts <= wanted)
    if amounts[fit].sum() < 3 * wanted or len(fit) < 3:
        if must_fit:
            return None
        fit = np.arange(len(different))
    ends = np.cumsum(amounts[fit])
    test = min(int(np.searchsorted(ends, wanted)) + 1, len(fit) - 2)
    validation = min(max(int(np.searchsorted(ends, 2 * wanted)), test) + 1, len(fit) - 1)
    flags = np.full(len(different), TRAIN, np.uint8)
    flags[fit[:test]], flags[fit[test:validation]] = TEST, VALIDATION
    found: SplitPlaces = flags[places]
    return found
