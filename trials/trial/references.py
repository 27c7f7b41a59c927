"""Shapes that every front is compared with: published proportions brought to the study's budget, or a file's shape as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.describe import is_file_name
from search_space.errors import SpecError, unknown_key
from search_space.families import FAMILIES, family
from search_space.proportions import Proportions, scaled
from search_space.space import SearchSpace
from trials.trial.shape_file import read_shape

DEEP_THIN = FAMILIES["mobilellm-125m"]
"""30 x 576, three query heads for each key-value head (arXiv 2402.14905, section 3)."""
WIDE_SHALLOW = replace(
    DEEP_THIN,
    num_unique_layers=12,
    hidden_size=768,
    num_attention_heads=12,
    num_key_value_heads=12,
    intermediate_size=2048,
    layer_types=("full_attention",),
)
"""The 12 x 768 of the smallest GPT-2 and OPT (OPT: arXiv 2205.01068, table 1), here with a gated MLP of the same size."""
MODELS = {"deep-thin": DEEP_THIN, "wide-shallow": WIDE_SHALLOW}


def references(names: tuple[str, ...], space: SearchSpace) -> list[tuple[str, Architecture]]:
    """The shapes of a study's ``references`` with the names that records give them; equal shapes are one, under both names."""
    shapes: dict[Architecture, str] = {}
    for name in names:
        shape = reference(name, space)
        stated = _file_title(name, shape, space.budget) if is_file_name(name) else name
        shapes[shape] = f"{shapes[shape]} and {stated}" if shape in shapes else stated
    return [(name, shape) for shape, name in shapes.items()]


def reference(name: str, space: SearchSpace) -> Architecture:
    """One shape: `deep-thin`, `wide-shallow` or a family at the study's budget, or the shape in a file; SpecError with the cure."""
    if is_file_name(name):
        return read_shape(Path(name))[0]
    if name not in MODELS and name.lower() not in FAMILIES:
        raise unknown_key(f"references: {name}", name, (*MODELS, *FAMILIES))
    return scale(MODELS.get(name) or family(name), space, name)


def scale(model: Architecture, space: SearchSpace, name: str = "reference") -> Architecture:
    """The shape with the study's vocabulary and budget whose proportions are nearest to the model's; SpecError where there is none."""
    shape = scaled(Proportions.of(model), space)
    if shape is None:
        raise SpecError(
            f"references: {name} has no shape that spends the budget ({space.budget}) with a vocabulary of "
            f"{space.choices('vocab_size')[0]:,}; raise the budget or its tolerance, lower space.vocab_size, or leave the reference out"
        )
    return shape


def reference_notices(names: tuple[str, ...]) -> list[str]:
    """What is passed over of the files among a study's ``references``, a sentence each."""
    return [said for name in names if is_file_name(name) and (said := read_shape(Path(name))[1]) is not None]


def _file_title(name: str, shape: Architecture, budget: Budget) -> str:
    """The file's name, and that the shape is not of the study's size where it is not."""
    return f"{Path(name).stem}{' (off budget)' if budget.violated(shape) else ''}"
