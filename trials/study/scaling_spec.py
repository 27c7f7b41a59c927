"""What a study's YAML says in `scaling`: a grid of trainings in place of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from analysis.laws.options import FormName
from analysis.text.words import short
from search_space.errors import shortened
from search_space.fields import BY_NAME, OF_STUDY, OPTIONAL
from search_space.sharing import Sharing
from trials.study.section import MOST_LISTED, AboveZero, Few, Number, OneOf, Positive, Section, plain_name

Listed = Field(max_length=MOST_LISTED)
MOST_TRAININGS = 500
"""Trainings of a grid, seeds included."""
STATED = ("tokens", "tokens_per_parameter", "flops", "seconds", "cooldowns")
"""Keys of the recipe that `scaling` decides."""
CONSTANTS = ("head_dim", "intermediate_size", *OF_STUDY)
"""Keys that the `space` of a scaling study may have."""


class BudgetsSpec(Section):
    """Exactly one list, ascending: what the trainings of one row of the grid have in common."""

    parameters: Annotated[tuple[Positive, ...], Listed] = ()
    """Sizes: stored parameters."""
    non_embedding_parameters: Annotated[tuple[Positive, ...], Listed] = ()
    """Sizes: stored parameters but the embedding table and an untied output projection."""
    flops: Annotated[tuple[AboveZero, ...], Listed] = ()
    """Training FLOPs, each spent at several sizes (isoFLOP): a size for every number of tokens, or for every number per parameter."""
    tolerance: Annotated[float, Number, Field(gt=0, lt=1)] = 0.01
    """Allowed relative distance of a size from its budget."""

    @property
    def quantity(self) -> str:
        """Name of the quantity that is listed."""
        return next(name for name in ("parameters", "non_embedding_parameters", "flops") if getattr(self, name))

    @property
    def values(self) -> tuple[float, ...]:
        """Numbers of the list."""
        return tuple(getattr(self, self.quantity))

    @model_validator(mode="after")
    def _one_list(self) -> BudgetsSpec:
        lists = [name for name in ("parameters", "non_embedding_parameters", "flops") if getattr(self, name)]
        if len(lists) != 1:
            raise ValueError(
                f"must list exactly one of `parameters`, `non_embedding_parameters` and `flops`, found {', '.join(lists) or 'none'}"
            )
        _ascending(self.quantity, self.values)
        return self


class ShapeSpec(Section):
    """Proportions that are kept at every budget; those left out are those of `like`."""

    like: str = "deep-thin"
    """`deep-thin`, `wide-shallow` or a published family such as `mobilellm-350m`."""
    aspect_ratio: AboveZero | None = None
    """hidden_size over num_unique_layers."""
    num_unique_layers: Few | None = None
    """Blocks stored, the same at every budget, in place of an aspect ratio."""
    mlp_ratio: AboveZero | None = None
    """intermediate_size over hidden_size."""
    head_ratio: AboveZero | None = None
    """num_attention_heads times head_dim over hidden_size."""
    key_value_ratio: Annotated[float, Number, Field(ge=1 / 1024, le=1)] | None = None
    """num_key_value_heads over num_attention_heads."""
    mlp: Annotated[str, OneOf(BY_NAME["mlp"].choices)] | None = None
    """The kind of the MLP."""
    sharing: Literal["none"] | dict[str, Any] | None = None
    """How the blocks share weights, written like in `space`: `none`, or `{strategy: immediate, repeats: 2}`."""

    @model_validator(mode="after")
    def _one_depth(self) -> ShapeSpec:
        if self.aspect_ratio is not None and self.num_unique_layers is not None:
            raise ValueError("must have one of `aspect_ratio` and `num_unique_layers`, found both; the budget decides the other")
        if self.sharing is not None:
            Sharing.parse(self.sharing)
        return self


class HardwareSpec(Section):
    """What the trainings would run on, for the GPU hours and the memory that `archfront plan` prints."""

    name: str
    """Name of the hardware, as the plan calls it."""
    peak_flops: AboveZero
    """FLOPs a second of one GPU at its best, from its data sheet."""
    utilisation: Annotated[float, Number, Field(ge=1e-6, le=1)]
    """Share of the peak that trainings reach."""
    memory_bytes: AboveZero
    """Memory of one GPU."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Precision of the products there, which the memory of a step follows."""


class ScalingSpec(Section):
    """Every budget times every shape times every number of tokens is trained, and a law is fitted to the losses (docs/scaling.md).

    One training serves all token counts of its size: branches leave it and decay (`proxy.cooldowns`). At equal FLOPs each has its own.
    """

    budgets: BudgetsSpec
    shapes: Annotated[dict[Annotated[str, AfterValidator(partial(plain_name, also=" "))], ShapeSpec], Field(min_length=1)]
    """Proportions by a name of your own; `{}` after a name for those of `deep-thin`."""
    tokens: Annotated[tuple[Positive, ...], Listed] = ()
    """Training tokens, ascending; either these or those per parameter."""
    tokens_per_parameter: Annotated[tuple[AboveZero, ...], Listed] = ()
    """Training tokens per stored parameter, ascending."""
    seeds: Few = 1
    """Trainings of each point of the grid, each with a seed of its own: what a seed does is part of every band."""
    form: FormName = "chinchilla"
    """The law that the grid is for: `archfront plan` warns where the grid cannot identify it."""
    hardware: HardwareSpec | None = None
    """Where given, the plan says GPU hours and memory there."""

    @property
    def lengths(self) -> tuple[float, ...]:
        """Tokens, or tokens per parameter."""
        return self.tokens or self.tokens_per_parameter

    @property
    def recipe(self) -> dict[str, Any]:
        """What the recipe's budget and cooldowns are: those of the longest training; at equal FLOPs each trial has tokens of its own."""
        if self.budgets.quantity == "flops":
            return {"flops": self.budgets.values[-1]}
        whole = self.lengths[-1]
        return {"tokens" if self.tokens else "tokens_per_parameter": whole, "cooldowns": [part / whole for part in self.lengths[:-1]]}

    def __str__(self) -> str:
        sizes = " ".join(map(short, self.budgets.values))
        lengths = " ".join(map(short, self.lengths))
        unit = "tokens" if self.tokens else "tokens per parameter"
        kind = "FLOPs" if self.budgets.quantity == "flops" else self.budgets.quantity.replace("_", " ")
        return f"{sizes} {kind}, shapes {', '.join(self.shapes)}, {lengths} {unit}"

    @model_validator(mode="after")
    def _one_length(self) -> ScalingSpec:
        if bool(self.tokens) == bool(self.tokens_per_parameter):
            found = "both" if self.tokens else "neither"
            raise ValueError(f"must have either `tokens` or `tokens_per_parameter`, a list, found {found}; state one")
        _ascending("tokens" if self.tokens else "tokens_per_parameter", self.lengths)
        rows = len(self.lengths) if self.budgets.quantity == "flops" else 1
        count = len(self.budgets.values) * len(self.shapes) * rows * self.seeds
        if count > MOST_TRAININGS:
            raise ValueError(f"must be at most {MOST_TRAININGS:,} trainings, found {count:,}; leave out budgets, shapes or seeds")
        return self


def with_scaling(proxy: object, scaling: ScalingSpec) -> object:
    """The recipe's mapping with the budget and the cooldowns that `scaling` states; ValueError where it states some of its own."""
    if not isinstance(proxy, Mapping):
        return proxy
    stated = [name for name in STATED if proxy.get(name)]
    if stated:
        raise ValueError(f"must not state {' and '.join(stated)} beside `scaling`, which does; leave it out")
    return {**proxy, **scaling.recipe}


def require_constants(space: Mapping[str, Any]) -> None:
    """Raise ValueError where the space has dimensions that proportions decide, or several vocabularies."""
    others = [name for name in space if name not in CONSTANTS]
    if others:
        raise ValueError(
            f"space must state only {', '.join(CONSTANTS)} beside `scaling`, found {shortened(', '.join(others))}; "
            "write proportions in scaling.shapes"
        )
    several = next((field.name for field in OPTIONAL if isinstance(space.get(field.name), list | tuple)), None)
    if several is not None:
        raise ValueError(f"space.{several} must be one value beside `scaling`, whose shapes all have it, found a list; choose one")
    if isinstance(space.get("vocab_size"), list | tuple):
        raise ValueError(
            "space.vocab_size must be one number beside `scaling`, since losses in two vocabularies are not compared; choose one"
        )


def _ascending(name: str, values: Sequence[float]) -> None:
    if list(values) != sorted(set(values)):
        raise ValueError(f"{name} must ascend, found {shortened(', '.join(f'{value:g}' for value in values))}")
