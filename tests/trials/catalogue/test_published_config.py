"""The config.json of a published model counted: held against transformers' own classes, and what no block here has is named, all of it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from search_space.architecture import Architecture
from search_space.cost import parameters
from search_space.errors import SpecError
from search_space.fields import OPTIONAL
from search_space.sharing import Sharing
from trials.catalogue.hugging_face_config import hugging_face_config
from trials.catalogue.model_types import MODEL_TYPES, OTHER_TYPES, UNKNOWN_PARTS
from trials.catalogue.published_config import READ, is_published, read_published

IN_TRANSFORMERS = tuple(name for name in MODEL_TYPES if name != "mobilellm")
SQUARE = ("llama", "arcee", "helium", "internlm3")
"""Classes that refuse a width which the query heads do not divide."""
QWEN_05B = {
    "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "hidden_act": "silu", "hidden_size": 896,
    "initializer_range": 0.02, "intermediate_size": 4864, "max_position_embeddings": 32768, "max_window_layers": 24,
    "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
    "transformers_version": "4.40.1", "use_cache": True, "use_sliding_window": False, "vocab_size": 151936,
}  # fmt: skip
PUBLISHED = [
    (494_032_768, QWEN_05B),
    (1_235_814_400, {"model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "head_dim": 64,
                     "num_key_value_heads": 8, "intermediate_size": 8192, "vocab_size": 128256, "tie_word_embeddings": True,
                     "rope_scaling": {"factor": 32.0, "rope_type": "llama3"}}),
    (6_738_415_616, {"architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
                     "intermediate_size": 11008, "vocab_size": 32000}),
    (7_241_732_096, {"model_type": "mistral", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
                     "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 32000, "sliding_window": 4096}),
    (134_515_008, {"model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "vocab_size": 49152,
                   "num_key_value_heads": 3, "intermediate_size": 1536, "tie_word_embeddings": True}),
    (3_075_098_624, {"model_type": "smollm3", "hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16,
                     "num_key_value_heads": 4, "intermediate_size": 11008, "vocab_size": 128256}),
    (2_506_172_416, {"model_type": "gemma", "hidden_size": 2048, "num_hidden_layers": 18, "num_attention_heads": 8, "head_dim": 256,
                     "num_key_value_heads": 1, "intermediate_size": 16384, "vocab_size": 256000, "hidden_act": "gelu"}),
    (3_821_079_552, {"model_type": "phi3", "hidden_size": 3072, "num_hidden_layers": 32, "num_attention_heads": 32,
                     "num_key_value_heads": 32, "intermediate_size": 8192, "vocab_size": 32064}),
    (596_049_920, {"model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16, "head_dim": 128,
                   "num_key_value_heads": 8, "intermediate_size": 3072, "vocab_size": 151936, "tie_word_embeddings": True}),
    (124_635_456, {"model_type": "mobilellm", "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "head_dim": 64,
                   "num_key_value_heads": 3, "intermediate_size": 1536, "vocab_size": 32000, "share_embedding": True,
                   "layer_sharing": True, "tie_word_embeddings": False}),
]  # fmt: skip


def configs(model_type: str) -> Iterator[dict[str, Any]]:
    """Sizes and what a class may say of its count, drawn with the name as the seed."""
    chance = random.Random(model_type)
    for _ in range(6):
        heads, head_dim = chance.choice([2, 4, 6]), chance.choice([8, 16])
        drawn: dict[str, Any] = {
            "vocab_size": chance.choice([96, 130]),
            "hidden_size": heads * head_dim if model_type in SQUARE or chance.random() < 0.5 else 8 * heads + chance.choice([0, 12]),
            "num_hidden_layers": chance.choice([1, 2, 5]),
            "num_attention_heads": heads,
            "num_key_value_heads": chance.choice([1, 2, heads]),
            "intermediate_size": chance.choice([40, 72]),
            "head_dim": head_dim,
            "tie_word_embeddings": chance.random() < 0.5,
        }
        if MODEL_TYPES[model_type].biases == "qkv":
            drawn["attention_bias"] = chance.random() < 0.5
        if "sliding_window" in MODEL_TYPES[model_type].unsaid:
            drawn |= {"sliding_window": chance.choice([None, 16])} if model_type not in ("vaultgemma", "cwm") else {"sliding_window": 16}
        if "use_sliding_window" in MODEL_TYPES[model_type].unsaid:
            drawn |= {"use_sliding_window": chance.random() < 0.5, "max_window_layers": chance.choice([0, 1, 9])}
        yield drawn


def counted_by_transformers(config: Any) -> int:
    """Weights of the class itself, none of which is ever made."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())


@pytest.mark.parametrize("model_type", IN_TRANSFORMERS)
def test_counts_are_those_of_the_class_itself(model_type: str, tmp_path: Path) -> None:
    from transformers import AutoConfig

    for drawn in configs(model_type):
        config = AutoConfig.for_model(model_type, bos_token_id=0, eos_token_id=0, pad_token_id=0, **drawn)
        counted = counted_by_transformers(config)
        config.save_pretrained(tmp_path)
        for written in (config.to_dict(), json.loads((tmp_path / "config.json").read_text()), {"model_type": model_type, **drawn}):
            shape = read_published(written).shape
            assert parameters(shape) == counted
            assert shape.tie_word_embeddings == drawn["tie_word_embeddings"]
            assert (shape.rms_norm_eps, shape.rope_theta) == (config.rms_norm_eps, config.rope_parameters["rope_theta"])
            if (kinds := getattr(config, "layer_types", None)) and config.sliding_window:
                assert list(shape.layer_types) == kinds


@pytest.mark.parametrize("model_type", IN_TRANSFORMERS)
def test_what_a_file_leaves_out_is_what_the_class_takes(model_type: str) -> None:
    from transformers import AutoConfig

    sizes = {"vocab_size": 96, "hidden_size": 160, "num_hidden_layers": 4, "num_attention_heads": 160, "intermediate_size": 40}
    if model_type == "helium":
        sizes |= {"hidden_size": 2560, "num_attention_heads": 20}
    elif "head_dim" not in MODEL_TYPES[model_type].unsaid:
        sizes |= {"hidden_size": 320}
    config = AutoConfig.for_model(model_type, bos_token_id=0, eos_token_id=0, pad_token_id=0, **sizes)
    found = read_published({"model_type": model_type, **sizes})
    assert found.shape == read_published(config.to_dict()).shape
    if getattr(config, "head_dim", 0) is None:  # which Ministral's class then cannot be made of
        config.head_dim = found.shape.head_dim
    assert parameters(found.shape) == counted_by_transformers(config)


def test_no_class_of_transformers_is_counted_wrongly() -> None:
    from huggingface_hub.errors import StrictDataclassClassValidationError
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    refused = 0
    for model_type in sorted(set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) - set(MODEL_TYPES)):
        try:
            usual = AutoConfig.for_model(model_type).to_dict()
        except StrictDataclassClassValidationError:  # some have no usual sizes
            usual = {}
        with pytest.raises(SpecError, match=r"^the model's blocks must be those that archfront has") as caught:
            read_published({**usual, "model_type": model_type})
        assert str(caught.value).count(". ") == 0
        refused += 1
    assert refused > 100


@pytest.mark.parametrize(("count", "config"), PUBLISHED, ids=[f"{values.get('model_type')}-{count}" for count, values in PUBLISHED])
def test_published_counts(count: int, config: dict[str, Any]) -> None:
    assert is_published(config)
    assert parameters(read_published(config).shape) == count


def test_mobilellms_own_words_for_sharing() -> None:
    shape = read_published(PUBLISHED[-1][1]).shape
    assert (shape.num_unique_layers, shape.num_hidden_layers, shape.tie_word_embeddings) == (30, 60, True)
    assert shape.sharing == Sharing("immediate", 2)


SMALL = {"vocab_size": 300, "hidden_size": 48, "num_unique_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12,
         "intermediate_size": 80}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"tie_word_embeddings": False}, {"mlp": "relu"}, {"mlp": "gelu"}, {"attention_bias": "qkv"}, {"hidden_size": 50},
        {"sharing": Sharing("reverse", 3)}, {"sharing": Sharing("immediate", 2, "mlp")}, {"rope_theta": 5e5, "rms_norm_eps": 1e-3},
        {"layer_types": ("sliding_attention", "full_attention"), "sliding_window": 16}, {"num_key_value_heads": 4},
        *(row.example for row in OPTIONAL), {"qk_norm": True, "layer_types": ("full_attention", "sliding_attention"), "sliding_window": 16},
    ],
)  # fmt: skip
def test_what_an_export_writes_is_read_back_as_the_shape(changes: dict[str, Any]) -> None:
    shape = Architecture(**{**SMALL, **changes})
    found = read_published(json.loads(json.dumps(hugging_face_config(shape, 64, 0))))
    assert (found.shape, found.parts) == (shape, ())


def test_what_changes_neither_count_nor_cost_is_passed_over() -> None:
    config = {**PUBLISHED[1][1], "attention_dropout": 0.1, "initializer_range": 0.1, "bos_token_id": 1, "quantization_config": {"bits": 4}}
    found = read_published(config)
    assert found.passed_over == ("attention_dropout", "bos_token_id", "initializer_range", "quantization_config", "rope_scaling")
    assert found.parts == ()
    found.require_blocks()


@pytest.mark.parametrize("part", UNKNOWN_PARTS, ids=lambda part: part.keys[0])
def test_every_part_is_named_by_each_of_its_keys(part: Any) -> None:
    for key in part.keys:
        value: Any = [0, 1] if key == "no_rope_layers" else 0.5 if "rotary" in key or "pct" in key else 4
        config = {**PUBLISHED[1][1], key: value}
        if part.is_counted:
            with pytest.raises(SpecError, match=part.name):
                read_published(config)
        else:
            found = read_published(config)
            assert parameters(found.shape) == PUBLISHED[1][0]
            with pytest.raises(SpecError, match=f"found {part.name}, they change no count"):
                found.require_blocks()


@pytest.mark.parametrize("model_type", OTHER_TYPES)
def test_all_that_no_block_has_stands_in_one_sentence(model_type: str) -> None:
    config = {
        **QWEN_05B,
        "model_type": model_type,
        "n_routed_experts": 8,
        "rotary_pct": 0.25,
        "architectures": ["XForSequenceClassification"],
    }
    with pytest.raises(SpecError) as caught:
        read_published(config)
    for name in (*OTHER_TYPES[model_type], "a mixture of experts", "a partial rotary share", "the head of XForSequenceClassification"):
        assert str(caught.value).count(name) == 1
    assert "name another model, or write its sizes alone into a file" in str(caught.value)


def test_a_class_that_is_not_known_is_named() -> None:
    with pytest.raises(SpecError, match="found whatever the class somellama has, which archfront does not know"):
        read_published({**QWEN_05B, "model_type": "somellama"})
    with pytest.raises(SpecError, match="model_type must name a class of transformers"):
        read_published({"hidden_act": "silu", "hidden_size": 64})


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_values_of_any_kind_are_a_shape_or_a_sentence(model_type: str) -> None:
    odd: list[Any] = [None, True, 0, -1, 1.5, "x", [], [1], ["x"], {}, {"rope_theta": "x"}, float("nan")]
    every = {**QWEN_05B, "model_type": model_type}
    for key in (*every, *READ, *(key for part in UNKNOWN_PARTS for key in part.keys)):
        for value in odd:
            with suppress(SpecError):
                read_published({**every, key: value}).require_blocks()
