"""The `tiktoken` encoding that gives a byte-level BPE's ids in about a tenth of the time, or why there is none.

Two encoders for one tokenizer, whose ids are equal where

- both split text into words alike. `WORDS` is the expression of GPT-2 that `ByteLevel` has built in, written so that its part
  without look-ahead runs in one linear automaton; a test compares the classes of every Unicode character. Other expressions are run
  as they stand, by another library than `tokenizers` has, so `load_encoder` compares the ids of a text with every character.
- both join the same parts of a word. `tokenizers` joins the pair that was learned first and `tiktoken` the pair whose joined bytes
  have the lowest rank. Ranks rise in the order of learning, so these differ only where one string could be joined from two different
  pairs. It cannot where each token, made from its own bytes by the merges before it, comes from a learned pair, and these pairs were
  learned in the order of the ranks: merges that cross neither end of a token's bytes run there as they run on these bytes alone.
  This is computed for every token (`_ranks`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import tiktoken

WORDS = r"(?: ?\p{L}+|'(?:[sdmt]|ll|ve|re)| ?\p{N}+| ?[^\s\p{L}\p{N}]+)|\s+(?!\S)|\s+"
WORDS_AND_DIGITS = r"(?:\p{N}| ?\p{L}+|'(?:[sdmt]|ll|ve|re)| ?[^\s\p{L}\p{N}]+)|\s+(?![^\s\p{N}])|\s+"
"""Expression with digits that each stand alone: a word, and the search for what follows white space, end before a digit."""


class NoTwinError(Exception):
    """Why `tiktoken` cannot stand for a tokenizer."""


def twin_of(definition: Mapping[str, Any], end_of_text: str) -> tuple[tiktoken.Encoding, npt.NDArray[np.uint32]]:
    """The encoding, and the id of each of its ranks, for what a tokenizer.json says; raises NoTwinError where there is none."""
    model = definition["model"]
    if definition.get("normalizer"):
        raise NoTwinError("it normalizes the text")
    if any(not token["special"] for token in definition["added_tokens"]):
        raise NoTwinError("it has added tokens that are not special")
    pattern = _pattern(definition["pre_tokenizer"])
    ranks = _ranks(model)
    byte_of = byte_of_character()
    ids = np.empty(len(ranks) + 1, np.uint32)
    added = {token["content"] for token in definition["added_tokens"]}
    for token, id_ in model["vocab"].items():
        rank = ranks.get(_bytes_of(token, byte_of))
        if rank is not None:
            ids[rank] = id_
        elif model.get("ignore_merges") and token not in added:
            raise NoTwinError(f"no merge makes its token {token!r}")
    ids[-1] = next(token["id"] for token in definition["added_tokens"] if token["content"] == end_of_text)
    fast = tiktoken.Encoding("twin", pat_str=pattern, mergeable_ranks=ranks, special_tokens={end_of_text: len(ranks)})
    return fast, ids


def byte_of_character() -> dict[str, int]:
    """GPT-2's spelling of bytes: a printable Latin-1 byte is itself, the others follow from U+0100 in order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + place): byte for place, byte in enumerate(others)}


def _pattern(splitter: Mapping[str, Any]) -> str:
    """The expression that splits as the tokenizer's first step does."""
    steps = splitter["pretokenizers"] if splitter["type"] == "Sequence" else [splitter]
    *before, last = steps
    if not before and last.get("use_regex", True):
        return WORDS
    if len(before) == 1:
        (step,) = before
        if step["type"] == "Digits" and step["individual_digits"] and last.get("use_regex", True):
            return WORDS_AND_DIGITS
        whole = step["type"] == "Split" and step["behavior"] == "Isolated" and not step["invert"]
        if whole and "Regex" in step["pattern"] and not last.get("use_regex", True):
            return str(step["pattern"]["Regex"])
    raise NoTwinError(f"it splits text in another way ({', '.join(step['type'] for step in steps)})")


def _ranks(model: Mapping[str, Any]) -> dict[bytes, int]:
    """A rank for each byte and each merged token, in the order of learning; raises NoTwinError where joining by ranks is another thing."""
    byte_of = byte_of_character()
    ranks = {bytes([byte]): byte for byte in range(256)}
    places: dict[tuple[bytes, bytes], int] = {}
    for place, merge in enumerate(model["merges"]):
        left, right = (_bytes_of(part, byte_of) for part in (merge.split(" ") if isinstance(merge, str) else merge))
        places.setdefault((left, right), place)
        ranks.setdefault(left + right, len(ranks))
    last = -1
    for token, rank in ranks.items():
        if len(token) == 1:
            continue
        place = places.get(tuple(_joined_below(token, rank, ranks)), -1)  # type: ignore[arg-type]  # a pair, or it is not there
        if place <= last:
            raise NoTwinError(f"its merges do not make {token!r} in the order of its tokens")
        last = place
    return ranks


def _joined_below(token: bytes, limit: int, ranks: Mapping[bytes, int]) -> Sequence[bytes]:
    """What the merges of a lower rank than the limit make of a token's bytes."""
    parts = [token[place : place + 1] for place in range(len(token))]
    while len(parts) > 1:
        joined = [ranks.get(left + right, limit) for left, right in pairwise(parts)]
        lowest = min(joined)
        if lowest >= limit:
            break
        place = joined.index(lowest)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts


def _bytes_of(token: str, byte_of: Mapping[str, int]) -> bytes:
    """The bytes that a token spells; none where it is not spelled in bytes."""
    return bytes(byte_of[character] for character in token) if all(character in byte_of for character in token) else b""
