"""The fields of a shape, one row each, from which everything is made that names them: shapes, spaces, labels, hashes, costs, documents.

`search_space.architecture.Architecture` has an attribute for each. Closed forms are told in the letters of docs/method.md: V `vocab_size`,
d `hidden_size`, H and K query and key-value heads, h `head_dim`, f `intermediate_size`; A and M attentions and MLPs stored, L blocks
executed.
"""

from __future__ import annotations

from typing import Any

from search_space.field import Field, FieldKind
from search_space.sharing import PARTS, STRATEGIES, Sharing

BIAS_TRUE = (
    ": Hugging Face's Llama puts one on the output projection too where this is true, which no shape here has; choose qkv, the biases of "
    "Qwen2, or none"
)
SLIDING = {"layer_types": ("sliding_attention", "full_attention"), "sliding_window": 64}


def _shared(a: Any) -> str:
    part = "" if a.sharing.part == "block" else f" {a.sharing.part}"
    return f"{a.sharing.strategy}{part} x{a.sharing.repeats}"


def _ungated(of: str) -> str:
    return (
        f"mlp must be swiglu in a GGUF file, found {of}: no architecture of llama.cpp has RMSNorm, RoPE and an ungated MLP with "
        f"{'the exact GELU' if of == 'gelu' else 'a ReLU that is not squared'}; choose swiglu, or another format"
    )


FIELDS: tuple[Field, ...] = (
    Field(
        name="vocab_size", kind=FieldKind.INT, always_written=True, in_space=32_000, of_study=True,
        parameters="V d, twice where untied", flops="2 V d", activations="the logits of one piece of the tokens",
    ),
    Field(
        name="num_unique_layers", kind=FieldKind.INT, always_written=True, in_space={"from": 2, "to": 40}, column=True,
        label=lambda a: f"{a.num_unique_layers}x{a.hidden_size}", label_form=r"(?P<blocks>\d+)x(?P<width>\d+)",
        label_says="{blocks} blocks stored (num_unique_layers), {width} wide (hidden_size)",
        parameters="A and M", flops="L", kv_cache="L", activations="L",
    ),
    Field(
        name="hidden_size", kind=FieldKind.INT, always_written=True, in_space={"solve": True, "multiple_of": 8}, solvable=True, column=True,
        parameters="d in every matrix and norm", flops="d in every matrix", activations="16 d bytes an executed block",
    ),
    Field(
        name="num_attention_heads", kind=FieldKind.INT, always_written=True, in_space={"ratio_of_hidden": [1.0]}, ratio="ratio_of_hidden",
        least_stated=True, column=True, label=lambda a: f"{a.num_attention_heads}/{a.num_key_value_heads}x{a.head_dim}",
        label_form=r"(?P<heads>\d+)/(?P<shared>\d+)x(?P<width>\d+)",
        label_says="{heads} query heads and {shared} key-value heads (num_attention_heads, num_key_value_heads), {width} wide (head_dim)",
        parameters="2 d H h of each attention", flops="2 times its matrices, and 4 H h for each key that a query meets",
        activations="8 H h bytes an executed block",
    ),
    Field(
        name="num_key_value_heads", kind=FieldKind.INT, always_written=True, in_space={"ratio_of_heads": [1.0]}, ratio="ratio_of_heads",
        column=True,
        parameters="2 d K h of each attention", flops="2 times its matrices", kv_cache="2 K h of each token and executed block",
        activations="8 K h bytes an executed block",
    ),
    Field(
        name="head_dim", kind=FieldKind.INT, always_written=True, in_space=64, even=True, column=True,
        parameters="h of each head", flops="h of each head", kv_cache="h of each key-value head", activations="h of each head",
    ),
    Field(
        name="intermediate_size", kind=FieldKind.INT, always_written=True, in_space={"solve": True, "multiple_of": 8, "ratio": [1.0, 6.0]},
        ratio="ratio_of_hidden", solvable=True, column=True, label=lambda a: f"f{a.intermediate_size}",
        label_form=r"f(?P<width>\d+)", label_says="an MLP that is {width} wide (intermediate_size)",
        parameters="3 d f of each gated MLP, else 2 d f", flops="2 times its matrices", activations="16 f bytes an executed block",
    ),
    Field(
        name="mlp", kind=FieldKind.CHOICE, choices=("swiglu", "gelu", "relu"), default="swiglu", always_written=True, column=True,
        label=lambda a: a.mlp, label_form="(?P<of>gelu|relu)",
        label_says="an MLP without a gate, of {of} (mlp); swiglu where nothing is said", example={"mlp": "relu"},
        parameters="d f less without a gate", flops="2 d f less without a gate",
        activations="8 f bytes with gelu, 4 f with relu, in the place of 16 f",
        refused={"gguf": {of: _ungated(of) for of in ("gelu", "relu")}},
    ),
    Field(
        name="sharing", kind=FieldKind.SHARING, default=Sharing(), always_written=True, column=True,
        label=_shared, label_form=rf"(?P<strategy>{'|'.join(STRATEGIES[1:])})(?: (?P<part>{'|'.join(PARTS[1:])}))? x(?P<repeats>\d+)",
        label_says="each stored {part} runs {repeats} times, in the order {strategy} (sharing)", example={"sharing": Sharing("reverse", 2)},
        parameters="A or M or both stay while L grows", flops="L", kv_cache="L", activations="L",
    ),
    Field(
        name="tie_word_embeddings", kind=FieldKind.BOOL, default=True, always_written=True, of_study=True,
        label=lambda a: "untied", label_form="untied",
        label_says="a table for the output beside the embedding (tie_word_embeddings: false)", example={"tie_word_embeddings": False},
        parameters="V d once, else twice",
    ),
    Field(
        name="layer_types", kind=FieldKind.LAYERS, choices=("full_attention", "sliding_attention"), default=("full_attention",),
        always_written=True, in_space=[["full_attention"]], example=SLIDING,
        flops="fewer keys where a block slides", kv_cache="fewer keys where a block slides",
        activations="a mask where a block slides within the context",
    ),
    Field(
        name="sliding_window", kind=FieldKind.INT, default=None, always_written=True,
        label=lambda a: f"{a.layer_types.count('sliding_attention')} sliding {a.sliding_window}",
        label_form=r"(?P<count>\d+) sliding (?P<window>\d+)",
        label_says="{count} executed blocks see the last {window} tokens alone (layer_types, sliding_window)", example=SLIDING,
        flops="at most so many keys", kv_cache="at most so many tokens",
    ),
    Field(
        name="rope_theta", kind=FieldKind.REAL, default=10_000.0, of_study=True,
        label=lambda a: f"theta {a.rope_theta:.12g}", label_form=r"theta (?P<base>\S+)",
        label_says="rotary positions of base {base} (rope_theta)", example={"rope_theta": 500_000.0},
    ),
    Field(
        name="rms_norm_eps", kind=FieldKind.REAL, default=1e-5, of_study=True,
        label=lambda a: f"eps {a.rms_norm_eps:.12g}", label_form=r"eps (?P<least>\S+)",
        label_says="{least} under the root of each norm (rms_norm_eps)", example={"rms_norm_eps": 1e-3},
    ),
    Field(
        name="attention_bias", kind=FieldKind.CHOICE, choices=("none", "qkv"), default="none", of_study=True, column=True,
        spellings={"false": "none"}, cures={"true": BIAS_TRUE}, label=lambda a: f"{a.attention_bias} bias",
        label_form="(?P<where>qkv) bias", label_says="biases on queries, keys and values (attention_bias: {where})",
        example={"attention_bias": "qkv"}, parameters="H h + 2 K h of each attention",
        attention_vectors=lambda a: (a.num_attention_heads + 2 * a.num_key_value_heads) * a.head_dim if a.attention_bias == "qkv" else 0,
    ),
    Field(
        name="qk_norm", kind=FieldKind.BOOL, default=False, of_study=True, column=True,
        label=lambda a: "qk norm", label_form="qk norm", label_says="an RMSNorm of each head's queries and keys (qk_norm)",
        example={"qk_norm": True},
        parameters="2 h of each attention", activations="4 (H + K) (h + 1) bytes an executed block",
        attention_vectors=lambda a: 2 * a.head_dim if a.qk_norm else 0,
        attention_bytes=lambda a: 4 * (a.num_attention_heads + a.num_key_value_heads) * (a.head_dim + 1) if a.qk_norm else 0,
    ),
)  # fmt: skip
"""Every field, in the order of a label's words. A new one comes last, and is not `always_written`."""
BY_NAME = {row.name: row for row in FIELDS}
OPTIONAL = tuple(row for row in FIELDS if not row.always_written)
"""Fields that came after the first records."""
OF_STUDY = tuple(row.name for row in FIELDS if row.of_study)


def refusal(a: Any, export: str) -> str | None:
    """Why an export cannot hold a value of a shape, whatever the rest of it is, in a sentence with the cure; None where it can."""
    for row in FIELDS:
        sentence = row.refused.get(export, {}).get(str(getattr(a, row.name)))
        if sentence is not None:
            return sentence
    return None
