"""Byte-level BPE: trained by `tokenizers` or given, saved as the tokenizer.json that Hugging Face loads, encoded by `tiktoken`."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from analysis.records.json_text import LARGEST_STATE_BYTES, read_limited
from search_space.errors import SpecError, complaint_of, said_by
from trials.corpus.given_tokenizer import Given, read_definition, read_tokenizer
from trials.corpus.tiktoken_twin import WORDS, NoTwinError, twin_of

END_OF_TEXT = "<|endoftext|>"
SMALLEST_VOCABULARY = 257
"""Every byte and the end of text."""
PROBED = (
    *range(0x20, 0x3400),
    *range(0x3400, 0xA000, 16),
    *range(0xA000, 0xAC00),
    *range(0xAC00, 0xD7A4, 16),
    *range(0xD7A4, 0xD800),
    *range(0xE000, 0xF900, 16),
    *range(0xF900, 0x20000),
)
"""Characters on which an expression of a given tokenizer is tried: those of two planes, ideographs, syllables and private ones sampled."""
MOST_DISPUTED = 100
PROBES = ("It's we'LL I'VE they'd 'sam' 12345678 1.5e-10  x\n\n \t y\r\n  z   ", "def f(x):\n\treturn  {'a': x[0] ** 2}   # 's\n \n")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encoder:
    """A tokenizer, ready to encode."""

    fast: Any
    """The tiktoken.Encoding of equal ids, which has no types here; None where there is none."""
    ids: npt.NDArray[np.uint32] | None
    """[ranks] The id of each of its ranks; None where there is none."""
    disputed: re.Pattern[str] | None
    """Characters, of a newer Unicode than one of the libraries has, with which text goes to the slow one; None where there are none."""
    exported: Tokenizer
    """The tokenizer as loaded from tokenizer.json; slow, the one that counts."""
    end_of_text: int
    end_name: str
    bytes_per_token: npt.NDArray[np.int32]
    """[vocab_size] Bytes of text that a token stands for; 0 for the end of text and other special tokens, and for padding."""

    def encode(self, pieces: Sequence[str]) -> npt.NDArray[np.uint32]:
        """Ids of the pieces one after the other, each followed by the end of text; special tokens' names in the text are text."""
        if self.ids is None or (self.disputed and any(self.disputed.search(text) for text in pieces)):
            return self._encode_slowly(pieces)
        ids: npt.NDArray[np.uint32]
        if any(self.end_name in text for text in pieces):
            end = np.array([len(self.ids) - 1], np.uint32)
            parts = [part for text in pieces for part in (self.fast.encode_to_numpy(text, disallowed_special=()), end)]
            ids = self.ids[np.concatenate(parts)]
            return ids
        # One call for many short pieces: each call takes the interpreter's lock, for which the threads of an encoding compete.
        joined = self.end_name.join([*pieces, ""])
        ids = self.ids[self.fast.encode_to_numpy(joined, allowed_special={self.end_name})]
        return ids

    def _encode_slowly(self, pieces: Sequence[str]) -> npt.NDArray[np.uint32]:
        found = self.exported.encode_batch(list(pieces), add_special_tokens=False)
        return np.array([id_ for encoding in found for id_ in (*encoding.ids, self.end_of_text)], np.uint32)


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


def load_encoder(file: Path, vocab_size: int | None = None) -> Encoder:
    """An encoder from a tokenizer.json that `train_tokenizer` saved or a study names, padded to so many ids.

    Raises SpecError where it is not byte-level BPE with an end of text.
    """
    given, (_, definition) = read_tokenizer(file), read_definition(file)
    lengths = np.zeros(max(given.size, vocab_size or 0), np.int32)
    for token, id_ in definition["model"]["vocab"].items():
        lengths[id_] = len(token)  # each character stands for one byte
    for token in definition["added_tokens"]:
        lengths[token["id"]] = 0 if token["special"] else len(token["content"].encode())
    slow = Encoder(None, None, None, load_exported(file), given.end_of_text, given.end_name, lengths)
    try:
        fast, ids = twin_of(definition, given.end_name)
        encoder = replace(slow, fast=fast, ids=ids)
        return encoder if fast._pat_str == WORDS else replace(encoder, disputed=_disputed(encoder))
    except NoTwinError as reason:
        logger.warning("the tokenizer %s is encoded by tokenizers, several times slower than tiktoken: %s", file, reason)
        return slow


def load_exported(file: Path) -> Tokenizer:
    """The tokenizer as the library itself reads it, without truncation and padding; raises SpecError where that cannot."""
    try:
        exported = Tokenizer.from_buffer(read_limited(file, LARGEST_STATE_BYTES))
    except Exception as error:  # the library raises a bare Exception
        said = complaint_of(error) if isinstance(error, OSError) else said_by(error)
        raise SpecError(f"the tokenizer {file} must be one that the library tokenizers reads, found: {said}; save it again") from None
    exported.encode_special_tokens = True  # as the fast one: a document that spells the end of text has not ended
    exported.no_truncation()
    exported.no_padding()
    return exported


def kept_tokenizer(file: Path, vocab_size: int) -> tuple[Given, Tokenizer]:
    """The tokenizer that lies with a study's trials: what it is, and as the library reads it.

    Raises SpecError where it is damaged, or has ids that a network of that vocabulary has not.
    """
    given, exported = read_tokenizer(file), load_exported(file)
    if given.size > vocab_size:
        raise SpecError(
            f"the tokenizer {file} must have at most the {vocab_size} ids of the network, found {given.size}; restore it from a copy"
        )
    return given, exported


def _disputed(encoder: Encoder) -> re.Pattern[str] | None:
    """Characters whose ids between letters, digits and spaces differ; raises NoTwinError where they are many, or other text differs."""
    if not all(_agree(encoder, text) for text in PROBES):
        raise NoTwinError("tiktoken splits text by its expression in another way")
    ranges = [PROBED[start : start + 256] for start in range(0, len(PROBED), 256)]
    doubtful = [code for codes in ranges if not _agree(encoder, "".join(map(_probe, codes))) for code in codes]
    disputed = [chr(code) for code in doubtful if not _agree(encoder, _probe(code))]
    if len(disputed) > MOST_DISPUTED:
        raise NoTwinError(f"tiktoken has another class for {len(disputed)} characters")
    return re.compile(f"[{re.escape(''.join(disputed))}]") if disputed else None


def _probe(code: int) -> str:
    return f"a{chr(code)}1{chr(code)} {chr(code)}"


def _agree(encoder: Encoder, text: str) -> bool:
    fast: list[int] = encoder.encode([text])[:-1].tolist()
    return fast == encoder.exported.encode(text, add_special_tokens=False).ids
