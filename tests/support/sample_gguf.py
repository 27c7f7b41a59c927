"""Shapes of every kind that a GGUF file can hold, and their export as the command does it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from search_space.architecture import Architecture
from search_space.sharing import Sharing
from tests.support.sample_network import spread_out
from trials.corpus.tokenizer import train_tokenizer
from trials.export.check import Check
from trials.export.verification import verify
from trials.export.write import write_formats
from trials.network.weights import save_weights

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
    "biases, other constants": replace(SHAPE, head_dim=24, attention_bias="qkv", rope_theta=100.0, rms_norm_eps=0.01),
    "qk norm, free head_dim": replace(SHAPE, head_dim=24, qk_norm=True, rms_norm_eps=0.01),
    "qk norm, heads of 128": replace(SHAPE, num_attention_heads=2, num_key_value_heads=1, head_dim=128, qk_norm=True, rms_norm_eps=0.01),
    "qk norm, biases, shared": replace(SHAPE, qk_norm=True, attention_bias="qkv", sharing=Sharing("reverse", 2)),
    "sliding, other constants": replace(SLIDING, rope_theta=100.0),
    "shared blocks": replace(SHAPE, sharing=Sharing("immediate", 2)),
    "shared attention, sliding": replace(SLIDING, sharing=Sharing("reverse", 2, "attention")),
}
TEXTS = ["def front(points):\n    return [p for p in points]\n" * 9, "Die Prüfung läuft; ça va. 日本語のテキスト 12345"] * 20


def padded_tokenizer(folder: Path) -> Path:
    """The file of a tokenizer with less tokens than the shapes' vocabulary has."""
    file = folder / "tokenizer.json"
    train_tokenizer(TEXTS, VOCABULARY - 8, file)
    return file


def weights_of(architecture: Architecture, directory: Path) -> Path:
    """The file of a spread out network's weights."""
    file = directory / "weights.safetensors"
    save_weights(file, spread_out(architecture))
    return file


def exported(
    architecture: Architecture, directory: Path, tokenizer: Path, precision: str, formats: tuple[str, ...] = ("gguf",)
) -> list[Check]:
    """Written and verified as the command does it."""
    weights = weights_of(architecture, directory)
    write_formats(formats, directory, architecture, weights, tokenizer, CONTEXT, {"gguf": precision})
    return verify(formats, directory, architecture, weights, tokenizer)
