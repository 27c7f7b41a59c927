"""Attention in blocks is attention."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from trials.network.blocked_attention import BLOCK_QUERIES, LONGEST, SHORTEST, blocked_attention, pays


def inputs(heads: int, shared: int, sequence: int, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Query, key and value of two sequences, laid out as the network has them."""
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(2, sequence, n, 6, dtype=dtype, generator=generator).transpose(1, 2) for n in (heads, shared, shared)]
    return [each.requires_grad_() for each in made]


@pytest.mark.parametrize(("heads", "shared"), [(4, 4), (4, 2), (3, 1)])
@pytest.mark.parametrize("sequence", [1, BLOCK_QUERIES, BLOCK_QUERIES + 1, 130])
def test_results_and_gradients_are_torch_s(heads: int, shared: int, sequence: int) -> None:
    given = inputs(heads, shared, sequence)
    query, key, value = given
    ours = blocked_attention(query, key, value)
    torchs = scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(ours, torchs)
    upstream = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    for one, other in zip(torch.autograd.grad(ours, given, upstream), torch.autograd.grad(torchs, given, upstream), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.more
def test_gradients_are_those_of_small_differences() -> None:
    assert torch.autograd.gradcheck(blocked_attention, inputs(4, 2, BLOCK_QUERIES + 3, torch.float64))


def test_it_is_for_training_in_float32_on_a_processor_over_middling_sequences() -> None:
    query = inputs(4, 2, 2)[0]
    assert pays(query, SHORTEST)
    assert pays(query, LONGEST)
    assert not pays(query, SHORTEST - 1)
    assert not pays(query, LONGEST + 1)
    assert not pays(query.bfloat16(), SHORTEST)
    assert not pays(query.to("meta"), SHORTEST)
    with torch.no_grad():
        assert not pays(query, SHORTEST)
