"""Shapes that every front is compared with: published proportions brought to the study's budget, or a file's shape as it is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from search_space.architecture import Architecture
from search_space.budget import DEFAULT_TOLERANCE, Budget
from search_space.describe import is_file_name
from search_space.errors import SpecError, unknown_key
from search_space.families import FAMILIES, family
from search_space.solve import InfeasibleError
from search_space.space import SearchSpace
from trials.yaml_file import read_yaml

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
DEEPEST = 256
PATIENCE = 12
"""Depths in a row that may be worse than the best one before the search for a better one ends."""


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
        return read_shape(Path(name))
    if name not in MODELS and name.lower() not in FAMILIES:
        raise unknown_key(f"references: {name}", name, (*MODELS, *FAMILIES))
    return scale(MODELS.get(name) or family(name), space, name)


def scale(model: Architecture, space: SearchSpace, name: str = "reference") -> Architecture:
    """The shape with the study's vocabulary and budget whose proportions are nearest to the model's, on a logarithmic scale.

    Width over stored depth, MLP over width, all heads' width over width, and query over key-value heads are compared. The study's
    head widths and its grid of MLP widths are used where they can be; sharing and the MLP's kind are the model's own.
    """
    solved = space.solved.get("intermediate_size")
    for step in dict.fromkeys((solved.multiple_of if solved else 8, 1)):
        best = _nearest(model, space, step)
        if best is not None:
            return best
    raise SpecError(
        f"references: {name} has no shape that spends the budget ({space.budget}) with a vocabulary of {_vocabulary(space):,}; "
        "raise the budget or its tolerance, lower space.vocab_size, or leave the reference out"
    )


def _nearest(model: Architecture, space: SearchSpace, step: int) -> Architecture | None:
    """The best shape over all depths, from one block on until it has been getting worse for a while."""
    best, nearest, stale = None, math.inf, 0
    spaces = list(_spaces(model, space, step))
    for depth in range(DEEPEST):
        shapes = (shape for each in spaces if (shape := _shape(each, depth)) is not None)
        distance, shape = min(((_distance(shape, model), shape) for shape in shapes), key=lambda pair: pair[0], default=(math.inf, None))
        if distance < nearest:
            best, nearest, stale = shape, distance, 0
        elif best is not None:
            stale += 1
        if stale == PATIENCE:
            break
    return best


def read_shape(path: Path) -> Architecture:
    """The architecture in a YAML or JSON file, as `archfront describe` prints it or a trial's record holds it."""
    values = read_yaml(path, "name a file that is, or a family such as mobilellm-125m", "name an architecture's file")
    try:
        return Architecture.from_dict(values.get("architecture", values) if isinstance(values, dict) else values)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


def _file_title(name: str, shape: Architecture, budget: Budget) -> str:
    """The file's name, and that the shape is not of the study's size where it is not."""
    return f"{Path(name).stem}{' (off budget)' if budget.violated(shape) else ''}"


def _spaces(model: Architecture, space: SearchSpace, step: int) -> Iterator[SearchSpace]:
    """Spaces whose points are the stored depths, one for each width of a head; whole groups of heads first, as the models have them."""
    group = model.num_attention_heads // model.num_key_value_heads
    ratio = model.intermediate_size / model.hidden_size
    for head_dim in space.choices("head_dim"):
        for multiple in (head_dim * group, head_dim, 8):
            yield SearchSpace.parse(
                {
                    "vocab_size": _vocabulary(space),
                    "tie_word_embeddings": space.choices("tie_word_embeddings")[0],
                    "num_unique_layers": {"from": 1, "to": DEEPEST},
                    "sharing": [model.sharing],
                    "hidden_size": {"solve": True, "multiple_of": multiple},
                    "head_dim": head_dim,
                    "num_attention_heads": {"ratio_of_hidden": model.num_attention_heads * model.head_dim / model.hidden_size},
                    "num_key_value_heads": {"ratio_of_heads": 1 / group},
                    "mlp": model.mlp,
                    "intermediate_size": {"solve": True, "multiple_of": step, "ratio": [ratio / 2, ratio * 2]},
                },
                _target(space.budget),
            )


def _target(budget: Budget) -> Budget:
    """The budget with something to spend: where all limits are upper ones, the first is to be spent almost whole."""
    if budget.target is not None:
        return budget
    first = budget.limits[0]
    return Budget((replace(first, value=first.value * (1 - DEFAULT_TOLERANCE), tolerance=DEFAULT_TOLERANCE), *budget.limits))


def _shape(space: SearchSpace, index: int) -> Architecture | None:
    try:
        return space.architecture(space.point(index))
    except InfeasibleError:
        return None


def _distance(a: Architecture, b: Architecture) -> float:
    return sum(abs(math.log(x / y)) for x, y in zip(_proportions(a), _proportions(b), strict=True))


def _proportions(a: Architecture) -> tuple[float, ...]:
    return (
        a.hidden_size / a.num_unique_layers,
        a.intermediate_size / a.hidden_size,
        a.num_attention_heads * a.head_dim / a.hidden_size,
        a.num_attention_heads / a.num_key_value_heads,
    )


def _vocabulary(space: SearchSpace) -> int:
    """The study's first vocabulary."""
    return int(space.choices("vocab_size")[0])
