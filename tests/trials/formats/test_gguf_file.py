"""A GGUF file: what it holds, that it is the trained model, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

import archfront
from analysis.records.record import append
from search_space.architecture import Architecture
from search_space.cost import parameters, unrolled_parameters
from search_space.errors import SpecError, WorkError
from search_space.families import FAMILIES
from tests.support.sample_gguf import CONTEXT, SHAPE, SHAPES, VOCABULARY, exported, padded_tokenizer, weights_of
from tests.support.sample_network import spread_out
from tests.support.sample_study import sample_records
from trials.catalogue.formats import GGUF, described_exports, supported_exports
from trials.catalogue.gguf_layout import GGUF_PRECISIONS, gguf_refusal
from trials.catalogue.runtimes import RUNTIMES
from trials.corpus.tokenizer import END_OF_TEXT
from trials.export.check import STRINGS
from trials.export.verification import verify
from trials.export.write import write_formats
from trials.formats.model import Model
from trials.network.weights import load_weights, save_weights
from trials.study.directory import tokenizer_file as directory_tokenizer
from trials.study.directory import weights_file

gguf = pytest.importorskip("gguf", reason="gguf is not installed; pip install 'archfront[gguf]'")

from trials.formats.gguf_file import half_split, interleaved, write_gguf  # noqa: E402  they import gguf
from trials.models.gguf_reading import misplaced, read_gguf  # noqa: E402

pytestmark = pytest.mark.needs
ROOT = Path(__file__).resolve().parents[3]
llama_cpp_installed = importlib.util.find_spec("llama_cpp") is not None
INSTALL = RUNTIMES["llama.cpp"].install


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return padded_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.mark.parametrize("precision", GGUF_PRECISIONS)
@pytest.mark.parametrize("architecture", SHAPES.values(), ids=SHAPES)
def test_an_export_is_the_trained_model(architecture: Architecture, precision: str, tmp_path: Path, tokenizer_file: Path) -> None:
    (check,) = exported(architecture, tmp_path, tokenizer_file, precision)
    assert check.passed
    assert check.precision == precision
    assert check.strings_equal == STRINGS
    assert check.loaded_by.startswith("llama-cpp-python " if llama_cpp_installed else "gguf ")
    assert check.rounding is not None
    assert check.largest_difference is not None
    if precision == "float32":
        assert check.largest_difference < 1e-4
        assert "token ids are equal for 300 of 300" in check.sentence()
    else:
        assert f"logits are those of the weights in {precision} within" in check.sentence()
        assert check.rounding < {"float16": 0.01, "int8": 0.05, "int4": 0.05}[precision]


def test_without_llama_cpp_the_file_is_read_back_and_that_is_said(
    tmp_path: Path, tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "llama_cpp" else there(name))
    (check,) = exported(SHAPE, tmp_path, tokenizer_file, "float32")
    assert check.passed
    assert check.loaded_by == f"gguf {version('gguf')}, not by llama.cpp (pip install {INSTALL}, and export again, for that)"
    assert check.largest_difference == 0
    assert check.strings_equal == STRINGS


@pytest.mark.usefixtures("a_process_of_its_own")
def test_the_file_says_all_that_llama_cpp_reads(tmp_path: Path, tokenizer_file: Path) -> None:
    architecture = SHAPES["untied, free head_dim"]
    exported(architecture, tmp_path, tokenizer_file, "float16")
    file = read_gguf(tmp_path / GGUF)
    expected: dict[str, Any] = {
        "general.architecture": "llama",
        "general.file_type": gguf.LlamaFileType.MOSTLY_F16,
        "llama.vocab_size": VOCABULARY,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": 64,
        "llama.block_count": 2,
        "llama.feed_forward_length": 96,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.key_length": 24,
        "llama.attention.value_length": 24,
        "llama.rope.dimension_count": 24,
        "llama.rope.freq_base": 10_000.0,
        "llama.attention.layer_norm_rms_epsilon": pytest.approx(1e-5),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 0,
    }
    assert {name: file.fields[name] for name in expected} == expected
    names, kinds = file.fields["tokenizer.ggml.tokens"], file.fields["tokenizer.ggml.token_type"]
    assert isinstance(names, list)
    assert isinstance(kinds, list)
    assert (names[0], kinds[0], kinds[1]) == (END_OF_TEXT, gguf.TokenType.CONTROL, gguf.TokenType.NORMAL)
    assert len(names) == VOCABULARY
    assert kinds[-8:] == [gguf.TokenType.UNUSED] * 8
    assert "output.weight" in file.tensors
    assert {file.kinds[name] for name, values in file.tensors.items() if values.ndim == 1} == {"F32"}


def test_query_and_key_rows_that_rope_turns_together_become_neighbours() -> None:
    rows = numpy.arange(12, dtype=numpy.float32)[:, None] * numpy.ones((1, 3), numpy.float32)
    assert interleaved(rows, 6)[:, 0].tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]
    assert numpy.array_equal(half_split(interleaved(rows, 6), 6), rows)


@pytest.mark.parametrize("architecture", SHAPES.values(), ids=SHAPES)
def test_a_block_that_runs_several_times_is_written_for_each(architecture: Architecture, tmp_path: Path) -> None:
    path = tmp_path / GGUF
    write_gguf(path, Model(architecture, load_weights(weights_of(architecture, tmp_path))))
    held = sum(values.size for values in read_gguf(path).tensors.values())
    output = architecture.vocab_size * architecture.hidden_size  # always a tensor of its own where a block slides
    assert held == unrolled_parameters(architecture) + (output if architecture.sliding_window is not None else 0)
    assert unrolled_parameters(architecture) >= parameters(architecture)


@pytest.mark.parametrize(
    ("changes", "precision", "sentence"),
    [
        ({"mlp": "gelu"}, "float16", "mlp must be swiglu in a GGUF file, found gelu"),
        ({"mlp": "relu"}, "float32", "mlp must be swiglu in a GGUF file, found relu"),
        (
            {"hidden_size": 72},
            "int8",
            r"hidden_size must be a multiple of 32 in a GGUF file in int8, .* found 72; choose hidden_size 64 or 96 \(`step: 32`",
        ),
        (
            {"intermediate_size": 100},
            "int4",
            r"intermediate_size must be a multiple of 32 .* found 100; choose intermediate_size 96 or 128 \(`multiple_of: 32`",
        ),
        ({"hidden_size": 20, "intermediate_size": 30}, "int8", "hidden_size and intermediate_size must be multiples .* found 20 and 30"),
        ({"head_dim": 12}, "int4", "num_attention_heads times head_dim must be a multiple of 32 .* found 48"),
    ],
)
def test_a_shape_that_the_format_cannot_hold_is_refused(changes: dict[str, Any], precision: str, sentence: str, tmp_path: Path) -> None:
    architecture = replace(SHAPE, **changes)
    with pytest.raises(SpecError, match=f"the format gguf cannot hold this shape, though .*onnx.* can: {sentence}"):
        write_formats(["gguf"], tmp_path / "no", architecture, tmp_path / "none", tmp_path / "none", CONTEXT, {"gguf": precision})
    assert not (tmp_path / "no").exists()
    with pytest.raises(SpecError, match=sentence):
        write_gguf(tmp_path / GGUF, Model(architecture, {}, precision))
    described = described_exports(architecture)
    assert (described["gguf"] is None) == ("mlp" not in changes)
    assert described["gguf int8, int4"] is not None
    assert supported_exports(architecture)["yaml"] is None


def test_every_published_shape_has_a_file_in_every_precision() -> None:
    assert {gguf_refusal(shape, precision) for shape in FAMILIES.values() for precision in GGUF_PRECISIONS} == {None}


def test_a_damaged_file_fails(tmp_path: Path, tokenizer_file: Path) -> None:
    exported(SHAPE, tmp_path, tokenizer_file, "float16")
    path, weights = tmp_path / GGUF, tmp_path / "weights.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-4000] + bytes(400) + whole[-3600:])
    with pytest.raises(WorkError, match=r"must equal the trained model and does not: gguf.*1 tensors are not the trained ones \(\w+"):
        verify(["gguf"], tmp_path, SHAPE, weights, tokenizer_file)
    path.write_bytes(whole[:1000])
    with pytest.raises(WorkError, match="it cannot be read back"):
        verify(["gguf"], tmp_path, SHAPE, weights, tokenizer_file)


@pytest.mark.parametrize("precision", GGUF_PRECISIONS)
@pytest.mark.parametrize("scale", [1e-4, 1.0, 100.0])
def test_rounding_explains_what_the_library_rounds_and_little_more(scale: float, precision: str, tmp_path: Path) -> None:
    weights = {name: scale * weight for name, weight in load_weights(weights_of(SHAPE, tmp_path)).items()}
    path, part = tmp_path / GGUF, "model.layers.1.mlp.up_proj.weight"
    write_gguf(path, Model(SHAPE, weights, precision))
    assert misplaced(read_gguf(path), SHAPE, weights) == []
    moved = weights | {part: weights[part] + weights[part].std() * (torch.arange(64) == 5)}
    assert misplaced(read_gguf(path), SHAPE, moved) == ["blk.1.ffn_up.weight"]


def test_refusals_need_nothing_heavy() -> None:
    heavy = ("torch", "gguf", "openvino", "numpy")
    code = f"import sys, trials.catalogue.formats, trials.catalogue.runtimes; print([n for n in {heavy} if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.more
def test_the_command_exports_in_the_precision_that_was_asked_for(
    tmp_path: Path, tokenizer_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study.yaml").write_bytes((ROOT / "studies" / "quickstart.yaml").read_bytes())
    records = [replace(record, architecture=SHAPE) for record in sample_records(3)]
    for record in records:
        append(tmp_path, record)
    tokenizer = directory_tokenizer(tmp_path, VOCABULARY)
    for file in (weights_file(tmp_path, 0), tokenizer):
        file.parent.mkdir()
    save_weights(weights_file(tmp_path, 0), spread_out(SHAPE))
    tokenizer.write_bytes(tokenizer_file.read_bytes())
    asked = ["export", str(tmp_path), "--trial", "0", "--format", "gguf", "--output", str(tmp_path / "out")]
    assert archfront.main(asked) == 0
    assert str(tmp_path / "out" / GGUF) in capsys.readouterr().out
    assert read_gguf(tmp_path / "out" / GGUF).precision == "float16"
    assert archfront.main([*asked, "--gguf-precision", "int8"]) == 0
    assert read_gguf(tmp_path / "out" / GGUF).precision == "int8"
    card = (tmp_path / "out" / "README.md").read_text()
    assert "llama-cli -m model.gguf" in card
    (check,) = json.loads((tmp_path / "out" / "verification.json").read_text())
    if RUNTIMES["llama.cpp"].installed:
        assert check["latency"]["precision"] == "int8"
        assert f"threads: 1, {check['latency']['device']}" in card
    else:
        assert check["latency"] is None
        assert f"pip install {INSTALL}" in check["not_measured"]
    assert "logits are those of the weights in int8" in card
    assert "written once for each" not in card
    elsewhere = ["export", str(tmp_path), "--trial", "0", "--format", "yaml", "--output", str(tmp_path / "out")]
    assert archfront.main(elsewhere) == 0
    (tmp_path / "out" / "README.md").write_text("# 1x8, trial 5 of the study other")
    assert archfront.main(elsewhere) == 2
    assert "must hold no other export, found the card of `1x8, trial 5 of the study other`" in capsys.readouterr().err
    assert archfront.main(["describe", "mobilellm-ls-125m"]) == 0
    assert "unrolled_parameters" in capsys.readouterr().out
