"""Byte-level BPE: trained by `tokenizers`, saved as the tokenizer.json that Hugging Face loads, encoded by `tiktoken`.

Two encoders for one tokenizer, because `tiktoken` needs about a tenth of the time. Their ids are equal:

- Both split text into words by the same expression: `WORDS` is the one of GPT-2 that `ByteLevel` has built in, written so that its
  part without look-ahead runs in one linear automaton. A test compares the classes of every Unicode character.
- Inside a word, `tokenizers` merges the pair that was learned first and `tiktoken` the pair whose joined bytes have the lowest id.
  Ids rise in the order of learning, so these differ only where one string could be joined from two different pairs. It cannot:
  merges that cross neither end of a token's bytes run there as they run on these bytes alone, so what stands there just before the
  token is learned or applied is always the same pair. `load_encoder` checks that every token has an id of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tiktoken
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from search_space.errors import SpecError

END_OF_TEXT = "<|endoftext|>"
SMALLEST_VOCABULARY = 257
"""Every byte and the end of text."""
WORDS = r"(?: ?\p{L}+|'(?:[sdmt]|ll|ve|re)| ?\p{N}+| ?[^\s\p{L}\p{N}]+)|\s+(?!\S)|\s+"


@dataclass(frozen=True)
class Encoder:
    """A trained tokenizer, ready to encode."""

    fast: Any
    """tiktoken.Encoding, which has no types here."""
    exported: Tokenizer
    """The same as loaded from tokenizer.json; slow, the one that counts."""
    end_of_text: int
    bytes_per_token: npt.NDArray[np.int32]
    """[vocab_size] Bytes of text that a token stands for; 0 for the end of text."""

    def encode(self, pieces: Sequence[str]) -> npt.NDArray[np.uint32]:
        """Ids of the pieces one after the other, each followed by the end of text; special tokens' names in the text are text."""
        if any(END_OF_TEXT in text for text in pieces):
            end = np.array([self.end_of_text], np.uint32)
            return np.concatenate([part for text in pieces for part in (self.fast.encode_to_numpy(text, disallowed_special=()), end)])
        # One call for many short pieces: each call takes the interpreter's lock, for which the threads of an encoding compete.
        joined = END_OF_TEXT.join([*pieces, ""])
        ids: npt.NDArray[np.uint32] = self.fast.encode_to_numpy(joined, allowed_special={END_OF_TEXT})
        return ids


def train_tokenizer(texts: Iterable[str], vocab_size: int, file: Path) -> None:
    """Learn merges on the texts until the vocabulary has exactly so many tokens, and save tokenizer.json.

    The ids: 0 is the end of text, 1 to 256 are the bytes, the merges follow in the order in which they were learned. Ties are
    broken by ids, so equal texts give equal files. Raises SpecError where the text has too few different words.
    """
    require_vocab_size(vocab_size)
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = ByteLevelDecoder()
    alphabet = sorted(ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=vocab_size, special_tokens=[END_OF_TEXT], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    if (reached := tokenizer.get_vocab_size()) < vocab_size:
        raise SpecError(f"vocab_size must be reached by the corpus, found {reached} tokens for {vocab_size}; lower it or add text")
    tokenizer.save(str(file))


def require_vocab_size(vocab_size: int) -> None:
    """Raise SpecError for a vocabulary that cannot spell every text."""
    if vocab_size < SMALLEST_VOCABULARY:
        raise SpecError(f"vocab_size must be at least {SMALLEST_VOCABULARY} (every byte and {END_OF_TEXT}), found {vocab_size}; raise it")


def load_encoder(file: Path) -> Encoder:
    """An encoder from a tokenizer.json that `train_tokenizer` saved."""
    exported = Tokenizer.from_file(str(file))
    exported.encode_special_tokens = True  # as the fast one: a document that spells the end of text has not ended
    byte_of = byte_of_character()
    ids = exported.get_vocab()
    end_of_text = ids.pop(END_OF_TEXT)
    ranks = {bytes(byte_of[character] for character in token): id_ for token, id_ in ids.items()}
    if len({*ranks.values(), end_of_text}) != exported.get_vocab_size():
        raise ValueError(f"{file}: two tokens stand for the same bytes")
    lengths = np.zeros(exported.get_vocab_size(), np.int32)
    lengths[list(ranks.values())] = [len(token) for token in ranks]
    fast = tiktoken.Encoding(file.stem, pat_str=WORDS, mergeable_ranks=ranks, special_tokens={END_OF_TEXT: end_of_text})
    return Encoder(fast, exported, end_of_text, lengths)


def byte_of_character() -> dict[str, int]:
    """GPT-2's spelling of bytes: a printable Latin-1 byte is itself, the others follow from U+0100 in order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + place): byte for place, byte in enumerate(others)}
