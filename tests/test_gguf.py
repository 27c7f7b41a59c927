"""A GGUF file: what it holds, what it refuses, and that llama.cpp, where it is installed, computes our function from it."""

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
from tokenizers import Regex, Tokenizer
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split

import archfront
from analysis.record import append
from search_space.architecture import Architecture
from search_space.cost import parameters, unrolled_parameters
from search_space.errors import SpecError, WorkError
from search_space.families import FAMILIES
from search_space.sharing import Sharing
from tests.sample_network import spread_out
from tests.sample_study import sample_records
from trials.driver.directory import tokenizer_file as directory_tokenizer
from trials.driver.directory import weights_file
from trials.export import GGUF, described_exports, supported_exports
from trials.export.gguf_layout import PRECISIONS, gguf_refusal
from trials.export.verification import STRINGS, Check, strings_of_many_scripts, verify
from trials.export.write import write_formats
from trials.latency import LatencyProcess
from trials.runtimes import RUNTIMES
from trials.study import LatencySpec
from trials.text.tokenizer import END_OF_TEXT, train_tokenizer
from trials.weights import load_weights, save_weights

gguf = pytest.importorskip("gguf", reason="pip install gguf")

from trials.export.gguf_file import apart, neighbouring, write_gguf  # noqa: E402  they import gguf
from trials.export.gguf_reading import misplaced, read_gguf, tokenizer_of  # noqa: E402
from trials.export.gguf_tokenizer import LLAMA_3, QWEN_2, splitter_name  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
VOCABULARY, CONTEXT = 320, 64
SHAPE = Architecture(
    vocab_size=VOCABULARY,
    hidden_size=64,
    num_unique_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    intermediate_size=96,
)
SLIDING = replace(SHAPE, layer_types=("sliding_attention", "full_attention"), sliding_window=5)
SHAPES = {
    "plain": SHAPE,
    "untied, free head_dim": replace(SHAPE, head_dim=24, tie_word_embeddings=False),
    "sliding": SLIDING,
    "shared blocks": replace(SHAPE, sharing=Sharing("immediate", 2)),
    "shared attention, sliding": replace(SLIDING, sharing=Sharing("reverse", 2, "attention")),
}
TEXTS = ["def front(points):\n    return [p for p in points]\n" * 9, "Die Prüfung läuft; ça va. 日本語のテキスト 12345"] * 20

llama_cpp_installed = importlib.util.find_spec("llama_cpp") is not None
needs_llama_cpp = pytest.mark.skipif(not llama_cpp_installed, reason="llama.cpp is not installed; pip install llama-cpp-python")
GREEDY_PROMPTS, GREEDY_TOKENS = 20, 50


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer(TEXTS, VOCABULARY - 8, file)  # as a padded vocabulary has it
    return file


def weights_of(architecture: Architecture, directory: Path) -> Path:
    file = directory / "weights.safetensors"
    save_weights(file, spread_out(architecture))
    return file


def exported(
    architecture: Architecture, directory: Path, tokenizer: Path, precision: str, formats: tuple[str, ...] = ("gguf",)
) -> list[Check]:
    """Written and verified as the command does it."""
    weights = weights_of(architecture, directory)
    write_formats(formats, directory, architecture, weights, tokenizer, CONTEXT, precision)
    return verify(formats, directory, architecture, weights, tokenizer)


@pytest.mark.parametrize("precision", PRECISIONS)
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
    assert check.loaded_by == f"gguf {version('gguf')}, not by llama.cpp (pip install llama-cpp-python, and export again, for that)"
    assert check.largest_difference == 0
    assert check.strings_equal == STRINGS


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
    assert neighbouring(rows, 6)[:, 0].tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]
    assert numpy.array_equal(apart(neighbouring(rows, 6), 6), rows)


@pytest.mark.parametrize("architecture", SHAPES.values(), ids=SHAPES)
def test_a_block_that_runs_several_times_is_written_for_each(architecture: Architecture, tmp_path: Path) -> None:
    path = tmp_path / GGUF
    write_gguf(path, architecture, load_weights(weights_of(architecture, tmp_path)), "float32", CONTEXT)
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
        write_formats(["gguf"], tmp_path / "no", architecture, tmp_path / "none", tmp_path / "none", CONTEXT, precision)
    assert not (tmp_path / "no").exists()
    with pytest.raises(SpecError, match=sentence):
        write_gguf(tmp_path / GGUF, architecture, {}, precision, CONTEXT)
    described = described_exports(architecture)
    assert (described["gguf"] is None) == ("mlp" not in changes)
    assert described["gguf int8, int4"] is not None
    assert supported_exports(architecture)["yaml"] is None


def test_every_published_shape_has_a_file_in_every_precision() -> None:
    assert {gguf_refusal(shape, precision) for shape in FAMILIES.values() for precision in PRECISIONS} == {None}


def test_without_the_library_the_command_that_installs_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SpecError, match=r"a GGUF file needs the library gguf, which is not installed; pip install gguf$"):
        write_formats(["gguf"], tmp_path, SHAPE, tmp_path / "none", tmp_path / "none", CONTEXT)


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


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("scale", [1e-4, 1.0, 100.0])
def test_rounding_explains_what_the_library_rounds_and_little_more(scale: float, precision: str, tmp_path: Path) -> None:
    weights = {name: scale * weight for name, weight in load_weights(weights_of(SHAPE, tmp_path)).items()}
    path, part = tmp_path / GGUF, "model.layers.1.mlp.up_proj.weight"
    write_gguf(path, SHAPE, weights, precision, CONTEXT)
    assert misplaced(read_gguf(path), SHAPE, weights) == []
    moved = weights | {part: weights[part] + weights[part].std() * (torch.arange(64) == 5)}
    assert misplaced(read_gguf(path), SHAPE, moved) == ["blk.1.ffn_up.weight"]


def test_another_tokenizer_fails(tmp_path: Path, tokenizer_file: Path) -> None:
    exported(SHAPE, tmp_path, tokenizer_file, "float16")
    train_tokenizer(["something else: quick brown foxes jump over lazy dogs " * 20] * 20, 300, tmp_path / "other.json")
    with pytest.raises(WorkError, match=r"token ids are equal for \d+ of 300 strings"):
        verify(["gguf"], tmp_path, SHAPE, tmp_path / "weights.safetensors", tmp_path / "other.json")


def _with_steps(file: Path, steps: Any, **model: Any) -> Path:
    """The tokenizer with other steps before the merges."""
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.pre_tokenizer = steps
    definition = json.loads(tokenizer.to_str())
    definition["model"] |= model
    made = file.with_name("steps.json")
    made.write_text(json.dumps(definition))
    return made


GIVEN = {
    "smollm": (Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]), {}),
    "llama-bpe": (
        Sequence([Split(Regex(LLAMA_3), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]),
        {"ignore_merges": True},
    ),
    "qwen2": (Sequence([Split(Regex(QWEN_2), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]), {}),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_given_tokenizer_keeps_its_splitting(name: str, tmp_path: Path, tokenizer_file: Path) -> None:
    steps, model = GIVEN[name]
    given = _with_steps(tokenizer_file, steps, **model)
    (check,) = exported(SHAPE, tmp_path, given, "float16")
    assert check.strings_equal == STRINGS
    file = read_gguf(tmp_path / GGUF)
    assert file.fields["tokenizer.ggml.pre"] == name
    own, again = Tokenizer.from_file(str(given)), tokenizer_of(file)
    assert all(own.encode(text).ids == again.encode(text).ids for text in strings_of_many_scripts())


def test_a_splitting_that_llama_cpp_does_not_have_is_refused(tmp_path: Path, tokenizer_file: Path) -> None:
    steps = Sequence([Split(Regex(r"\w+|\s+"), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)])
    odd = _with_steps(tokenizer_file, steps)
    with pytest.raises(SpecError, match=r"must split text as GPT-2, SmolLM, Llama 3 or Qwen 2 do in a GGUF file.*found another expression"):
        write_gguf(tmp_path / GGUF, SHAPE, load_weights(weights_of(SHAPE, tmp_path)), "float16", CONTEXT, odd)
    assert not (tmp_path / GGUF).exists()
    with pytest.raises(SpecError, match="found ignore_merges True beside the expression of gpt-2"):
        splitter_name(odd, {"model": {"ignore_merges": True}, "pre_tokenizer": {"type": "ByteLevel"}})
    with pytest.raises(SpecError, match=r"found a normalizer \(NFC\)"):
        splitter_name(odd, {"model": {}, "pre_tokenizer": {"type": "ByteLevel"}, "normalizer": {"type": "NFC"}})


def test_refusals_need_neither_gguf_nor_torch() -> None:
    code = "import sys, trials.export.gguf_layout, trials.export; print([n for n in ('torch', 'gguf', 'numpy') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", ["plain", "untied, free head_dim", "shared blocks"])
def test_transformers_reads_the_file_with_the_same_logits(name: str, tmp_path: Path, tokenizer_file: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="pip install transformers")
    architecture = SHAPES[name]
    exported(architecture, tmp_path, tokenizer_file, "float32")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=GGUF, dtype=torch.float32)
    tokens = torch.randint(VOCABULARY, (1, 24), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(model(tokens).logits, spread_out(architecture)(tokens), atol=1e-4, rtol=0)


@needs_llama_cpp
@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "untied, free head_dim", "shared attention, sliding"])
def test_llama_cpp_writes_the_text_that_transformers_writes(name: str, tmp_path: Path, tokenizer_file: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="pip install transformers")
    from trials.runtimes.llama_cpp_runtime import open_model

    exported(SHAPES[name], tmp_path, tokenizer_file, "float32", ("hf", "gguf"))
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    session = open_model(tmp_path / GGUF, 256, threads=1)
    end_of_text, compared = tokenizer.eos_token_id, 0
    for text in strings_of_many_scripts()[:GREEDY_PROMPTS]:
        prompt = tokenizer(text[:6], return_tensors="pt")
        assert prompt["input_ids"][0].tolist() == session.tokenize(text[:6])
        theirs = model.generate(**prompt, max_new_tokens=GREEDY_TOKENS, min_new_tokens=GREEDY_TOKENS, do_sample=False)[0].tolist()
        logits, found = session.prefill(session.tokenize(text[:6])), session.tokenize(text[:6])
        for _ in range(GREEDY_TOKENS):
            logits[end_of_text] = -numpy.inf  # as min_new_tokens does
            found.append(int(logits.argmax()))
            logits = session.decode(found[-1])
        assert found == theirs
        compared += GREEDY_TOKENS
    session.close()
    assert compared == 1000


@needs_llama_cpp
def test_two_tensors_at_one_place_of_a_file_are_refused_by_llama_cpp(tmp_path: Path) -> None:
    """Why a shared block is written once for each time it runs."""
    from trials.runtimes.llama_cpp_runtime import open_model

    path, shared = tmp_path / GGUF, SHAPES["shared blocks"]
    write_gguf(path, shared, load_weights(weights_of(shared, tmp_path)), "float32", CONTEXT)
    first, second = (tensor for tensor in gguf.GGUFReader(path).tensors if tensor.name in ("blk.0.ffn_up.weight", "blk.1.ffn_up.weight"))
    place, offset = int(second.field.offset + sum(part.nbytes for part in second.field.parts[:-1])), first.field.parts[-1]
    data = bytearray(path.read_bytes())
    assert data[place : place + 8] == second.field.parts[-1].tobytes()
    data[place : place + 8] = offset.tobytes()
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"cannot load .*model.gguf: .*'blk.1.ffn_up.weight' has offset"):
        open_model(path, 16, threads=1)


@needs_llama_cpp
def test_a_crash_of_llama_cpp_is_a_failed_export(tmp_path: Path, tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.export.llama_cpp_reading.sys.executable", "/bin/false")
    with pytest.raises(WorkError, match=r"gguf, loaded by llama-cpp-python .*: llama.cpp failed: it ended with exit code 1; do not use it"):
        exported(SHAPE, tmp_path, tokenizer_file, "float16")


@needs_llama_cpp
@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_latency_is_taken_with_llama_cpp(precision: str) -> None:
    process = LatencyProcess(LatencySpec(runtime="llama.cpp", precision=precision, prompt_tokens=16, new_tokens=16, repeats=3))  # type: ignore[arg-type]
    try:
        taken = process.measure(SHAPE)
    finally:
        process.close()
    assert (taken.runtime, taken.precision) == ("llama.cpp", precision)
    assert taken.runtime_version[0].isdigit()
    assert taken.total_ms.median > taken.prefill_ms.median > 0


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
    else:
        assert check["latency"] is None
        assert "pip install llama-cpp-python" in check["not_measured"]
    assert "logits are those of the weights in int8" in card
    assert "written once for each" not in card
    assert archfront.main(["describe", "mobilellm-ls-125m"]) == 0
    assert "unrolled_parameters" in capsys.readouterr().out
