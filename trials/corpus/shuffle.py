"""A random order of any number of things, computed where it is asked for and never stored."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

ROUNDS = 4


def permute(places: Words, size: int, seed: int, epochs: Words) -> Words:
    """Where each place of 0..size-1 goes in the permutation that belongs to (seed, its epoch); both arrays of one length.

    A generalized Feistel network over pairs of residues, with cycle walking for the few values past the end (Black and Rogaway,
    "Ciphers with arbitrary finite domains", CT-RSA 2002); its rounds are SplitMix64 (Steele et al., OOPSLA 2014).
    """
    rows = np.uint64(max(int(np.ceil(np.sqrt(size))), 1))
    columns = np.uint64(-(-size // int(rows)))
    keys = _keys(seed, epochs)
    places = _feistel(places, keys, rows, columns)
    while (outside := places >= size).any():
        places[outside] = _feistel(places[outside], keys[outside], rows, columns)
    return places


def draw(size: int, seed: int, epochs: Words) -> Words:
    """One of 0..size-1 for each epoch of a seed."""
    return _mix(~_keys(seed, epochs)) % np.uint64(size)


def _keys(seed: int, epochs: Words) -> Words:
    return _mix(epochs ^ _mix(np.full_like(epochs, seed)))


def _feistel(places: Words, keys: Words, rows: np.uint64, columns: np.uint64) -> Words:
    """A bijection of 0..rows*columns-1."""
    left, right = places // columns, places % columns
    for number, word in enumerate(_mix(keys + np.arange(ROUNDS, dtype=np.uint64)[:, None])):
        if number % 2:
            right = (right + _mix(left ^ word) % columns) % columns
        else:
            left = (left + _mix(right ^ word) % rows) % rows
    return left * columns + right


def _mix(words: Words) -> Words:
    """SplitMix64's next output for each word; arrays wrap around silently, as it wants."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
