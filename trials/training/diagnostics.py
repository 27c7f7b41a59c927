"""What a trained network does inside, looked at once on a few sequences: the numbers behind `analysis.records.health_checks`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.records.training import Diagnostics
from trials.corpus.blocks import TokenBlocks
from trials.network.decoder import Attention, Block, Network, visible_keys
from trials.training.loss import cross_entropy

TOKENS = 1024
"""Looked at, at most: less than 1 % of the tokens of the shortest study that is shipped."""


def diagnose(network: Network, blocks: TokenBlocks, tokens: int, context_tokens: int) -> Diagnostics:
    """Look at a network on evenly spread windows of the validation split, always the same ones; nothing in it is changed.

    At most TOKENS of `tokens` are read, in windows of `context_tokens` (cut where those alone are longer), by one pass forward and
    one backward in float32. With a training step's tokens it needs no more memory than the step, but for one block's attention maps.
    """
    tokens = min(tokens, TOKENS)
    windows = torch.from_numpy(blocks.evaluation("validation", tokens, min(context_tokens, tokens))).to(network.output_weight.device)
    watch = _Watch(network)
    try:
        with torch.autocast(windows.device.type, enabled=False):
            states = network.hidden_states(windows[:, :-1])
            loss = cross_entropy(states.flatten(0, 1), network.output_weight, windows[:, 1:].flatten())
    finally:
        watch.end()
    rank, cosine = _spread_of(network.output_weight.detach())
    return Diagnostics(
        tokens=windows[:, 1:].numel(),
        attention_entropies=tuple(_rounded(heads) for heads in watch.entropies),
        head_similarities_in_group=_rounded(watch.in_group) or None,
        head_similarities_across_groups=_rounded(watch.across_groups) or None,
        embedding_effective_rank=_round(rank),
        embedding_mean_cosine=_round(cosine),
        gradient_norms=_rounded(_gradient_norms(network, loss)),
        residual_changes=_rounded(watch.changes),
    )


class _Watch:
    """Hooks on every executed block, and what they have seen in one pass; entries in the order of execution."""

    def __init__(self, network: Network) -> None:
        self.entropies: list[list[float]] = []
        self.in_group: list[float] = []
        self.across_groups: list[float] = []
        self.changes: list[float] = []
        self._groups = network.architecture.num_key_value_heads
        self._hooks = [block.register_forward_hook(self._see) for block in network.model.layers]

    def end(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()

    @torch.no_grad()
    def _see(self, block: nn.Module, arguments: tuple[Any, ...], after: Tensor) -> None:
        assert isinstance(block, Block)
        before, rotary = arguments[0], arguments[1]
        self.changes.append(((after - before).norm(dim=-1) / before.norm(dim=-1).clamp_min(1e-12)).mean().item())
        late = before.shape[1] // 2  # early queries see so few keys that all heads must look alike there
        maps = attention_maps(block.self_attn, block.input_layernorm(before), rotary, block.window)[:, :, late:]
        self.entropies.append(_entropies(maps, block.window, late))
        alike = _similarities(maps)
        group = torch.arange(len(alike), device=alike.device) // (len(alike) // self._groups)
        same, other = group[:, None] == group, torch.eye(len(alike), dtype=torch.bool, device=alike.device).logical_not()
        for found, pairs in ((self.in_group, same & other), (self.across_groups, ~same)):
            if pairs.any():
                found.append(alike[pairs].mean().item())


def attention_maps(attention: Attention, states: Tensor, rotary: tuple[Tensor, Tensor], window: int | None) -> Tensor:
    """How each query [batch, num_attention_heads, query, key] spreads over the keys, of states that are normalised already.

    `scaled_dot_product_attention` keeps them to itself, so they are computed once more.
    """
    sequence = states.shape[1]
    query, key = attention.queries_and_keys(states, rotary)
    key = key.repeat_interleave(query.shape[1] // key.shape[1], 1)
    scores = query @ key.transpose(2, 3) / math.sqrt(attention.head_dim)
    return scores.masked_fill(~visible_keys(sequence, sequence, window, states.device), -math.inf).softmax(-1)


def _entropies(maps: Tensor, window: int | None, first: int) -> list[float]:
    """Entropy of each head over that of a head which sees all its keys alike, queries from position `first` on. A single key has none."""
    keys = torch.arange(first + 1, first + 1 + maps.shape[2], device=maps.device).clamp_max(window or maps.shape[3])
    several = keys > 1
    found = torch.special.entr(maps[:, :, several]).sum(-1) / keys[several].log()
    return [value if math.isfinite(value) else 0.0 for value in found.mean((0, 2)).tolist()]


def _similarities(maps: Tensor) -> Tensor:
    """Mean cosine between the rows of every two heads, [heads, heads]."""
    rows = functional.normalize(maps, dim=-1)
    return torch.einsum("bhqk,bgqk->hg", rows, rows) / (maps.shape[0] * maps.shape[2])


def _spread_of(table: Tensor) -> tuple[float, float]:
    """Effective rank (Roy and Vetterli 2007: exp of the entropy of the singular values) over the full one, and mean cosine of two rows."""
    rows, width = table.shape
    gram = (table.double().T @ table.double()) if width <= rows else (table.double() @ table.double().T)
    singular = torch.linalg.eigvalsh(gram).clamp_min(0).sqrt()
    rank = torch.special.entr(singular / singular.sum().clamp_min(1e-300)).sum().exp().item()
    total = functional.normalize(table.double(), dim=1).sum(0).square().sum().item()
    return rank / min(rows, width), (total - rows) / max(rows * (rows - 1), 1)


def _gradient_norms(network: Network, loss: Tensor) -> list[float]:
    """Norm of the gradient of each executed block's weights; a part that runs several times counts with the mean of its passes."""
    stored = [dict(block.named_parameters()) for block in network.model.layers]
    passes = Counter(weight for weights in stored for weight in weights.values())
    found = torch.autograd.grad(loss, list(passes), allow_unused=True)
    squares = {
        weight: 0.0 if gradient is None else (gradient.norm().item() / passes[weight]) ** 2
        for weight, gradient in zip(passes, found, strict=True)
    }
    return [math.sqrt(sum(squares[weight] for weight in weights.values())) for weights in stored]


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(_round(value) for value in values)


def _round(value: float) -> float:
    """Four digits: a record holds one of these numbers for every head of every block."""
    return float(f"{value:.4g}")
