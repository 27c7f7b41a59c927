"""A model's damaged file is refused by its beginning, before torch is imported; a whole one is not."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from search_space.errors import SpecError
from trials.models.first_glance import GGUF_BLOCKS, model_kind, require_whole

ROOT = Path(__file__).resolve().parents[3]
DRAWS = 40


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def gguf_file(alignment: int = 64) -> bytes:
    """A file with a value of each kind, and a tensor of each kind that is known and of one that is not."""
    words = struct.pack("<IQ", 8, 3) + text("a") + text("") + text("Ünï")
    keys = [key(f"n{kind}", kind, b"\1" * size) for kind, size in ((0, 1), (2, 2), (4, 4), (6, 4), (7, 1), (10, 8), (12, 8))]
    keys += [key("words", 9, words), key("ids", 9, struct.pack("<IQ", 4, 5) + bytes(20)), key("name", 8, text("llama"))]
    keys.append(key("general.alignment", 4, struct.pack("<I", alignment)))
    tensors, data = b"", b""
    for kind, (weights, block_bytes) in [*GGUF_BLOCKS.items(), (99, (1, 0))]:
        tensors += text(f"t{kind}") + struct.pack("<IQQIQ", 2, weights, 3, kind, len(data))
        data += bytes(3 * block_bytes) + bytes(-(3 * block_bytes) % alignment)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(GGUF_BLOCKS) + 1, len(keys)) + b"".join(keys) + tensors
    return head + bytes(-len(head) % alignment) + data


def cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(4, len(data) - 128)]


def overwritten(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(4, 24)
    return data[:at] + b"\xff" * 8 + data[at + 8 :]


def garbled(data: bytes, draw: random.Random) -> bytes:
    """One byte of a hundred, and one of the version."""
    found = bytearray(data)
    for place in [*(draw.randrange(4, len(data)) for _ in range(len(data) // 100)), 5]:
        found[place] ^= draw.randrange(1, 256)
    return bytes(found)


@pytest.mark.parametrize("alignment", [32, 64])
def test_a_whole_file_is_let_through(alignment: int, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(gguf_file(alignment))
    require_whole(tmp_path / "a.gguf")
    assert model_kind(tmp_path / "a.gguf") == "gguf"
    (tmp_path / "b.gguf").write_bytes(b"GGUF" + struct.pack(">I", 3) + gguf_file()[8:])
    require_whole(tmp_path / "b.gguf")  # numbers the other way about: left to the library


@pytest.mark.parametrize("damage", [cut, overwritten, garbled])
@pytest.mark.parametrize("seed", range(DRAWS))
def test_a_damaged_gguf_file_is_one_sentence(damage: Callable[[bytes, random.Random], bytes], seed: int, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(damage(gguf_file(), random.Random(seed)))
    with pytest.raises(SpecError, match=r"must be a GGUF file that can be read whole, found .*; fetch it again") as error:
        require_whole(tmp_path / "a.gguf")
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < len(str(tmp_path)) + 250


def folder(path: Path, weights: bytes, config: str = "{}") -> Path:
    path.mkdir()
    (path / "config.json").write_text(config)
    (path / "model.safetensors").write_bytes(weights)
    return path


TENSORS = save({"a": np.zeros((4, 5), np.float32), "b": np.ones(3, np.float16)}, {"format": "pt"})
BROKEN: dict[str, bytes] = {
    "empty": b"", "a few bytes": TENSORS[:7], "half a header": TENSORS[:40], "half the data": TENSORS[:-20],
    "more than it says": TENSORS + b"x",
    "an endless header": b"\xff" * 8 + TENSORS[8:], "no JSON": TENSORS[:8] + b"}" + TENSORS[9:], "a page": b"<!doctype html>" * 20,
    "no offsets": (2).to_bytes(8, "little") + b"[]",
}  # fmt: skip


def test_whole_tensors_are_let_through(tmp_path: Path) -> None:
    require_whole(folder(tmp_path / "model", TENSORS))


@pytest.mark.parametrize("kind", BROKEN)
def test_a_damaged_safetensors_file_is_one_sentence(kind: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"model\.safetensors must be a safetensors file that can be read whole, found .*; fetch it again"):
        require_whole(folder(tmp_path / "model", BROKEN[kind]))


def test_damaged_models_are_refused_before_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "cut.gguf").write_bytes(gguf_file()[:-200])
    (tmp_path / "none.bin").write_bytes(b"nothing")
    (tmp_path / "piqa.jsonl").write_text(json.dumps({"goal": "a", "sol1": "b", "sol2": "c", "label": 0}))
    folder(tmp_path / "broken", TENSORS[:-3])
    folder(tmp_path / "config", TENSORS, "{")
    models = [str(tmp_path / name) for name in ("cut.gguf", "none.bin", "broken", "config", "nowhere")]
    code = (
        "import sys; from archfront import main\n"
        f"for model in {models}: assert main(['evaluate', model, '--tasks', 'piqa={tmp_path}/piqa.jsonl']) == 2\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert len(done.stderr.splitlines()) == len(models)
