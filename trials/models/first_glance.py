"""What a model's files say at their beginnings: whether they are a model's, and whole, before torch is imported."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any, Literal

from analysis.records.json_text import parse_json, read_json
from search_space.errors import SpecError, complaint_of, quoted, shortened

GGUF_MAGIC = b"GGUF"
GGUF_VERSIONS = (2, 3)
GGUF_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by its type's number, as ggml's gguf.md numbers them; 8 is a string and 9 an array."""
GGUF_STRING, GGUF_ARRAY, GGUF_UINT32 = 8, 9, 4
GGUF_BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 8: (32, 34), 30: (1, 2)}
"""Weights and bytes of a block of the commonest kinds: F32, F16, Q4_0, Q4_1, Q8_0 and BF16."""
MOST_DIMENSIONS = 4
LARGEST_HEADER = 100_000_000
"""Bytes of the largest header of a safetensors file, as that library has it."""
FETCH_AGAIN = "fetch the model again"


def model_kind(path: Path) -> Literal["folder", "gguf"]:
    """Which kind of model lies there; raises SpecError where none does."""
    if path.is_dir() and (path / "config.json").is_file():
        return "folder"
    if path.is_file() and _begins_as_gguf(path):
        return "gguf"
    raise SpecError(
        f"a model must be a Hugging Face folder (config.json, weights, tokenizer.json), a GGUF file or a study's directory, found "
        f"{'nothing' if not path.exists() else 'none of these'} at {shortened(path)}; name one"
    )


def require_whole(path: Path) -> None:
    """Raise SpecError where a model's files are none, cut or garbled where they begin; weights themselves are not read."""
    if model_kind(path) == "gguf":
        _require_gguf(path)
        return
    from trials.corpus.tokenizer import load_exported

    read_object(path / "config.json")
    if (path / "tokenizer.json").is_file():
        load_exported(path / "tokenizer.json")
    for file in sorted(path.glob("*.safetensors")):
        _require_safetensors(file)


def read_object(path: Path) -> dict[str, Any]:
    """The keys and values of a JSON file; raises SpecError for anything else."""
    values = read_json(path, "keys and values as JSON", FETCH_AGAIN)
    if not isinstance(values, dict):
        raise SpecError(f"{path} must hold keys and values as JSON, found {quoted(values)}; {FETCH_AGAIN}")
    return values


def _require_safetensors(file: Path) -> None:
    size = file.stat().st_size
    with file.open("rb") as opened:
        begin = opened.read(8)
        header = int.from_bytes(begin, "little")
        if len(begin) < 8 or header > min(size - 8, LARGEST_HEADER):
            raise _damaged(file, "safetensors", f"{size:,} bytes, which do not hold its header")
        try:
            said = parse_json(opened.read(header))
            ends = [entry["data_offsets"][1] for name, entry in said.items() if name != "__metadata__"]
            end = max(ends, default=0)
            whole = 8 + header + end
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise _damaged(file, "safetensors", "a header that says no tensors") from None
    if size != whole:
        raise _damaged(file, "safetensors", f"{size:,} bytes where its header says {whole:,}")


def _require_gguf(path: Path) -> None:
    if path.stat().st_size < 24:
        raise _damaged(path, "GGUF", f"{path.stat().st_size} bytes")
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        walk = _Walk(data)
        try:
            walk.all()
        except (struct.error, UnicodeDecodeError, OverflowError):
            raise _damaged(path, "GGUF", "keys or tensors that go beyond its end") from None
        except ValueError as error:
            raise _damaged(path, "GGUF", str(error)) from None


class _Walk:
    """A reading of a GGUF file's keys and of where its tensors end (ggml's docs/gguf.md)."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._at, self._alignment = data, len(GGUF_MAGIC), 32

    def all(self) -> None:
        """Raises ValueError or struct.error where something of it cannot be."""
        version = self._number("I")
        if version not in GGUF_VERSIONS:
            if version.to_bytes(4, "big") in [known.to_bytes(4, "little") for known in GGUF_VERSIONS]:
                return  # of a machine that writes numbers the other way about: left to the library that reads it
            raise ValueError(f"version {version:,}, not {GGUF_VERSIONS[0]} or {GGUF_VERSIONS[1]}")
        tensors, keys = self._number("Q"), self._number("Q")
        for _ in range(self._fitting(keys, 12)):
            self._key()
        ends = [self._tensor() for _ in range(self._fitting(tensors, 24))]
        begin = -(-self._at // self._alignment) * self._alignment
        for name, end in ends:
            if begin + end > len(self._data):
                raise ValueError(f"{len(self._data):,} bytes, of which {shortened(quoted(name))} alone would need {begin + end:,}")

    def _number(self, kind: Literal["I", "Q"]) -> int:
        (value,) = struct.unpack_from(f"<{kind}", self._data, self._at)
        self._at += struct.calcsize(kind)
        return int(value)

    def _fitting(self, count: int, least_bytes: int) -> int:
        if count * least_bytes > len(self._data) - self._at:
            raise ValueError(f"{count:,} keys or tensors in {len(self._data):,} bytes")
        return count

    def _text(self) -> bytes:
        length = self._fitting(self._number("Q"), 1)
        self._at += length
        return self._data[self._at - length : self._at]

    def _key(self) -> None:
        name, kind = self._text(), self._number("I")
        if name == b"general.alignment" and kind == GGUF_UINT32:
            self._alignment = max(1, struct.unpack_from("<I", self._data, self._at)[0])
        self._skip(kind, is_inside=False)

    def _skip(self, kind: int, *, is_inside: bool) -> None:
        if kind == GGUF_STRING:
            self._text()
        elif kind == GGUF_ARRAY and not is_inside:
            inner, count = self._number("I"), self._number("Q")
            if inner in GGUF_SCALAR_BYTES:
                self._at += self._fitting(count, GGUF_SCALAR_BYTES[inner]) * GGUF_SCALAR_BYTES[inner]
                return
            for _ in range(self._fitting(count, 8)):
                self._skip(inner, is_inside=True)
        elif kind in GGUF_SCALAR_BYTES:
            self._at += GGUF_SCALAR_BYTES[kind]
        else:
            raise ValueError(f"a value of type {kind:,}")

    def _tensor(self) -> tuple[str, int]:
        """A tensor's name, and where it ends in bytes from the first one; where it begins, for kinds that are not known."""
        name, dimensions = self._text().decode(), self._number("I")
        if dimensions > MOST_DIMENSIONS:
            raise ValueError(f"a tensor of {dimensions:,} dimensions")
        count = 1
        for _ in range(dimensions):
            count *= self._number("Q")
        weights, block_bytes = GGUF_BLOCKS.get(self._number("I"), (1, 0))
        return name, self._number("Q") + count // weights * block_bytes


def _begins_as_gguf(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(GGUF_MAGIC)) == GGUF_MAGIC
    except OSError as error:
        raise SpecError(f"{path} must be a file that can be read, found: {complaint_of(error)}; name another") from None


def _damaged(file: Path, kind: str, found: str) -> SpecError:
    return SpecError(f"{file} must be a {kind} file that can be read whole, found {found}; fetch it again")
