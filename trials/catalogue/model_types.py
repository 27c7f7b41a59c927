"""What classes of transformers have beside what a config.json says, and parts that no block here has. Standard library only.

The classes are those of transformers 5, and MobileLLM's published one; `tests/trials/catalogue/test_published_config.py` holds the rows
against them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

FULL_LAYER, SLIDING_LAYER = "full_attention", "sliding_attention"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelType:
    """A class whose weights are matrices and vectors that closed forms count."""

    unsaid: Mapping[str, Any] = field(default_factory=dict)
    """Values of keys that a config.json leaves out, where they are not those of `UNSAID`."""
    biases: str = "all"
    """What `attention_bias: true` puts biases on: `all` four projections of an attention, or `qkv`; `always` is `qkv` whatever it says."""
    pattern: tuple[str, ...] = (FULL_LAYER,)
    """Attention of the blocks, repeated over the depth, where there is a window and `layer_types` is left out."""
    has_qk_norm: bool = False
    """Whether each head's queries and keys are normalised, before RoPE where `parts` does not say otherwise."""
    is_gated: bool = True
    """Whether its MLP has three matrices."""
    parts: tuple[str, ...] = ()
    """Parts that no block here has, which it has whatever its config.json says, and which change no count."""


UNSAID: Mapping[str, Any] = {
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "num_key_value_heads": None,
    "head_dim": None,
    "rope_theta": 10_000.0,
    "rms_norm_eps": 1e-6,
    "attention_bias": False,
}
"""What most classes take for a key that is left out; None is all heads, and a head's share of the width."""
GROUPED = {"num_key_value_heads": 8}
WINDOWED = {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28}
MODEL_TYPES: dict[str, ModelType] = {
    "llama": ModelType(),
    "mobilellm": ModelType(unsaid={"rms_norm_eps": 1e-5}),
    "mistral": ModelType(unsaid=GROUPED | {"sliding_window": 4096}, pattern=(SLIDING_LAYER,)),
    "ministral": ModelType(unsaid=GROUPED | {"sliding_window": 4096}, pattern=(SLIDING_LAYER,)),
    "ministral3": ModelType(unsaid=GROUPED | {"head_dim": 128, "rope_theta": 1e6, "rms_norm_eps": 1e-5}, pattern=(SLIDING_LAYER,)),
    "qwen2": ModelType(unsaid=WINDOWED | {"num_key_value_heads": 32}, biases="always"),
    "qwen3": ModelType(unsaid=WINDOWED | {"num_key_value_heads": 32, "head_dim": 128}, has_qk_norm=True),
    "hunyuan_v1_dense": ModelType(unsaid={"rms_norm_eps": 1e-5}, has_qk_norm=True, parts=("norms of queries and keys after RoPE",)),
    "seed_oss": ModelType(unsaid=GROUPED | {"head_dim": 128, "attention_bias": True}, biases="qkv"),
    "internlm3": ModelType(unsaid={"num_key_value_heads": 2, "head_dim": 128, "rms_norm_eps": 1e-5}),
    "phi3": ModelType(unsaid={"rms_norm_eps": 1e-5}, pattern=(SLIDING_LAYER,)),
    "granite": ModelType(),
    "helium": ModelType(
        unsaid={"num_key_value_heads": 20, "head_dim": 128, "rope_theta": 100_000.0, "rms_norm_eps": 1e-8}, biases="qkv"
    ),
    "ernie4_5": ModelType(
        unsaid={
            "num_key_value_heads": 2, "head_dim": 128, "rope_theta": 500_000.0, "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
        }
    ),
    "cwm": ModelType(
        unsaid=GROUPED | {"head_dim": 128, "sliding_window": 8192, "rope_theta": 1e6, "rms_norm_eps": 1e-5},
        pattern=(FULL_LAYER, SLIDING_LAYER, SLIDING_LAYER, SLIDING_LAYER),
    ),
    "arcee": ModelType(unsaid={"hidden_act": "relu2", "rms_norm_eps": 1e-5}, is_gated=False),
    "gemma": ModelType(
        unsaid={"num_key_value_heads": 16, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh", "tie_word_embeddings": True}
    ),
    "vaultgemma": ModelType(
        unsaid={
            "num_key_value_heads": 4, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh", "tie_word_embeddings": True,
            "sliding_window": 4096, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
        },
        pattern=(SLIDING_LAYER, FULL_LAYER),
    ),
    "glm": ModelType(
        unsaid={
            "num_key_value_heads": 2, "head_dim": 128, "rms_norm_eps": 1.5625e-07, "attention_bias": True, "partial_rotary_factor": 0.5,
        },
        biases="qkv",
    ),
    "smollm3": ModelType(
        unsaid={
            "num_key_value_heads": 4, "rope_theta": 2e6, "tie_word_embeddings": True, "use_sliding_window": False,
            "no_rope_layer_interval": 4,
        },
        pattern=(FULL_LAYER, FULL_LAYER, FULL_LAYER, SLIDING_LAYER),
    ),
}  # fmt: skip
"""Every class whose counts are known."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part that no block here has, and the keys that say whether a model has it."""

    name: str
    keys: tuple[str, ...]
    is_there: Callable[[Any], bool] = bool
    """Whether a value of one of the keys, which is not null, says that the part is there."""
    is_counted: bool = True
    """Whether it changes parameters or FLOPs, so that not even these are known."""


LAYER_NORM, ALL_BIASES, LEARNED, PARALLEL = "LayerNorm", "biases on its matrices", "learned positions", "a parallel block"
QK_NORM = "norms of queries and keys"
AFTER, FOUR_NORMS, BOTH_SIDES = "norms after attention and MLP in place of before", "four norms a block", "attention to both sides"
UNKNOWN_PARTS: tuple[Part, ...] = (
    Part("a mixture of experts", ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")),
    Part("multi-head latent attention", ("kv_lora_rank",)),
    Part(
        "blocks that are not attention",
        (
            "mamba_d_state", "mamba_config", "state_size", "ssm_cfg", "conv_L_cache", "linear_num_value_heads", "lru_width",
            "attn_layer_indices",
        ),
    ),
    Part("an encoder", ("is_encoder_decoder",)),
    Part("an encoder of images or sound", ("vision_config", "audio_config")),
    Part("heads for further tokens", ("num_nextn_predict_layers",)),
    Part(PARALLEL, ("parallel_attn", "use_parallel_residual", "parallel_residual")),
    Part(
        LAYER_NORM,
        ("layer_norm_eps", "layer_norm_epsilon", "layer_norm_elementwise_affine", "norm_epsilon"), lambda value: value is not False,
    ),
    Part("ALiBi", ("alibi",)),
    Part("a bias on the attention's output", ("attention_out_bias", "dense_bias")),
    Part("biases in the MLP", ("mlp_bias",)),
    Part(ALL_BIASES, ("use_bias", "bias", "qkv_bias", "use_qkv_bias")),
    Part(QK_NORM, ("qk_layernorm", "use_qk_norm", "qk_norm")),
    Part(FOUR_NORMS, ("use_post_norm",)),
    Part("an embedding for each block", ("hidden_size_per_layer_input",)),
    Part("keys and values shared between blocks", ("use_cla", "num_kv_shared_layers")),
    Part(
        "a partial rotary share",
        ("partial_rotary_factor", "rotary_pct", "rope_pct"), lambda value: value != 1.0, is_counted=False,
    ),
    Part("a partial rotary share", ("rotary_dim",), is_counted=False),
    Part("blocks without RoPE", ("no_rope_layers",), lambda value: isinstance(value, list) and 0 in value, is_counted=False),
    Part("blocks without RoPE", ("no_rope_layer_interval",), is_counted=False),
    Part("capped logits", ("attn_logit_softcapping", "final_logit_softcapping"), is_counted=False),
    Part("clipped queries, keys and values", ("clip_qkv",), is_counted=False),
    Part(BOTH_SIDES, ("use_bidirectional_attention",), is_counted=False),
)  # fmt: skip
"""What keys tell of any model."""
OTHER_TYPES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("gpt2", "gpt_bigcode", "opt", "gpt_neo", "biogpt", "openai-gpt", "xglm"), (LEARNED, LAYER_NORM, ALL_BIASES)),
    **dict.fromkeys(("bert", "roberta", "electra", "camembert"), (LEARNED, LAYER_NORM, ALL_BIASES, BOTH_SIDES)),
    **dict.fromkeys(("gptj", "codegen", "phi"), (PARALLEL, LAYER_NORM, ALL_BIASES)),
    **dict.fromkeys(("gpt_neox", "starcoder2", "persimmon", "jais2"), (LAYER_NORM, ALL_BIASES)),
    **dict.fromkeys(("stablelm", "falcon", "nemotron"), (LAYER_NORM,)),
    **dict.fromkeys(("cohere", "cohere2"), (PARALLEL, LAYER_NORM)),
    **dict.fromkeys(("bloom", "mpt"), ("ALiBi", LAYER_NORM)),
    "olmo": ("norms without weights",),
    "nanochat": ("norms without weights",),
    **dict.fromkeys(("olmo2", "olmo3"), (AFTER, "norms over all queries and over all keys")),
    "exaone4": (AFTER,),
    **dict.fromkeys(("gemma2", "gemma3", "gemma3_text", "gemma3n", "glm4"), (FOUR_NORMS,)),
    "bitnet": ("norms before the output projections",),
    "diffllama": ("differential attention",),
    "apertus": ("an MLP's activation with weights",),
    "granite_swa": ("sinks of attention",),
    "gpt_oss": ("sinks of attention", ALL_BIASES),
    "dbrx": ("a mixture of experts", LAYER_NORM),
    **dict.fromkeys(("mamba", "mamba2", "rwkv", "xlstm", "falcon_mamba"), ("blocks that are not attention",)),
}
"""What keys do not tell of some whose counts are not known."""
