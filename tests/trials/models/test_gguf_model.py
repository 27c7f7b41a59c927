"""GGUF files become networks: our own of every kind of shape, and twins of what llama.cpp has beside; anything else is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy
import pytest
import torch

from search_space.errors import SpecError
from tests.support.sample_gguf import CONTEXT, SHAPE, SHAPES, VOCABULARY, padded_tokenizer, weights_of
from trials.export.write import write_formats
from trials.models.gguf_model import NEUTRAL_KEYS, load_gguf_model
from trials.models.gguf_reading import network_from_gguf, read_gguf
from trials.models.load_model import load_model
from trials.network.weights import load_network

TOKENS = torch.arange(48)[None] * 11 % (VOCABULARY - 8)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return padded_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def written(name: str, folder: Path, tokenizer: Path, precision: str = "float32") -> Path:
    weights = weights_of(SHAPES[name], folder)
    write_formats(["gguf"], folder, SHAPES[name], weights, tokenizer, CONTEXT, {"gguf": precision})
    return next(folder.glob("*.gguf"))


@pytest.mark.parametrize("name", SHAPES)
def test_our_own_file_is_read_as_the_network_that_it_was_written_from(name: str, tokenizer: Path, tmp_path: Path) -> None:
    model = load_model(written(name, tmp_path, tokenizer))
    original = load_network(tmp_path / "weights.safetensors", SHAPES[name])
    with torch.inference_mode():
        assert torch.equal(model.network(TOKENS), original(TOKENS))
    assert (model.context_tokens, model.prefix_token_id, model.precision) == (CONTEXT, 0, "F32")
    text = "def front(points):\n  return 12345  # ça va"
    assert model.tokenizer.decode(model.encode(text)) == text


@pytest.mark.parametrize("precision", ["float16", "int8", "int4"])
def test_rounded_weights_are_those_of_the_file(precision: str, tokenizer: Path, tmp_path: Path) -> None:
    path = written("plain", tmp_path, tokenizer, precision)
    model = load_gguf_model(path)
    with torch.inference_mode():
        assert torch.equal(model.network(TOKENS), network_from_gguf(read_gguf(path), SHAPE)(TOKENS))


def rewritten(path: Path, folder: Path, architecture: str, tensors: dict[str, Any] | None = None, **changes: Any) -> Path:
    """The file with other keys, its architecture's name and further tensors; a key that becomes None is left out."""
    reader, target = gguf.GGUFReader(path), folder / "changed.gguf"
    writer = gguf.GGUFWriter(target, architecture)
    before = reader.fields["general.architecture"].contents()
    for key, field in reader.fields.items():
        own = key.removeprefix(f"{before}.")
        if key.startswith("GGUF.") or key == "general.architecture" or (own in changes and changes[own] is None):
            continue
        kind = field.types[0]
        writer.add_key_value(
            key.replace(f"{before}.", f"{architecture}.", 1),
            changes.pop(own, field.contents()),
            kind,
            field.types[-1] if len(field.types) > 1 else None,
        )
    for key, value in changes.items():
        if value is not None:
            kind = {bool: "BOOL", int: "UINT32", float: "FLOAT32", str: "STRING"}[type(value)]
            writer.add_key_value(f"{architecture}.{key}", value, gguf.GGUFValueType[kind])
    every = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors} | (tensors or {})
    for name, values in every.items():
        if values is not None:
            writer.add_tensor(name, numpy.ascontiguousarray(values, numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def test_a_twin_of_qwen_2_does_not_turn_neighbours(tokenizer: Path, tmp_path: Path) -> None:
    """Our biases are written as `llama`; what others write as `qwen2` has the same blocks with rows in the other order."""
    name = "biases, other constants"
    path = written(name, tmp_path, tokenizer)
    original = load_network(tmp_path / "weights.safetensors", SHAPES[name])
    rows = {
        f"blk.{depth}.attn_{part}.{kind}": getattr(getattr(layer.self_attn, f"{part}_proj"), kind).detach().numpy()
        for depth, layer in enumerate(original.model.layers)
        for part in "qk"
        for kind in ("weight", "bias")
    }
    twin = load_gguf_model(rewritten(path, tmp_path, "qwen2", rows))
    with torch.inference_mode():
        assert torch.equal(twin.network(TOKENS), original(TOKENS))


OTHER: dict[str, tuple[dict[str, Any], str]] = {
    "experts": ({"expert_count": 8}, "llama.expert_count must not change what the blocks compute, found 8"),
    "capped logits": ({"final_logit_softcapping": 30.0}, "final_logit_softcapping must not change"),
    "stretched angles": ({"rope.scaling.type": "yarn"}, "rope.scaling.type must not change what the blocks compute, found 'yarn'"),
    "an unnamed stretch": ({"rope.scaling.factor": 4.0}, "rope.scaling.factor must not change"),
    "other angles in a window": ({"rope.freq_base_swa": 5.0}, "rope.freq_base_swa must not change"),
    "a pattern by its length": ({"attention.sliding_window_pattern": 6}, "sliding_window_pattern must name each block, found 6"),
    "a key of the future": ({"attention.sinks": True}, "llama.attention.sinks must not change what the blocks compute, found True"),
    "scaled logits": ({"logit_scale": 0.5}, "logit_scale must not change"),
    "a partial rotary share": ({"rope.dimension_count": 8}, "rope.dimension_count must be the width of a head, 16, found 8"),
    "values of another width": ({"attention.value_length": 8}, "attention.value_length must be the width of a head"),
    "no depth": ({"block_count": None}, "llama.block_count must be one whole number for all blocks, found nothing"),
    "another depth": ({"block_count": 3}, "blk.2.attn_k.weight must be"),
    "a table of angles": ({"tensors": {"rope_freqs.weight": numpy.ones(8)}}, "rope_freqs.weight must be nothing"),
    "a bias on the output": ({"tensors": {"blk.1.attn_output.bias": numpy.ones(64)}}, "blk.1.attn_output.bias must be nothing"),
    "a missing tensor": ({"tensors": {"output_norm.weight": None}}, "output_norm.weight must be [64]"),
    "no embedding": ({"tensors": {"token_embd.weight": None}}, "must hold an embedding"),
    "another class": ({"architecture": "gemma2"}, "found 'gemma2'"),
}


@pytest.mark.parametrize("name", OTHER)
def test_what_our_blocks_do_not_have_is_refused_by_name(name: str, tokenizer: Path, tmp_path: Path) -> None:
    changes, said = OTHER[name]
    changes = {"architecture": "llama"} | changes
    with pytest.raises(SpecError) as refused:
        load_gguf_model(rewritten(written("plain", tmp_path, tokenizer), tmp_path, **changes))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_keys_that_change_nothing_are_passed_over(tokenizer: Path, tmp_path: Path) -> None:
    neutral: dict[str, Any] = {key: values[-1] for key, values in NEUTRAL_KEYS.items()}
    load_gguf_model(rewritten(written("plain", tmp_path, tokenizer), tmp_path, "llama", **neutral))


TOKENIZERS: dict[str, tuple[dict[str, Any], str]] = {
    "another splitter": ({"pre": "tekken"}, "that splits text as gpt-2, smollm, llama-bpe, qwen2 do, found 'tekken'"),
    "no splitter": ({"pre": None}, "found nothing"),
    "a sentencepiece one": ({"model": "llama"}, "must have a byte-level BPE tokenizer (gpt2) that splits text as"),
    "no merges": ({"merges": None}, "must hold a tokenizer with its tokens and merges, found"),
    "no tokens": ({"tokens": None}, "must hold a tokenizer with its tokens and merges, found"),
    "merges of elsewhere": ({"merges": ["zzz yyy"]}, "must hold a tokenizer with its tokens and merges, found"),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_tokenizer_that_cannot_be_rebuilt_is_one_sentence(name: str, tokenizer: Path, tmp_path: Path) -> None:
    changes, said = TOKENIZERS[name]
    path = rewritten(
        written("plain", tmp_path, tokenizer), tmp_path, "llama", **{f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    )
    with pytest.raises(SpecError) as refused:
        load_gguf_model(path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("cut", [4, 40, 3000])
def test_a_cut_file_is_one_sentence(cut: int, tokenizer: Path, tmp_path: Path) -> None:
    path = written("plain", tmp_path, tokenizer)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SpecError, match="must be a GGUF file that can be read whole"):
        load_model(path)
