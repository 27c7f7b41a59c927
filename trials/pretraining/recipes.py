"""How a long training goes: published recipes as data, a file's, or the study's own at another length. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_space.architecture import Architecture
from search_space.cost import parameters
from search_space.describe import is_file_name
from search_space.errors import SpecError, quoted, unknown_key, value_kind
from search_space.sizes import written_number
from trials.study.budget_defaults import BUDGETS, RATE, row_of
from trials.study.section import parsed
from trials.study.spec import ProxySpec
from trials.study.yaml_file import read_yaml

DOCUMENT = "docs/winners.md"
OF_A_RECIPE: Mapping[str, tuple[str, str]] = {
    "source": ("text", "Where the recipe's numbers are from."),
    "steps": ("whole number", "Steps of the whole training, in place of tokens, tokens_per_parameter or flops."),
    "warmup_steps": ("whole number", "Steps over which the learning rate rises, in place of the share that `warmup` is."),
}
"""Keys of a recipe's file beside those of a study's `proxy`, each with what it takes and what it means."""
MOBILELLM: Mapping[str, Any] = {
    "warmup_steps": 1_000,
    "batch_sequences": 1_024,
    "context_tokens": 2_048,
    "optimizer": "adamw",
    "learning_rate": 2e-3,
    "parametrization": "standard",
    "weight_decay": 0.1,
    "schedule": "cosine",
    "precision": "bfloat16",
    "evaluations": 100,
    "evaluation_tokens": 1 << 20,
}
"""32 GPUs with 32 sequences of 2,048 tokens each, 2,097,152 tokens a step; Adam with betas 0.9 and 0.95 and epsilon 1e-8, as here; a cosine
to a tenth of the peak (arXiv 2402.14905, and the authors' repository). What is evaluated, and the clipping of gradients, is ours."""
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "mobilellm-120k": {**MOBILELLM, "steps": 120_000, "source": "arXiv 2402.14905: 0.25T tokens, its ablations"},
    "mobilellm-480k": {**MOBILELLM, "steps": 480_000, "source": "arXiv 2402.14905: 1T tokens, its final models"},
}
USUAL_EVALUATIONS = 32
"""Evaluations of a long training whose recipe does not say, one at each point of its curve."""


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """A recipe that is not yet of a shape."""

    name: str
    source: str
    """Where its numbers are from, in words."""
    values: Mapping[str, Any]
    """Keys of a study's `proxy`, and `steps` and `warmup_steps`."""

    def of(self, shape: Architecture, tokens: int | None = None) -> ProxySpec:
        """The recipe as this shape follows it, for so many tokens where they are given; raises SpecError where it is none."""
        values = {key: value for key, value in self.values.items() if key not in OF_A_RECIPE}
        steps, warmup_steps = (_count(self.name, key, self.values.get(key)) for key in ("steps", "warmup_steps"))
        lengths = [key for key in BUDGETS if values.get(key) is not None] + ["steps"] * (steps is not None)
        if tokens is None and len(lengths) != 1:
            raise SpecError(
                f"{self.name} must have exactly one of steps, {', '.join(BUDGETS)}, found {', '.join(lengths) or 'none'}; "
                "state one, or give --tokens"
            )
        if "seconds" in lengths and tokens is None:
            raise SpecError(f"{self.name} must have a length that a training can be continued at, found seconds; give --tokens")
        if warmup_steps is not None and "warmup" in values:
            raise SpecError(f"{self.name} must have warmup or warmup_steps, found both; leave one out")
        if values.get("cooldowns"):
            raise SpecError(f"{self.name} must have no cooldowns, which a training that is kept does not make; leave them out")
        known_warmup = {} if warmup_steps is None else {"warmup": 0.0}  # what it is a share of is not known yet
        unknown_length = dict.fromkeys(BUDGETS) | {"tokens": 1}
        draft = parsed(ProxySpec, {**values, **known_warmup, **unknown_length}, self.name, DOCUMENT)
        per_step = draft.batch_sequences * draft.context_tokens
        if tokens is not None:
            asked = float(tokens)
        elif steps is not None:
            asked = float(steps * per_step)
        else:
            asked = _asked(parsed(ProxySpec, {**values, **known_warmup}, self.name, DOCUMENT), shape)
        count = max(1, round(asked / per_step))
        if warmup_steps is not None and warmup_steps >= count:
            raise SpecError(
                f"{self.name}: warmup_steps must be less than the steps, found {warmup_steps:,} of {count:,}; lower it or train longer"
            )
        whole = {**values, **unknown_length, "tokens": count * per_step, "cooldowns": ()}
        if warmup_steps is not None:
            whole["warmup"] = warmup_steps / count
        return parsed(ProxySpec, whole, self.name, DOCUMENT)


def recipe_named(name: str) -> TrainingRecipe:
    """A published recipe by its name, or a file's; raises SpecError naming those that there are."""
    if name in RECIPES:
        values = RECIPES[name]
    elif is_file_name(name):
        values = read_yaml(Path(name), "name a recipe's file", f"see {DOCUMENT} for what a recipe looks like")
        if not isinstance(values, Mapping):
            raise SpecError(f"{name} must be a mapping of a recipe's keys, found {value_kind(values)}; see {DOCUMENT}")
        for key in values:
            if key not in OF_A_RECIPE and key not in ProxySpec.model_fields:
                raise unknown_key(f"{name}: {key}", str(key), [*OF_A_RECIPE, *ProxySpec.model_fields])
    else:
        raise unknown_key(f"--recipe {name}", name, RECIPES)
    return TrainingRecipe(name, str(values.get("source", name)), {"evaluations": USUAL_EVALUATIONS, **values})


def recipe_of_study(name: str, proxy: ProxySpec) -> TrainingRecipe:
    """A study's own recipe, to be followed for longer."""
    values = {key: value for key, value in proxy.model_dump().items() if value is not None}
    return TrainingRecipe(f"{name}'s own", f"the study {name}", {**values, "cooldowns": (), "evaluations": USUAL_EVALUATIONS})


def recipe_by_size(shape: Architecture) -> TrainingRecipe:
    """What a study of shapes of this size takes where it leaves its recipe open."""
    row = row_of(parameters(shape))
    values = {
        "tokens_per_parameter": row.tokens_per_parameter,
        "context_tokens": row.context_tokens,
        "batch_sequences": max(1, row.step_tokens // row.context_tokens),
        "learning_rate": RATE,
        "muon_learning_rate": RATE,
        "evaluations": USUAL_EVALUATIONS,
    }
    return TrainingRecipe("the default of its size", "docs/study.md, defaults by budget", values)


def _asked(proxy: ProxySpec, shape: Architecture) -> float:
    """Tokens that a budget of any kind but seconds asks of a shape."""
    from search_space.cost import training_flops_per_token

    if proxy.tokens_per_parameter is not None:
        return proxy.tokens_per_parameter * parameters(shape)
    if proxy.flops is not None:
        return proxy.flops / training_flops_per_token(shape, proxy.context_tokens)
    return float(proxy.tokens or 0)


def _count(name: str, key: str, value: object) -> int | None:
    found = written_number(value) if isinstance(value, str) else value
    if found is None and value is None:
        return None
    if type(found) is int and found >= 1:
        return found
    raise SpecError(f"{name}: {key} must be a whole number of at least 1, found {quoted(value)}; correct it")
