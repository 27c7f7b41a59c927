"""An export is loaded again by what it is for, and held against the original."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from search_space.architecture import Architecture
from search_space.errors import WorkError
from search_space.sharing import Sharing
from tests.support.sample_network import spread_out
from trials.catalogue.formats import FORMATS, MODEL_FORMATS
from trials.catalogue.runtimes import RUNTIMES
from trials.corpus.tokenizer import train_tokenizer
from trials.export.check import LARGEST_DIFFERENCE, STRINGS, strings_of_many_scripts
from trials.export.verification import VERIFICATION, verify
from trials.export.write import write_formats
from trials.network.weights import save_weights

SHAPE = Architecture(
    vocab_size=300,
    hidden_size=48,
    num_unique_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=12,
    intermediate_size=80,
    sharing=Sharing("immediate", 2),
)
pytestmark = pytest.mark.needs
EVERY = tuple(name for name in FORMATS if name != "gguf" and (name not in MODEL_FORMATS or RUNTIMES[MODEL_FORMATS[name]].installed))
"""Every format whose library is here, but for GGUF, which tests/trials/formats/test_gguf_file.py is about."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights and the tokenizer of a trial."""
    folder = tmp_path_factory.mktemp("trial")
    save_weights(folder / "weights.safetensors", spread_out(SHAPE))
    train_tokenizer(
        ["def front(points): return points\n" * 20, "Die Prüfung läuft; ça va. 日本語のテキスト"] * 20, 300, folder / "tokenizer.json"
    )
    return folder


def _export(source: Path, output: Path) -> tuple[Path, Path]:
    weights, tokenizer = source / "weights.safetensors", source / "tokenizer.json"
    write_formats(EVERY, output, SHAPE, weights, tokenizer, 64)
    return weights, tokenizer


def _written(output: Path) -> dict[str, Any]:
    return {check["format"]: check for check in json.loads((output / VERIFICATION).read_text())}


@pytest.mark.usefixtures("a_process_of_its_own")
def test_every_format_is_verified_and_the_figures_are_kept(source: Path, tmp_path: Path) -> None:
    checks = verify(EVERY, tmp_path, SHAPE, *_export(source, tmp_path))
    assert [check.passed for check in checks] == [True for _ in EVERY]
    written = _written(tmp_path)
    assert (written["hf"]["positions"], written["onnx"]["positions"]) == (64, 65)
    assert written["hf"]["strings_equal"] == written["hf"]["strings"] == STRINGS
    for name in EVERY[:-1]:
        assert 0 < written[name]["largest_difference"] < LARGEST_DIFFERENCE
        assert written[name]["top1_agreement"] == 1.0
    assert written["hf"]["loaded_by"].startswith("transformers ")


@pytest.mark.parametrize("file", ["model.onnx_data", "model.safetensors", "model.pte"])
def test_an_export_that_is_not_the_model_fails(file: str, source: Path, tmp_path: Path) -> None:
    files = _export(source, tmp_path)
    if not (tmp_path / file).exists():
        pytest.skip(f"{file} is not written without its library; pip install 'archfront[executorch]'")
    damaged = bytearray((tmp_path / file).read_bytes())
    place = len(damaged) - 4000
    damaged[place : place + 400] = bytes(400)
    (tmp_path / file).write_bytes(damaged)
    with pytest.raises(WorkError, match=r"must equal the trained model and does not: (hf|onnx|executorch).* do not use it"):
        verify(EVERY, tmp_path, SHAPE, *files)
    assert sum(check["passed"] is False for check in _written(tmp_path).values()) == 1


@pytest.mark.skipif("executorch" not in EVERY, reason="executorch is not installed; pip install 'archfront[executorch]'")
def test_a_crash_while_a_program_is_verified_is_a_failed_check(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = _export(source, tmp_path)
    verify(EVERY, tmp_path, SHAPE, *files)
    monkeypatch.setattr("trials.export.subprocess_reading.sys.executable", "/bin/false")
    with pytest.raises(WorkError, match=r"executorch, loaded by .*: the process that runs model.pte ended with exit code 1; do not"):
        verify(EVERY, tmp_path, SHAPE, *_export(source, tmp_path))
    assert {name for name, check in _written(tmp_path).items() if not check["passed"]} == {"executorch"}


def test_another_tokenizer_fails(source: Path, tmp_path: Path) -> None:
    weights, tokenizer = _export(source, tmp_path)
    train_tokenizer(
        ["something else, with merges of its own: quick brown foxes jump over lazy dogs and lions " * 20] * 20,
        300,
        tmp_path / "tokenizer.json",
    )
    with pytest.raises(WorkError, match=r"token ids are equal for \d+ of 300 strings"):
        verify(("hf",), tmp_path, SHAPE, weights, tokenizer)


def test_without_transformers_an_export_is_called_unverified(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = _export(source, tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (check,) = verify(("hf",), tmp_path, SHAPE, *files)
    assert check.passed is None
    assert check.sentence() == "hf is not verified: transformers is not installed; pip install transformers, and export again"


def test_the_strings_are_of_many_scripts_and_always_the_same() -> None:
    strings = strings_of_many_scripts()
    assert strings == strings_of_many_scripts()
    assert len(set(strings)) > 0.9 * STRINGS
    assert len({ord(character) >> 8 for text in strings for character in text}) > 10
