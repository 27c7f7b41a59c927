"""One learning rate for every shape: what the parametrizations keep constant over width and depth, and what they leave as it was."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM

from search_space.architecture import Architecture
from search_space.sharing import Sharing
from trials.corpus.tokenizer import train_tokenizer
from trials.formats.hugging_face import write_hugging_face
from trials.formats.model import Model
from trials.network.decoder import Network
from trials.network.weights import load_weights, save_weights
from trials.study.spec import ProxySpec
from trials.training.optimizers import make_optimizers
from trials.training.parametrization import reparametrize, scales

VOCAB = 64
WIDTHS, DEPTHS = (32, 64, 128), (2, 4, 8, 16)
OPTIMIZERS = pytest.mark.parametrize("optimizer", ["adamw", "muon"])


def shape(hidden_size: int = 32, depth: int = 2, **changes: object) -> Architecture:
    """Heads of 16, as many as the width holds, two to a key-value head; `depth` blocks stored."""
    built = Architecture(
        vocab_size=VOCAB,
        hidden_size=hidden_size,
        num_unique_layers=depth,
        num_attention_heads=hidden_size // 16,
        num_key_value_heads=hidden_size // 32,
        head_dim=16,
        intermediate_size=round(8 / 3 * hidden_size),
    )
    return dataclasses.replace(built, **changes)  # type: ignore[arg-type]


def recipe(**changes: object) -> ProxySpec:
    usual = {"tokens": 1, "learning_rate": 0.01, "muon_learning_rate": 0.02, "parametrization": "standard"}
    return ProxySpec.model_validate({**usual, **changes})


def after_steps(built: Architecture, proxy: ProxySpec, steps: int = 4) -> tuple[float, float]:
    """How far a few steps move what the blocks add to the residual stream, and the logits: root mean squares over a batch."""
    generator = torch.Generator().manual_seed(0)
    text = torch.randint(VOCAB // 2, (steps + 1, 8, 33), generator=generator) * 2
    network = Network(built, seed=0)
    reparametrize(network, proxy)
    optimizers = make_optimizers(network, proxy)
    stream, logits = what_blocks_add(network, text[-1, :, :-1])
    for batch in text[:-1]:
        functional.cross_entropy(network(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten()).backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    later_stream, later_logits = what_blocks_add(network, text[-1, :, :-1])
    return root_mean_square(later_stream - stream), root_mean_square(later_logits - logits)


@torch.no_grad()
def what_blocks_add(network: Network, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The residual stream before the final norm without the embeddings, and the logits."""
    seen: list[Tensor] = []
    hook = network.model.norm.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    logits = network(tokens)
    hook.remove()
    return seen[0] - network.model.embed_tokens(tokens), logits


def root_mean_square(values: Tensor) -> float:
    return values.square().mean().sqrt().item()


def growth(shapes: list[Architecture], **changes: object) -> tuple[float, float]:
    """The largest over the smallest change among shapes, of the stream and of the logits."""
    streams, logits = zip(*(after_steps(each, recipe(**changes)) for each in shapes), strict=True)
    return max(streams) / min(streams), max(logits) / min(logits)


@OPTIMIZERS
@pytest.mark.parametrize("tied", [True, False])
def test_what_a_few_steps_change_is_the_same_at_every_width(optimizer: str, tied: bool) -> None:
    shapes = [shape(width, tie_word_embeddings=tied) for width in WIDTHS]
    for parametrization in ("mup", "completep"):
        assert max(growth(shapes, optimizer=optimizer, parametrization=parametrization)) < 2
    assert min(growth(shapes, optimizer=optimizer)) > 3  # four times the width


@OPTIMIZERS
@pytest.mark.parametrize("repeats", [1, 2])
def test_what_a_few_steps_change_is_the_same_at_every_depth_executed(optimizer: str, repeats: int) -> None:
    shapes = [shape(depth=depth // repeats, sharing=Sharing("immediate", repeats)) for depth in DEPTHS]
    assert max(growth(shapes, optimizer=optimizer, parametrization="completep")) < 2
    for parametrization in ("standard", "mup"):
        stream, _ = growth(shapes, optimizer=optimizer, parametrization=parametrization)
        assert stream > 3  # eight times the depth


@OPTIMIZERS
def test_at_the_base_shape_all_parametrizations_are_the_standard_one(optimizer: str) -> None:
    base = shape(48, 2, num_attention_heads=3, num_key_value_heads=3, intermediate_size=128)
    at = {"hidden_size": 48, "num_hidden_layers": 2, "head_dim": 16}
    for parametrization in ("standard", "mup", "completep"):
        found = scales(Network(base), recipe(optimizer=optimizer, parametrization=parametrization, base=at))
        for name, scale in found.items():
            assert (scale.initial, scale.rate) == pytest.approx((1, 1)), name


@OPTIMIZERS
@pytest.mark.parametrize("parametrization", ["mup", "completep"])
def test_a_step_decays_every_matrix_of_a_block_by_the_same_share(optimizer: str, parametrization: str) -> None:
    network = Network(shape(128, 8, num_key_value_heads=1, head_dim=32))
    optimizers = make_optimizers(network, recipe(optimizer=optimizer, parametrization=parametrization, weight_decay=0.2))
    shares = [group["lr"] * group["weight_decay"] for each in optimizers for group in each.param_groups if group["weight_decay"]]
    assert len(shares) > 1
    assert shares == pytest.approx([0.2 * (0.02 if optimizer == "muon" else 0.01)] * len(shares))


def test_wider_heads_have_smaller_queries() -> None:
    wide, narrow = (scales(Network(shape(64, head_dim=head_dim)), recipe(parametrization="mup")) for head_dim in (64, 16))
    query, key = (f"model.layers.0.self_attn.{role}_proj.weight" for role in "qk")
    assert wide[query].initial == pytest.approx(narrow[query].initial / 2)
    assert wide[key].initial == narrow[key].initial


@OPTIMIZERS
def test_vectors_of_a_block_do_not_decay_and_are_not_muons(optimizer: str) -> None:
    network = Network(shape(64, 2, attention_bias="qkv"))
    vectors = {parameter for name, parameter in network.named_parameters() if parameter.ndim == 1}
    assert len(vectors) == 2 * (2 + 3) + 1
    for each in make_optimizers(network, recipe(optimizer=optimizer, parametrization="mup", weight_decay=0.2)):
        for group in each.param_groups:
            if vectors.intersection(group["params"]):
                assert isinstance(each, torch.optim.AdamW)
                assert group["weight_decay"] == 0


def test_a_bias_of_queries_moves_as_its_matrix_does() -> None:
    found = scales(Network(shape(64, head_dim=64, attention_bias="qkv")), recipe(parametrization="mup"))
    usual = scales(Network(shape(64, head_dim=16, attention_bias="qkv")), recipe(parametrization="mup"))
    query, key = (f"model.layers.0.self_attn.{role}_proj.bias" for role in "qk")
    assert found[query].rate == pytest.approx(usual[query].rate / 2)
    assert found[key].rate == usual[key].rate == 1


@OPTIMIZERS
def test_wider_heads_have_smaller_gains_where_queries_are_normalised(optimizer: str) -> None:
    wide, narrow = (
        scales(Network(shape(64, head_dim=head_dim, qk_norm=True)), recipe(optimizer=optimizer, parametrization="mup"))
        for head_dim in (64, 16)
    )
    gain, key, query = (f"model.layers.0.self_attn.{part}.weight" for part in ("q_norm", "k_norm", "q_proj"))
    assert (wide[gain].initial, wide[gain].rate) == pytest.approx((narrow[gain].initial / 2, narrow[gain].rate / 2))
    assert (narrow[gain].initial, wide[key].initial, wide[key].rate) == (1, 1, 1)
    assert wide[query].initial == narrow[query].initial


def test_a_parametrized_network_is_exported_as_it_stands(tmp_path: Path) -> None:
    built = shape(96, 2, vocab_size=260, sharing=Sharing("repeat_all_over", 2))
    network = Network(built, seed=0)
    reparametrize(network, recipe(parametrization="completep"))
    train_tokenizer(["one text and another text"], 260, tmp_path / "tokenizer.json")
    save_weights(tmp_path / "weights.safetensors", network)
    weights = load_weights(tmp_path / "weights.safetensors")
    write_hugging_face(tmp_path / "export", Model(built, weights, context_tokens=64, tokenizer_file=tmp_path / "tokenizer.json"))
    tokens = torch.arange(40)[None]
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "export")
    with torch.no_grad():
        torch.testing.assert_close(loaded(tokens).logits, network(tokens), atol=1e-6, rtol=1e-4)
