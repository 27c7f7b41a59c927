"""What others make of a GGUF file: transformers reads the same weights, and llama.cpp, where it is installed, computes our function."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch

from search_space.errors import WorkError
from tests.support.sample_gguf import SHAPE, SHAPES, VOCABULARY, exported, padded_tokenizer, weights_of
from tests.support.sample_network import spread_out
from trials.catalogue.formats import GGUF
from trials.catalogue.gguf_layout import GGUF_PRECISIONS
from trials.catalogue.runtimes import RUNTIMES
from trials.export.check import strings_of_many_scripts
from trials.formats.gguf_file import write_gguf
from trials.formats.model import Model
from trials.latency.process import LatencyProcess
from trials.network.weights import load_weights
from trials.study.latency_spec import LatencySpec

gguf = pytest.importorskip("gguf", reason="gguf is not installed; pip install 'archfront[gguf]'")

needs_llama_cpp = pytest.mark.skipif(
    not RUNTIMES["llama.cpp"].installed, reason="llama.cpp is not installed; pip install 'archfront[llama]'"
)
GREEDY_PROMPTS, GREEDY_TOKENS = 20, 50


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return padded_tokenizer(tmp_path_factory.mktemp("tokenizer"))


# transformers takes the heads of a qwen3 to be 128 wide, whatever the file says; llama.cpp reads their width
@pytest.mark.parametrize("name", ["plain", "untied, free head_dim", "qk norm, heads of 128", "shared blocks"])
def test_transformers_reads_the_file_with_the_same_logits(name: str, tmp_path: Path, tokenizer_file: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="pip install transformers")
    architecture = SHAPES[name]
    exported(architecture, tmp_path, tokenizer_file, "float32")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=GGUF, dtype=torch.float32)
    tokens = torch.randint(VOCABULARY, (1, 24), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(model(tokens).logits, spread_out(architecture)(tokens), atol=1e-4, rtol=0)


@pytest.mark.more
@pytest.mark.needs
@needs_llama_cpp
@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "untied, free head_dim", "shared attention, sliding"])
def test_llama_cpp_writes_the_text_that_transformers_writes(name: str, tmp_path: Path, tokenizer_file: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="pip install transformers")
    from trials.latency.runtimes.llama_cpp_runtime import load

    exported(SHAPES[name], tmp_path, tokenizer_file, "float32", ("hf", "gguf"))
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    session = load(tmp_path, SHAPES[name], 256, threads=1)
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


@pytest.mark.needs
@needs_llama_cpp
def test_two_tensors_at_one_place_of_a_file_are_refused_by_llama_cpp(tmp_path: Path) -> None:
    """Why a shared block is written once for each time it runs."""
    from trials.latency.runtimes.llama_cpp_runtime import load

    path, shared = tmp_path / GGUF, SHAPES["shared blocks"]
    write_gguf(path, Model(shared, load_weights(weights_of(shared, tmp_path))))
    first, second = (tensor for tensor in gguf.GGUFReader(path).tensors if tensor.name in ("blk.0.ffn_up.weight", "blk.1.ffn_up.weight"))
    place, offset = int(second.field.offset + sum(part.nbytes for part in second.field.parts[:-1])), first.field.parts[-1]
    data = bytearray(path.read_bytes())
    assert data[place : place + 8] == second.field.parts[-1].tobytes()
    data[place : place + 8] = offset.tobytes()
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"cannot load .*model.gguf: .*'blk.1.ffn_up.weight' has offset"):
        load(tmp_path, shared, 16, threads=1)


@pytest.mark.needs
@needs_llama_cpp
def test_a_crash_of_llama_cpp_is_a_failed_export(tmp_path: Path, tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.export.subprocess_reading.sys.executable", "/bin/false")
    with pytest.raises(WorkError, match=r"gguf, loaded by llama-cpp-python .*: llama.cpp failed: it ended with exit code 1; do not use it"):
        exported(SHAPE, tmp_path, tokenizer_file, "float16")


@pytest.mark.more
@pytest.mark.needs
@needs_llama_cpp
@pytest.mark.slow
@pytest.mark.parametrize("precision", GGUF_PRECISIONS)
def test_a_latency_is_taken_with_llama_cpp(precision: str) -> None:
    process = LatencyProcess(LatencySpec(runtime="llama.cpp", precision=precision, prompt_tokens=16, new_tokens=16, repeats=3))
    try:
        taken = process.measure(SHAPE)
    finally:
        process.close()
    assert (taken.runtime, taken.precision) == ("llama.cpp", precision)
    assert taken.runtime_version[0].isdigit()
    assert taken.total_ms.median > taken.prefill_ms.median > 0
