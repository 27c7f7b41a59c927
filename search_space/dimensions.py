"""What a study's ``space`` may say of each dimension, read into choices and solved sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_space.architecture import LAYER_TYPES, MLPS
from search_space.budget import number
from search_space.errors import SpecError, unknown_key
from search_space.sharing import Sharing

DEFAULTS: dict[str, Any] = {
    "vocab_size": 32_000,
    "tie_word_embeddings": True,
    "num_unique_layers": {"from": 2, "to": 40},
    "sharing": "none",
    "hidden_size": {"solve": True, "multiple_of": 8},
    "head_dim": 64,
    "num_attention_heads": {"ratio_of_hidden": [1.0]},
    "num_key_value_heads": {"ratio_of_heads": [1.0]},
    "mlp": "swiglu",
    "intermediate_size": {"solve": True, "multiple_of": 8, "ratio": [1.0, 6.0]},
    "layer_types": [["full_attention"]],
    "sliding_window": None,
}
"""What a dimension is when a study does not name it."""
SOLVABLE = ("hidden_size", "intermediate_size")
RATIO_KEYS = {"num_attention_heads": "ratio_of_hidden", "num_key_value_heads": "ratio_of_heads", "intermediate_size": "ratio_of_hidden"}
ROUNDED_TO = 8
"""What intermediate_size is rounded to where it is a ratio of the width and the study does not say."""
UNORDERED = ("tie_word_embeddings", "sharing", "mlp", "layer_types")
LARGEST = 1 << 20


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

    @property
    def ordered(self) -> bool:
        """Whether neighbouring choices are alike, so that a sampler may walk along them."""
        return self.name not in UNORDERED


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
    path = f"space.{name}"
    if isinstance(value, Mapping) and name != "sharing":
        return _mapping(name, path, value)
    if name == "sharing":
        return Dimension(name, tuple(dict.fromkeys(_sharing(v) for v in _listed(path, value))))
    if name == "layer_types":
        return Dimension(name, _patterns(path, value))
    check = {"mlp": _mlp, "tie_word_embeddings": _flag, "sliding_window": _window, "head_dim": _even}.get(name, _size)
    return Dimension(name, tuple(dict.fromkeys(check(path, v) for v in _listed(path, value))))


def _listed(path: str, value: object) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        return [value]
    if not value:
        raise SpecError(f"{path} must offer at least one choice, found an empty list; leave it out for its default")
    return value


def _mapping(name: str, path: str, value: Mapping[str, Any]) -> Dimension | Solved:
    if name in (*UNORDERED, "sliding_window"):
        raise SpecError(f"{path} must be a value or a list of values, found {dict(value)!r}")
    if _flag(f"{path}.solve", value.get("solve", False)):
        return _solved(name, path, value)
    ratio_key = RATIO_KEYS.get(name)
    if ratio_key is not None and ratio_key in value:
        inner = name == "intermediate_size"
        _only(path, value, (ratio_key, "multiple_of", "ratio") if inner else (ratio_key,))
        ratios = tuple(dict.fromkeys(_above_zero(f"{path}.{ratio_key}", v) for v in _listed(path, value[ratio_key])))
        return Dimension(name, ratios, True, _size(f"{path}.multiple_of", value.get("multiple_of", ROUNDED_TO if inner else 1)))
    _only(path, value, ("from", "to", "step", *([ratio_key] if ratio_key else []), *(["solve"] if name in SOLVABLE else [])))
    if "from" not in value or "to" not in value:
        raise SpecError(f"{path} must have `from` and `to` for a range, found {', '.join(map(str, value)) or 'nothing'}")
    low, high = _size(f"{path}.from", value["from"]), _size(f"{path}.to", value["to"])
    step = _size(f"{path}.step", value.get("step", 1))
    if high < low:
        raise SpecError(f"{path}.to must be at least {path}.from, found {low} to {high}")
    return Dimension(name, tuple(_even(path, n) if name == "head_dim" else n for n in range(low, high + 1, step)))


def _solved(name: str, path: str, value: Mapping[str, Any]) -> Solved:
    if name not in SOLVABLE:
        raise SpecError(f"{path} cannot be solved for; only {' and '.join(SOLVABLE)} can")
    _only(path, value, ("solve", "multiple_of", "from", "to", *(["ratio"] if name == "intermediate_size" else [])))
    multiple = _size(f"{path}.multiple_of", value.get("multiple_of", 1))
    solved = Solved(multiple, _size(f"{path}.from", value.get("from", 1)), _size(f"{path}.to", value.get("to", LARGEST)))
    if solved.high // multiple < -(-solved.low // multiple):
        raise SpecError(f"{path} must leave a multiple of {multiple} between {solved.low} and {solved.high}, found none; widen from and to")
    return solved


def parse_ratio(values: object) -> tuple[float, float]:
    """The limits of intermediate_size / hidden_size that ``intermediate_size.ratio`` states, wide open where it does not."""
    ratio = values.get("ratio") if isinstance(values, Mapping) else None
    if ratio is None:
        return (0.0, float("inf"))
    if not isinstance(ratio, list | tuple) or len(ratio) != 2:
        raise SpecError(f"space.intermediate_size.ratio must be [lowest, highest] of intermediate_size / hidden_size, found {ratio!r}")
    low, high = (number("space.intermediate_size.ratio", v) for v in ratio)
    if not 0 <= low <= high or high == 0:
        raise SpecError(f"space.intermediate_size.ratio must be [lowest, highest], both at least 0, found {list(ratio)!r}")
    return (low, high)


def _only(path: str, value: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in value:
        if key not in known:
            raise unknown_key(f"{path}.{key}", key, known)


def _size(path: str, value: object) -> int:
    found = number(path, value)
    if not 1 <= found <= LARGEST or found != int(found):
        raise SpecError(f"{path} must be a whole number from 1 to {LARGEST:,}, found {value!r}")
    return int(found)


def _even(path: str, value: object) -> int:
    size = _size(path, value)
    if size % 2:
        raise SpecError(f"{path} must be even because RoPE turns pairs, found {size}; choose {size + 1}")
    return size


def _above_zero(path: str, value: object) -> float:
    found = number(path, value)
    if not 0 < found < float("inf"):
        raise SpecError(f"{path} must be above 0, found {value!r}")
    return found


def _mlp(path: str, value: object) -> str:
    if value not in MLPS:
        raise SpecError(f"{path} must be one of {', '.join(MLPS)}, found {value!r}")
    return str(value)


def _sharing(value: object) -> Sharing:
    try:
        return Sharing.parse(value)
    except SpecError as error:
        raise SpecError(f"space.{error}") from None


def _flag(path: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise SpecError(f"{path} must be true or false, found {value!r}")
    return value


def _window(path: str, value: object) -> int | None:
    return None if value is None else _size(path, value)


def _patterns(path: str, value: object) -> tuple[tuple[str, ...], ...]:
    rows = [[value]] if isinstance(value, str) else value
    if isinstance(rows, list | tuple) and rows and all(isinstance(row, str) for row in rows):
        rows = [rows]  # one pattern, written without the outer list
    if not isinstance(rows, list | tuple) or not rows or not all(isinstance(row, list | tuple) and row for row in rows):
        raise SpecError(f"{path} must be a pattern such as [sliding_attention, full_attention], or a list of patterns, found {value!r}")
    for row in rows:
        for name in row:
            if name not in LAYER_TYPES:
                raise SpecError(f"{path} must hold {' or '.join(LAYER_TYPES)}, found {name!r}")
    return tuple(dict.fromkeys(tuple(row) for row in rows))
