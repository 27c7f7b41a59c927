"""Model FLOPs utilisation: of a stated peak, and absent where there is none."""

from __future__ import annotations

import pytest

from search_space.cost import training_flops_per_token
from search_space.families import family
from trials.training.utilisation import known_peak, peak_of, utilisation


@pytest.mark.parametrize(
    ("name", "peak"),
    [("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA A100-SXM4-40GB", 312e12), ("NVIDIA L40", 181e12)],
)
def test_a_known_gpu_has_its_stated_peak(name: str, peak: float) -> None:
    assert peak_of(name) == peak


def test_nothing_is_made_up_for_a_device_that_is_not_known() -> None:
    assert peak_of("Radeon") is None
    assert known_peak("cpu", "bfloat16") is None
    assert utilisation(1000.0, 10, None) is None


def test_utilisation_is_the_tokens_products_over_the_peak() -> None:
    a, context = family("mobilellm-125m"), 2048
    stored = a.num_hidden_layers * (2 * 576 * 64 * (9 + 3) + 3 * 576 * 1536) + 32_000 * 576
    flops = 6 * stored + 12 * a.num_hidden_layers * a.num_attention_heads * a.head_dim * context
    assert utilisation(1e6, training_flops_per_token(a, context), 1e15) == pytest.approx(flops * 1e6 / 1e15)
