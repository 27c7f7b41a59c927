"""Several formats into one folder: what is refused before anything is written, and what does not outlive a new export."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

import pytest
from tokenizers import Tokenizer
from tokenizers.normalizers import NFC

from search_space.architecture import Architecture
from search_space.errors import SpecError
from tests.support.sample_network import spread_out
from trials.catalogue.formats import ARCHITECTURE, FORMATS, MODEL_FORMATS
from trials.catalogue.runtimes import RUNTIMES
from trials.corpus.tokenizer import train_tokenizer
from trials.export.verification import VERIFICATION
from trials.export.write import write_formats
from trials.formats.model import fresh_model
from trials.latency.command import measure_by_command
from trials.network.weights import save_weights
from trials.reporting.model_card import CARD
from trials.study.latency_spec import LatencySpec

ROOT = Path(__file__).resolve().parents[3]
SHAPE = Architecture(
    vocab_size=300, hidden_size=32, num_unique_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=64
)
WITH_A_LIBRARY = sorted(name for name, row in FORMATS.items() if row.library)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights and the tokenizer of a trial."""
    folder = tmp_path_factory.mktemp("trial")
    save_weights(folder / "weights.safetensors", spread_out(SHAPE))
    train_tokenizer(["def front(points): return points\n" * 20] * 20, 270, folder / "tokenizer.json")
    return folder


def write(formats: list[str], output: Path, source: Path, tokenizer: str = "tokenizer.json") -> None:
    write_formats(formats, output, SHAPE, source / "weights.safetensors", source / tokenizer, 64)


def without_library(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The sentence that is expected where a format's library is not installed."""
    monkeypatch.setitem(FORMATS, name, replace(FORMATS[name], library="no_such_library"))
    return rf"the format {name} is written with the library no_such_library, which is not installed; pip install 'archfront\[{name}\]'$"


@pytest.mark.parametrize("name", WITH_A_LIBRARY)
def test_without_its_library_a_format_is_refused_with_the_command(
    name: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = without_library(name, monkeypatch)
    with pytest.raises(SpecError, match=sentence):
        write(["hf", name], tmp_path / "export", source)
    assert not (tmp_path / "export").exists()
    row = FORMATS[name]
    with pytest.raises(SpecError, match=sentence):
        resolve_name(row.writer)(tmp_path / row.file, fresh_model(SHAPE))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", WITH_A_LIBRARY)
def test_a_command_s_format_without_its_library_is_refused_with_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = without_library(name, monkeypatch)
    spec = LatencySpec.model_validate({"runtime": "command", "command": ("false",), "format": name})
    with pytest.raises(SpecError, match=sentence):
        measure_by_command(SHAPE, spec, device_times={}, deadline=0.0)


@pytest.mark.more
@pytest.mark.parametrize("name", WITH_A_LIBRARY)
def test_what_writes_a_format_is_imported_without_its_library(name: str) -> None:
    row = FORMATS[name]
    code = f"import sys; sys.modules[{row.library!r}] = None; import {row.writer.partition(':')[0]}, trials.export.write"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_tokenizer_that_one_format_cannot_hold_is_refused_before_any_is_written(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="gguf is not installed; pip install 'archfront[gguf]'")
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.normalizer = NFC()  # as Qwen's have it
    tokenizer.save(str(source / "nfc.json"))
    with pytest.raises(SpecError, match=r"nfc.json must split text as .* in a GGUF file, .*found a normalizer \(NFC\); export to hf"):
        write(["hf", "gguf"], tmp_path / "export", source, "nfc.json")
    assert not (tmp_path / "export").exists()


def test_what_vouched_for_an_earlier_export_does_not_outlive_it(source: Path, tmp_path: Path) -> None:
    for name in (VERIFICATION, CARD):
        (tmp_path / name).write_text(json.dumps([{"format": "yaml", "passed": True}]))
    write(["yaml"], tmp_path, source)
    assert [path.name for path in tmp_path.iterdir()] == [ARCHITECTURE]


def test_a_refused_export_leaves_an_earlier_one_as_it_was(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / VERIFICATION).write_text("[]")
    with pytest.raises(SpecError, match=without_library("gguf", monkeypatch)):
        write(["yaml", "gguf"], tmp_path, source)
    assert [path.name for path in tmp_path.iterdir()] == [VERIFICATION]


def test_every_model_file_is_for_a_runtime_that_exists() -> None:
    assert set(MODEL_FORMATS.values()) < set(RUNTIMES)
