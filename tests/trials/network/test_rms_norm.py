"""The norm that training uses on a CPU is torch's."""

from __future__ import annotations

import torch
from torch.nn.functional import rms_norm

from trials.network.rms_norm import normalised


def test_results_and_gradients_are_torch_s() -> None:
    states = torch.randn(3, 5, 24, generator=torch.Generator().manual_seed(0), requires_grad=True)
    gain = torch.rand(24, generator=torch.Generator().manual_seed(1), requires_grad=True)
    ours, torchs = normalised(states, 1e-5) * gain, rms_norm(states, (24,), gain, 1e-5)
    torch.testing.assert_close(ours, torchs)
    upstream = torch.randn(ours.shape, generator=torch.Generator().manual_seed(2))
    for one, other in zip(
        torch.autograd.grad(ours, [states, gain], upstream), torch.autograd.grad(torchs, [states, gain], upstream), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_gradients_are_those_of_small_differences_near_zero_too() -> None:
    states = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [[1.0], [1e-2], [1e-3], [0.0]]
    )
    assert torch.autograd.gradcheck(lambda each: normalised(each, 1e-5), states.requires_grad_())
