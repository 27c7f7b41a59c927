"""Tokenizers that a study names in place of trained ones: found, and held against what token blocks need of them.

Needed are byte-level BPE, which spells every text and whose tokens' bytes can be counted, and an end of text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.records.json_text import LARGEST_STATE_BYTES, parse_json, read_limited
from search_space.errors import SpecError, complaint_of, quoted, said_by
from trials.corpus.byte_stream import FIRST_LOOK_BYTES
from trials.corpus.tiktoken_twin import byte_of_character
from trials.study.corpus_spec import is_local_path

FILE = "tokenizer.json"
ENDS_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "</s>", "<eos>")
"""What ends a document in published tokenizers, the first that one has; a chat's end of turn is another thing."""
LARGEST_PADDING = 1024
"""Ids that a shape may have beyond its tokenizer's: vocabularies are padded to a multiple of a power of two, rarely of more."""
MOST_IDS = 1 << 24
"""Ids of a vocabulary; the largest published have a fiftieth of them."""
OTHER_KINDS = ("Unigram", "WordPiece", "WordLevel")
"""Kinds of tokenizers of the library beside BPE."""
TO_CONVERT = "load it with transformers and save it with save_pretrained"
TO_LEAVE_OUT = "name another one, or leave corpus.tokenizer out and one is trained"
NOT_BYTE_LEVEL = {
    "a model of SentencePiece": re.compile(rb"\n[\x05-\x7f]\n[\x01-\x08\x0b\x0c\x0e-\x1f]"),
    "the words of WordPiece": re.compile(rb"\[(PAD|UNK|CLS|SEP|MASK|unused\d+)\]\r?\n"),
}
"""How files begin whose tokenizers are not byte-level BPE, into whatever they are converted: a message of Protocol Buffers, whose first
piece has a length (a control character, which no JSON has there), and a list of special words."""
OTHER_FILES = {
    rb"[A-Za-z0-9+/]+={0,2} \d+\r?\n": ("the ranks of tiktoken", TO_CONVERT),
    rb'\s*\{\s*"config"\s*:\s*\{\s*"pattern"': ("Mistral's tekken.json", TO_CONVERT),
    rb"version https://git-lfs": ("a pointer of Git LFS", "fetch the file itself with git lfs pull"),
    rb"\s*<(!DOCTYPE|html)": ("a web page", "download the file itself"),
    rb"\x1f\x8b": ("a gzip file", "decompress it"),
    rb"\xff\xfe|\xfe\xff": ("UTF-16", "save it as UTF-8"),
}
"""What files begin with that have tokenizers of other programs, or none; what they are, and what to do."""
MULTIPLE = 128
"""Number to a multiple of which a refused vocabulary is advised to be padded."""


@dataclass(frozen=True)
class Given:
    """One tokenizer that may be used."""

    file: Path
    sha256: str
    size: int
    """Ids from 0 to the highest."""
    end_name: str
    """Name of the special token that ends a document."""
    end_of_text: int
    """Id of the special token that ends a document."""

    def fits(self, vocab_size: int) -> bool:
        """Whether a shape of that vocabulary may use it, with some ids to spare."""
        return vocab_size - LARGEST_PADDING < self.size <= vocab_size


def given_tokenizer(names: Sequence[str], vocab_size: int) -> Given:
    """The largest of the named tokenizers that fits into the vocabulary; raises SpecError where none does, or one cannot be used."""
    found = [read_tokenizer(_file(name)) for name in names]
    fitting = [given for given in found if given.fits(vocab_size)]
    if fitting:
        return max(fitting, key=lambda given: given.size)
    sizes = " and ".join(f"{given.size} of {given.file}" for given in found)
    nearest = min(found, key=lambda given: abs(given.size - vocab_size)).size
    padded = -(-nearest // MULTIPLE) * MULTIPLE
    cure = f"set it to {nearest}" + (f", or to {padded}, the next multiple of {MULTIPLE}" if padded > nearest else "")
    raise SpecError(
        f"space.vocab_size must be that of the corpus' tokenizer, or at most {LARGEST_PADDING - 1} more, found {vocab_size} for {sizes}; "
        f"{cure}"
    )


def local_tokenizers(names: Sequence[str] | None) -> list[Given]:
    """The named tokenizers that lie on this machine; none where one is a name on the hub, which is not asked."""
    here = all(is_local_path(name) or Path(name).exists() for name in names or ())
    return [read_tokenizer(_file(name)) for name in names or ()] if here else []


def read_tokenizer(file: Path) -> Given:
    """What a tokenizer.json is; raises SpecError where it cannot be used."""
    data, definition = read_definition(file)
    tokens = dict[int, str]()
    for token, id_ in [*definition["model"]["vocab"].items(), *((each["content"], each["id"]) for each in definition["added_tokens"])]:
        if tokens.setdefault(id_, token) != token:
            two = f"{quoted(tokens[id_])} and {quoted(token)}"
            raise SpecError(f"the tokenizer {file} must have one token to an id, found {two} to {id_}; save it again")
    return Given(file, hashlib.sha256(data).hexdigest(), max(tokens) + 1, *_end_of_text(file, definition))


def read_definition(file: Path) -> tuple[bytes, dict[str, Any]]:
    """A tokenizer.json's bytes and what they say; raises SpecError where it is not byte-level BPE."""
    data = b""
    try:
        data = read_limited(file, LARGEST_STATE_BYTES)
        definition = parse_json(data)
        model, splitter = definition["model"], definition["pre_tokenizer"] or {}
        steps = splitter.get("pretokenizers") or [splitter]
        vocab, kind = model["vocab"], model.get("type", "BPE")
        if kind in OTHER_KINDS:  # whose tokens are listed in another way
            raise _unfit(file, kind)
        definition.setdefault("added_tokens", [])
        _require_kinds(definition, steps)
    except SpecError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if kept := _not_byte_level(data):
            raise _unfit(file, kept) from None
        known = next((said for begin, said in OTHER_FILES.items() if re.match(begin, data[:FIRST_LOOK_BYTES])), None)
        found, cure = known or (_what(error), "save it with save_pretrained")
        raise SpecError(f"the tokenizer {file} must be a tokenizer.json of the library tokenizers, found {found}; {cure}") from None
    if kind != "BPE" or any(model.get(key) for key in ("continuing_subword_prefix", "end_of_word_suffix", "dropout")):
        raise _unfit(file, kind)
    if any(step.get("add_prefix_space") for step in steps):
        raise _unfit(file, "one that puts a space in front of a text, which does not come back from its ids as it was")
    if steps[-1].get("type") != "ByteLevel":
        raise _unfit(file, "BPE that splits text by " + ", ".join(str(step.get("type", "nothing")) for step in steps))
    if (normalizer := definition.get("normalizer")) and normalizer["type"] != "NFC":
        raise _unfit(file, f"a normalizer ({normalizer['type']})")
    if missing := byte_of_character().keys() - vocab.keys():
        raise _unfit(file, f"{len(missing)} bytes without a token")
    return data, definition


def _require_kinds(definition: Mapping[str, Any], steps: Sequence[Any]) -> None:
    """Raise TypeError, KeyError or AttributeError where ids, tokens or steps are of another kind than the library writes."""
    ids = [*definition["model"]["vocab"].values(), *(token["id"] for token in definition["added_tokens"])]
    names = [*(token["content"] for token in definition["added_tokens"]), *(step.get("type", "") for step in steps)]
    names.append((definition.get("normalizer") or {"type": ""})["type"])
    flags = [token["special"] for token in definition["added_tokens"]]
    if not all(type(id_) is int and 0 <= id_ < MOST_IDS for id_ in ids) or not ids:
        raise TypeError("ids")
    if not all(type(name) is str for name in names) or not all(type(flag) is bool for flag in flags):
        raise TypeError("names")


def _unfit(file: Path, found: str) -> SpecError:
    return SpecError(
        f"the tokenizer {file} must be byte-level BPE without prefix space, as GPT-2, Llama 3 or SmolLM have it, so that bytes can be "
        f"counted, found {found}; {TO_LEAVE_OUT}"
    )


def _not_byte_level(data: bytes) -> str | None:
    """What a file is, by its beginning, that has a tokenizer which cannot be made one of bytes; None where it is another."""
    return next((kind for kind, begin in NOT_BYTE_LEVEL.items() if begin.match(data)), None)


def _end_of_text(file: Path, definition: Mapping[str, Any]) -> tuple[str, int]:
    special = {token["content"]: token["id"] for token in definition["added_tokens"] if token["special"]}
    for name in ENDS_OF_TEXT:
        if name in special:
            return name, special[name]
    raise SpecError(
        f"the tokenizer {file} must have a special token that ends a document ({', '.join(ENDS_OF_TEXT)}), "
        f"found {', '.join(sorted(special)) or 'none'}; add one"
    )


def _file(name: str) -> Path:
    """The tokenizer.json that a file, a folder or a name on the hub stands for."""
    path = Path(name)
    if path.is_dir():
        path = path / FILE
    if path.is_file():
        return path
    if is_local_path(name) or Path(name).is_dir():
        found, cure = _instead(path.parent) if path.name == FILE else ("none", "check the path")
        raise SpecError(f"corpus.tokenizer must name a {FILE} or a folder with one, found {found} at {path}; {cure}")
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, FILE))
    except Exception as error:  # the hub's client raises whatever it likes
        raise SpecError(
            f"corpus.tokenizer must be a file, a folder or a name on the hub, found for {name}: {_what(error)}; "
            "check the name and the network"
        ) from None


def _instead(folder: Path) -> tuple[str, str]:
    """What a folder has in place of a tokenizer.json, and what to do about it."""
    for name in ("tekken.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt"):
        if (folder / name).is_file():
            with suppress(OSError):
                with (folder / name).open("rb") as file:
                    kind = _not_byte_level(file.read(FIRST_LOOK_BYTES))
                kind = "the words of WordPiece" if name == "vocab.txt" else kind
                return (f"{name} alone, {kind}, which is no byte-level BPE,", TO_LEAVE_OUT) if kind else (f"{name} alone", TO_CONVERT)
    return "none", "check the path"


def _what(error: Exception) -> str:
    if type(error) is ValueError:
        return f"no JSON ({error})"
    if isinstance(error, OSError) and error.errno is not None:
        return complaint_of(error)
    if isinstance(error, KeyError | TypeError | AttributeError):
        return "other JSON"
    return said_by(error)
