"""What a study's ``space`` may say of each dimension, read into choices and solved sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_space.errors import SpecError, quoted, shortened
from search_space.field import Field, FieldKind
from search_space.fields import BY_NAME, FIELDS
from search_space.parse import LARGEST, even, flag, listed, number, only, ratio_above_zero, whole_number
from search_space.sharing import MOST_BLOCKS, Sharing

FIRST = (
    "vocab_size", "tie_word_embeddings", "num_unique_layers", "sharing", "hidden_size", "head_dim", "num_attention_heads",
    "num_key_value_heads", "mlp", "intermediate_size", "layer_types", "sliding_window",
)  # fmt: skip
"""How the numbers of a space's points count through its dimensions. A space of today has them for ever, so fields that are added follow."""
ORDER: tuple[Field, ...] = (*(BY_NAME[name] for name in FIRST), *(row for row in FIELDS if row.name not in FIRST))
"""Every field in the order of a point."""
ROUNDED_TO = 8
"""What intermediate_size is rounded to where it is a ratio of the width and the study does not say."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing to choose, and its choices in the order of the study."""

    name: str
    """The Hugging Face config name."""
    choices: tuple[Any, ...]
    """Values; ratios where `relative`."""
    relative: bool = False
    """Whether the values are ratios: of the hidden size, or of the heads for key-value heads."""
    multiple_of: int = 1
    """What a size that comes from a ratio is rounded to."""
    least: int = 1
    """Smallest size that a ratio may come to; a point below it has no shape."""

    @property
    def ordered(self) -> bool:
        """Whether neighbouring choices are alike, so that a sampler may walk along them."""
        return BY_NAME[self.name].ordered

    @property
    def implied(self) -> bool:
        """Whether it offers nothing but the default of a field that is absent there from every point, hash and key."""
        field = BY_NAME[self.name]
        return not field.always_written and self.choices == (field.default,)


@dataclass(frozen=True, slots=True)
class Solved:
    """A size that is computed so that the shape spends its budget."""

    multiple_of: int = 1
    """The size is a multiple of this."""
    low: int = 1
    """Smallest size allowed."""
    high: int = LARGEST
    """Largest size allowed."""


def parse_dimension(name: str, value: object) -> Dimension | Solved:
    """Read one entry of ``space``; raises SpecError with the path, what was found and the cure."""
    path, field = f"space.{name}", BY_NAME[name]
    if isinstance(value, Mapping) and field.kind is not FieldKind.SHARING:
        return _mapping(field, path, value)
    if field.kind is FieldKind.LAYERS:
        return Dimension(name, _patterns(path, value, field.choices))
    return Dimension(name, tuple(dict.fromkeys(_value(field, path, each) for each in listed(path, value))))


def _value(field: Field, path: str, value: object) -> Any:
    """One choice as a person writes it."""
    if field.kind is FieldKind.SHARING:
        return _sharing(value)
    if field.kind is not FieldKind.INT:
        return field.read(path, value)
    if value is None and field.default is None:
        return None
    return (even if field.even else whole_number)(path, value)


def _mapping(field: Field, path: str, value: Mapping[str, Any]) -> Dimension | Solved:
    if not field.counted:
        raise SpecError(f"{path} must be a value or a list of values, found {quoted(dict(value))}; write one")
    if flag(f"{path}.solve", value.get("solve", False)):
        return _solved(field, path, value)
    ratio_key = field.ratio
    if ratio_key is not None and ratio_key in value:
        inner = field.solvable
        only(path, value, (ratio_key, *(("multiple_of", "ratio") if inner else ("from",) if field.least_stated else ())))
        ratios = tuple(dict.fromkeys(ratio_above_zero(f"{path}.{ratio_key}", v) for v in listed(path, value[ratio_key])))
        multiple = whole_number(f"{path}.multiple_of", value.get("multiple_of", ROUNDED_TO if inner else 1))
        return Dimension(field.name, ratios, True, multiple, whole_number(f"{path}.from", value.get("from", 1)))
    only(path, value, ("from", "to", "step", *([ratio_key] if ratio_key else []), *(["solve"] if field.solvable else [])))
    if "from" not in value or "to" not in value:
        raise SpecError(
            f"{path} must have `from` and `to` for a range, found {shortened(', '.join(map(str, value)) or 'nothing')}; add what is missing"
        )
    low, high = whole_number(f"{path}.from", value["from"]), whole_number(f"{path}.to", value["to"])
    step = whole_number(f"{path}.step", value.get("step", 1))
    if high < low:
        raise SpecError(f"{path}.to must be at least {path}.from, found {low} to {high}; swap them")
    sizes = range(low, high + 1, step)
    for size in sizes[:2]:  # the others are as even as these
        _value(field, path, size)
    return Dimension(field.name, tuple(sizes))


def _solved(field: Field, path: str, value: Mapping[str, Any]) -> Solved:
    if not field.solvable:
        raise SpecError(f"{path} cannot be solved for; only {' and '.join(row.name for row in FIELDS if row.solvable)} can")
    only(path, value, ("solve", "multiple_of", "from", "to", *(["ratio"] if field.ratio else [])))
    multiple = whole_number(f"{path}.multiple_of", value.get("multiple_of", 1))
    solved = Solved(multiple, whole_number(f"{path}.from", value.get("from", 1)), whole_number(f"{path}.to", value.get("to", LARGEST)))
    if solved.high // multiple < -(-solved.low // multiple):
        raise SpecError(f"{path} must leave a multiple of {multiple} between {solved.low} and {solved.high}, found none; widen from and to")
    return solved


def parse_ratio(values: object) -> tuple[float, float]:
    """The limits of intermediate_size / hidden_size that ``intermediate_size.ratio`` states, wide open where it does not."""
    ratio = values.get("ratio") if isinstance(values, Mapping) else None
    if ratio is None:
        return (0.0, float("inf"))
    if not isinstance(ratio, list | tuple) or len(ratio) != 2:
        raise SpecError(
            f"space.intermediate_size.ratio must be [lowest, highest] of intermediate_size / hidden_size, found {quoted(ratio)}; write two"
        )
    low, high = (number("space.intermediate_size.ratio", v) for v in ratio)
    if not 0 <= low <= high or high == 0:
        raise SpecError(
            f"space.intermediate_size.ratio must be [lowest, highest], both at least 0, found {quoted(list(ratio))}; correct it"
        )
    return (low, high)


def _sharing(value: object) -> Sharing:
    try:
        return Sharing.parse(value)
    except SpecError as error:
        raise SpecError(f"space.{error}") from None


def _patterns(path: str, value: object, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    rows = [[value]] if isinstance(value, str) else value
    if isinstance(rows, list | tuple) and rows and all(isinstance(row, str) for row in rows):
        rows = [rows]  # one pattern, written without the outer list
    if not isinstance(rows, list | tuple) or not rows or not all(isinstance(row, list | tuple) and row for row in rows):
        raise SpecError(
            f"{path} must be a pattern such as [sliding_attention, full_attention], or a list of patterns, found {quoted(value)}; write one"
        )
    for row in rows:
        if len(row) > MOST_BLOCKS:
            raise SpecError(f"{path} must be patterns of at most {MOST_BLOCKS:,} blocks, found {len(row):,}; a shorter one repeats")
        for name in row:
            if name not in names:
                raise SpecError(f"{path} must hold {' or '.join(names)}, found {quoted(name)}; choose one of them")
    return tuple(dict.fromkeys(tuple(row) for row in rows))
