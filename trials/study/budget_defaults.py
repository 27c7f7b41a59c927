"""What a study takes where it leaves a choice open: values that follow its budget, from 0.25M to 1B parameters.

What a study names stays as it is. What is filled in is written into its directory, under `defaults`, so that a study stays what it
was when these rows change. docs/method.md has where each column comes from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from search_space.budget import Budget
from search_space.cost import BITS_PER_WEIGHT
from search_space.errors import SpecError, quoted, unknown_key
from trials.study.latency_spec import LatencySpec
from trials.study.yaml_file import parse_yaml

DEFAULTS = "defaults"
"""The key of a study under which stands what was filled in."""
FILLED_IN = ("space", "proxy")
"""Sections of a study that may be filled in."""
BUDGETS = ("tokens", "tokens_per_parameter", "flops", "seconds")
"""Keys of a recipe of which one says how long it trains."""
CONTEXT_STEP = 32
"""What a context is rounded up to where a workload asks for a longer one than its row has."""
RATES = ("learning_rate", "muon_learning_rate")
RATE = 0.02
"""Peak rate of both optimizers where Muon moves the matrices and the study names neither (docs/findings.md, 2026-11-29: which rate, batch
and context the defaults of a quarter of a million parameters have)."""
FEWEST_HEADS = 2
LEAST_MLP_RATIO, MOST_MLP_RATIO = 1.0, 6.0
_HEADING = "\n# what this study left open, by its budget when it began (docs/study.md)\n"


@dataclass(frozen=True, slots=True)
class SizeDefaults:
    """What shapes of a size have, and how they are trained, where a study does not say."""

    parameters: int
    """The size that these are for; a budget has the row that is nearest by ratio."""
    vocab_size: int
    """Entries of the vocabulary, about the optimum of arXiv 2407.13623; from 125M on the 32,000 of arXiv 2402.14905."""
    head_dim: int
    num_unique_layers: tuple[int, int]
    """Fewest and most stored blocks."""
    hidden_size: tuple[int, int, int]
    """Narrowest and widest, and the step between."""
    multiple_of: int
    """What the intermediate size is a multiple of; 32, the block of GGUF's int8 and int4, where that is fine enough."""
    context_tokens: int
    """Tokens of a sequence, at least; a longer workload of the study's `latency` makes it longer."""
    step_tokens: int
    """Tokens of one step: a power of two, about what arXiv 2503.04715 finds best for so many training tokens."""
    tokens_per_parameter: float
    """Training tokens per stored parameter."""


ROWS = (
    SizeDefaults(250_000, 512, 16, (2, 8), (32, 128, 8), 4, 128, 1_024, 4),
    SizeDefaults(1_000_000, 1_024, 32, (2, 12), (64, 256, 16), 8, 128, 4_096, 4),
    SizeDefaults(3_000_000, 2_048, 32, (2, 16), (96, 384, 32), 16, 128, 8_192, 4),
    SizeDefaults(10_000_000, 4_096, 32, (2, 24), (128, 640, 32), 32, 256, 16_384, 4),
    SizeDefaults(30_000_000, 8_192, 64, (3, 32), (192, 1_024, 64), 32, 512, 65_536, 20),
    SizeDefaults(125_000_000, 32_000, 64, (4, 40), (384, 1_536, 64), 64, 2_048, 131_072, 20),
    SizeDefaults(350_000_000, 32_000, 64, (6, 48), (512, 2_560, 128), 64, 2_048, 262_144, 20),
    SizeDefaults(1_000_000_000, 32_000, 64, (8, 64), (1_024, 4_096, 128), 128, 2_048, 524_288, 20),
)
"""Rows in the order of their sizes."""


def row_of(parameters: float) -> SizeDefaults:
    """The row that is nearest to a size by ratio."""
    return min(ROWS, key=lambda row: abs(math.log(row.parameters / parameters)))


def size_of(budget: Budget) -> float:
    """About how many parameters a shape of a budget has: exact where the first limit is of parameters."""
    limit = budget.target or budget.limits[0]
    if limit.quantity == "weight_bytes":
        return limit.value * 8 / BITS_PER_WEIGHT[limit.precision]
    return limit.value / 2 if limit.quantity == "flops_per_token" else limit.value


def open_choices(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a study's mapping leaves open that follows its budget, by section; nothing for a grid. SpecError where there is no budget.

    A section that cannot be read is left to whoever reads it next.
    """
    space, proxy = (values.get(section, {}) for section in FILLED_IN)
    if values.get("scaling") is not None or not isinstance(space, Mapping) or not isinstance(proxy, Mapping):
        return {}
    if values.get("budget") is None:
        raise SpecError("budget is missing; add it")
    row = row_of(size_of(Budget.parse(values["budget"])))
    try:
        workload = LatencySpec.model_validate(values.get("latency", {}))
    except ValidationError:
        return {}
    found = {"space": _open_space(space, values.get("corpus"), row), "proxy": _open_recipe(proxy, workload, row)}
    return {section: chosen for section, chosen in found.items() if chosen}


def completed(values: Mapping[str, Any]) -> dict[str, Any]:
    """A study's mapping with what stands under `defaults` where its own sections are silent; SpecError where that is no such thing."""
    given = values.get(DEFAULTS) or {}
    if not isinstance(given, Mapping) or not all(isinstance(part, Mapping) for part in given.values()):
        raise SpecError(f"{DEFAULTS} must be a mapping of {' and '.join(FILLED_IN)}, found {quoted(given)}; leave it out")
    for section in given:
        if section not in FILLED_IN:
            raise unknown_key(f"{DEFAULTS}.{section}", section, FILLED_IN)
    return {**values, **{section: _under(values.get(section, {}), part) for section, part in given.items()}}


def completed_text(text: str, complete: Mapping[str, Any]) -> str:
    """A study's text with what was filled in below it, from its mapping with that; written anew where YAML cannot hold it so."""
    filled = complete.get(DEFAULTS)
    below = text.rstrip("\n") + "\n" + _HEADING + yaml.safe_dump({DEFAULTS: filled}, sort_keys=False) if filled else text
    try:  # nothing can stand below what is in braces, indented or has an end; and JSON is not always YAML
        stands = parse_yaml(below) == complete
    except ValueError:
        stands = False
    return below if stands else yaml.safe_dump(dict(complete), sort_keys=False, allow_unicode=True)


def _open_space(space: Mapping[str, Any], corpus: object, row: SizeDefaults) -> dict[str, Any]:
    (fewest, most), (narrowest, widest, step) = row.num_unique_layers, row.hidden_size
    usual: dict[str, Any] = {
        "vocab_size": row.vocab_size,
        "num_unique_layers": {"from": fewest, "to": most},
        "hidden_size": {"from": narrowest, "to": widest, "step": step},
        "intermediate_size": {"solve": True, "multiple_of": row.multiple_of, "ratio": [LEAST_MLP_RATIO, MOST_MLP_RATIO]},
        "sharing": ["none", {"strategy": "immediate", "repeats": 2}],
        "head_dim": row.head_dim,
        "num_attention_heads": {"ratio_of_hidden": [1.0], "from": FEWEST_HEADS},
        "num_key_value_heads": {"ratio_of_heads": [0.25, 0.5, 1.0]},
    }
    if isinstance(corpus, Mapping) and corpus.get("tokenizer") is not None:
        del usual["vocab_size"]  # a given tokenizer has its own
    found = {name: value for name, value in usual.items() if name not in space}
    heads, inner = space.get("num_attention_heads"), space.get("intermediate_size")
    if isinstance(heads, Mapping) and "ratio_of_hidden" in heads and "from" not in heads:
        found["num_attention_heads"] = {"from": FEWEST_HEADS}
    if isinstance(inner, Mapping) and inner.get("solve") is True and "ratio" not in inner:
        found["intermediate_size"] = {"ratio": [LEAST_MLP_RATIO, MOST_MLP_RATIO]}
    return found


def _open_recipe(proxy: Mapping[str, Any], workload: LatencySpec, row: SizeDefaults) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if not any(proxy.get(name) is not None for name in BUDGETS):
        found["tokens_per_parameter"] = row.tokens_per_parameter
    asked = workload.prompt_tokens + workload.new_tokens
    context = max(row.context_tokens, -(-asked // CONTEXT_STEP) * CONTEXT_STEP)
    if "context_tokens" not in proxy:
        found["context_tokens"] = context
    if "batch_sequences" not in proxy:
        stated = proxy.get("context_tokens", context)
        found["batch_sequences"] = max(1, round(row.step_tokens / stated)) if isinstance(stated, int) and stated > 0 else 1
    if proxy.get("optimizer", "muon") == "muon" and not any(name in proxy for name in RATES):
        found |= dict.fromkeys(RATES, RATE)
    return found


def _under(own: object, part: Mapping[str, Any]) -> object:
    """A section with a part under what it says itself; mappings within it are brought together."""
    if not isinstance(own, Mapping):
        return own
    inner = {key: _under(own[key], value) for key, value in part.items() if key in own and isinstance(value, Mapping)}
    return {**part, **own, **inner}
