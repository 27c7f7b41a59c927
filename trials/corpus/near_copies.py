"""Which texts are near copies of one another: MinHash signatures (Broder 1997) of the library rensa, compared where a band agrees.

A text is the set of its runs of 24 letters or digits, about five words, whatever stands between them and however they are
capitalised; a reformatted copy is the same text. Two are near copies where they share seven tenths of what either has (Jaccard), as is
usual for web text (Penedo et al. 2023, RefinedWeb, appendix G.3.1, asks for about four fifths of five-word runs).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import rensa

from analysis.statistics.arrays import in_pieces

SLOTS, BAND = 64, 4
"""Numbers of a signature, and how many of them make a band: of two texts that share 0.7, 99 % agree in one of the 16 bands."""
LEAST_SHARED = 0.7
"""Share of slots that agree, an estimate of the Jaccard index with a standard error of 0.06, from which two are near copies."""
RUN = 24
"""Letters or digits of a run, each byte of a character beyond ASCII counted."""
LOOKED_AT_BYTES = 1 << 20
"""Beginning of a text that decides where it is longer."""
BATCH_BYTES = 1 << 18
"""Text that is hashed at a time."""
SKETCH_SEED = 20_260_000
RUN_FACTOR, RUN_MIX = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9
"""Odd numbers whose bits look random: of the polynomial in a run's bytes, and of what spreads it over 64 bits."""

Signatures = npt.NDArray[np.uint16]
"""Array [texts, SLOTS]: the low 16 bits of each slot."""
Groups = npt.NDArray[np.int64]
"""Array [texts]: a number for each text, the same for near copies of one another."""

_KEPT = np.array([byte >= 128 or chr(byte).isalnum() for byte in range(256)])
_SMALL = np.frombuffer(bytes(range(256)).lower(), np.uint8)


class Sketches:
    """The signatures of texts that come one after the other, in 128 bytes each."""

    def __init__(self) -> None:
        self._done: list[Signatures] = []
        self._waiting: list[bytes] = []
        self._lengths: list[int] = []
        self._held_bytes = 0

    def begin(self) -> None:
        """Let a new text begin."""
        if self._held_bytes >= BATCH_BYTES:
            self._hash()
        self._lengths.append(0)

    def add(self, data: bytes) -> None:
        """Add UTF-8 to the text that began last."""
        looked_at = data[: LOOKED_AT_BYTES - self._lengths[-1]]
        self._waiting.append(looked_at)
        self._lengths[-1] += len(looked_at)
        self._held_bytes += len(looked_at)

    def signatures(self) -> tuple[Signatures, npt.NDArray[np.bool_]]:
        """Signatures of all texts, and which texts have one: not those too short for a run."""
        self._hash()
        found: Signatures = np.concatenate([np.empty((0, SLOTS), np.uint16), *self._done])
        has_one: npt.NDArray[np.bool_] = np.any(found, axis=1)
        return found, has_one

    def _hash(self) -> None:
        if self._lengths:
            self._done.append(_signatures(b"".join(self._waiting), self._lengths))
        self._waiting, self._lengths, self._held_bytes = [], [], 0


def group_near_copies(signatures: Signatures, has_one: npt.NDArray[np.bool_]) -> Groups:
    """Groups of texts that near copies connect; a text without a signature is alone in its own."""
    texts = np.flatnonzero(has_one)
    compared = signatures[texts]
    pairs = [np.empty((2, 0), np.int64)]
    for start in range(0, SLOTS, BAND):
        keys = np.ascontiguousarray(compared[:, start : start + BAND]).view(np.uint64)[:, 0]
        order = np.argsort(keys, kind="stable")
        begins = np.r_[True, keys[order][1:] != keys[order][:-1]][: len(order)]
        first = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
        before = order[np.flatnonzero(~begins) - 1]
        pairs += [_alike(compared, order[~begins], others) for others in (first[~begins], before)]
    one, other = np.concatenate(pairs, axis=1)
    if not len(one):
        return np.arange(len(signatures))
    from scipy.sparse import coo_array  # most texts have no near copies, and do without
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(one), np.bool_), (texts[one], texts[other])), shape=(len(signatures),) * 2)
    groups: Groups = connected_components(graph, directed=False)[1].astype(np.int64)
    return groups


def _alike(signatures: Signatures, ones: Groups, others: Groups) -> Groups:
    """Pairs that agree in enough slots, [2, pairs]."""
    found = [np.empty((2, 0), np.int64)]
    for rows in in_pieces(np.broadcast_to(ones[:, None], (len(ones), SLOTS))):
        agree = (signatures[ones[rows]] == signatures[others[rows]]).mean(axis=1) >= LEAST_SHARED
        found.append(np.stack([ones[rows][agree], others[rows][agree]]))
    return np.concatenate(found, axis=1)


def _signatures(data: bytes, lengths: list[int]) -> Signatures:
    """Signatures of texts of these lengths that stand one after the other; zeros for one without a run."""
    raw = np.frombuffer(data, np.uint8)
    kept = _KEPT[raw]
    letters = _SMALL[raw[kept]].astype(np.uint64)
    ends = np.concatenate([[0], np.cumsum(kept)])[np.cumsum(lengths)]
    counts = np.diff(ends, prepend=0)
    hashes = _run_hashes(letters)
    hashes = hashes[(np.arange(len(letters)) + RUN <= np.repeat(ends, counts))[: len(hashes)]]
    rows = np.concatenate([[0], np.cumsum(np.maximum(counts - RUN + 1, 0))]).astype(np.uint64)
    slots = np.array(rensa.RMinHash.digest_matrix_from_flat_token_hashes(hashes, rows, SLOTS, SKETCH_SEED).to_rows(), np.uint32)
    found = slots.reshape(len(lengths), SLOTS).astype(np.uint16)
    found[[int(low) == int(high) for low, high in pairwise(rows)]] = 0
    return found


def _run_hashes(letters: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A hash of each run of RUN letters, by the run's place: a polynomial of 8 letters, then of two such, then of three."""
    hashes = letters + np.uint64(1)
    for width in (1, 2, 4):
        hashes = hashes[:-width] * _power(width) + hashes[width:]
    hashes = (hashes[:-16] * _power(8) + hashes[8:-8]) * _power(8) + hashes[16:]
    hashes ^= hashes >> np.uint64(32)
    hashes *= np.uint64(RUN_MIX)
    return hashes


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(RUN_FACTOR, exponent, 1 << 64))
