"""Published shapes by name, and how a family's proportions are brought to another size.

MobileLLM: arXiv 2402.14905 and the authors' model pages. SmolLM2: arXiv 2502.02737 and its model pages. MobileLLM-R1 and
MobileLLM-Pro: their model pages; only the shape is kept (R1's and Pro's attention variants beyond it are not).
"""

from __future__ import annotations

from search_space.architecture import Architecture
from search_space.errors import unknown_key
from search_space.sharing import Sharing


def _llama(
    layers: int, heads: int, key_value_heads: int, hidden: int, intermediate: int, vocab: int = 32_000, repeats: int = 1
) -> Architecture:
    return Architecture(
        vocab_size=vocab,
        hidden_size=hidden,
        num_unique_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        head_dim=64,
        intermediate_size=intermediate,
        sharing=Sharing("immediate", repeats) if repeats > 1 else Sharing(),
    )


FAMILIES: dict[str, Architecture] = {
    "mobilellm-125m": _llama(30, 9, 3, 576, 1536),
    "mobilellm-ls-125m": _llama(30, 9, 3, 576, 1536, repeats=2),
    "mobilellm-350m": _llama(32, 15, 5, 960, 2560),
    "mobilellm-ls-350m": _llama(32, 15, 5, 960, 2560, repeats=2),
    "mobilellm-600m": _llama(40, 18, 6, 1152, 3072),
    "mobilellm-1b": _llama(54, 20, 5, 1280, 3584),
    "mobilellm-1.5b": _llama(54, 25, 5, 1600, 4352),
    "mobilellm-r1-140m": _llama(15, 9, 3, 576, 2048, vocab=128_256),
    "mobilellm-pro": _llama(30, 20, 4, 1280, 6144, vocab=202_048),
    "smollm2-135m": _llama(30, 9, 3, 576, 1536, vocab=49_152),
    "smollm2-360m": _llama(32, 15, 5, 960, 2560, vocab=49_152),
}


def family(name: str) -> Architecture:
    """A published shape by name, case aside; raises SpecError naming the nearest one."""
    found = FAMILIES.get(name.lower())
    if found is None:
        raise unknown_key(f"the family {name}", name.lower(), FAMILIES)
    return found
