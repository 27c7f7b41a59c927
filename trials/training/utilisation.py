"""Model FLOPs utilisation: the share of a device's stated peak that the model's own products make use of."""

from __future__ import annotations

import torch

PEAK_FLOPS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
}
"""Dense bfloat16 FLOPs a second by part of a device's name, from NVIDIA's data sheets; the first that fits counts."""


def known_peak(device: str, precision: str) -> float | None:
    """The stated peak of this GPU for products in bfloat16; None for other devices and precisions, where the study may say it."""
    if torch.device(device).type != "cuda" or precision != "bfloat16":
        return None
    return peak_of(torch.cuda.get_device_name(device))


def peak_of(name: str) -> float | None:
    """The stated peak of a device of that name; None where it is not known."""
    return next((flops for part, flops in PEAK_FLOPS.items() if part in name), None)


def utilisation(tokens_per_second: float, flops_per_token: int, peak: float | None) -> float | None:
    """Tokens a second times (6 N + 12 layers heads head_dim context) over the peak (PaLM, arXiv 2204.02311, appendix B)."""
    return None if peak is None else tokens_per_second * flops_per_token / peak
