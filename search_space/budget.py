"""What a shape may cost: targets that must be spent, limits that must not be passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search_space import cost
from search_space.architecture import Architecture
from search_space.errors import SpecError, quoted, unknown_key
from search_space.parse import above_zero, number, whole_number

QUANTITIES = ("parameters", "non_embedding_parameters", "weight_bytes", "flops_per_token")
DEFAULT_TOLERANCE = 0.01
DEFAULT_CONTEXT_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Limit:
    """One quantity and the range it must lie in."""

    quantity: str
    """One of `parameters`, `non_embedding_parameters`, `weight_bytes`, `flops_per_token` (forward)."""
    value: float
    """The target, or the limit where `tolerance` is None."""
    tolerance: float | None = DEFAULT_TOLERANCE
    """Allowed relative distance from a target on either side; None makes `value` an upper limit."""
    precision: str = "float16"
    """Precision of the stored weights; only `weight_bytes` reads it."""
    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    """Keys that each query meets; only `flops_per_token` reads it."""
    lowest: float = field(init=False, repr=False, compare=False)
    """The least that a shape must spend."""
    highest: float = field(init=False, repr=False, compare=False)
    """The most that a shape may spend."""

    def __post_init__(self) -> None:
        off = self.tolerance
        object.__setattr__(self, "lowest", 0.0 if off is None else self.value * (1 - off))
        object.__setattr__(self, "highest", self.value if off is None else self.value * (1 + off))

    def measure(self, a: Architecture) -> int:
        """What this shape costs in this limit's quantity."""
        if self.quantity == "weight_bytes":
            return cost.weight_bytes(a, self.precision)
        if self.quantity == "flops_per_token":
            return cost.decode_flops(a, self.context_tokens)
        return cost.parameters(a) if self.quantity == "parameters" else cost.non_embedding_parameters(a)

    def holds(self, spent: float) -> bool:
        """Whether that much is neither too little nor too much."""
        return self.lowest <= spent <= self.highest

    def miss(self, spent: float) -> float:
        """How far beyond its range that much lies, as a share of the limit; negative inside."""
        return max(spent - self.highest, self.lowest - spent) / self.value

    def __str__(self) -> str:
        if self.tolerance is None:
            return f"at most {self.value:,.0f} {self.quantity}"
        return f"{self.value:,.0f} {self.quantity} within {_percent(self.tolerance)}"

    @property
    def breach(self) -> str:
        """What is wrong with a shape that does not hold it; equal for all such shapes."""
        if self.tolerance is None:
            return f"{self.quantity} above {self.value:,.0f}"
        return f"{self.quantity} more than {_percent(self.tolerance)} from {self.value:,.0f}"


@dataclass(frozen=True, slots=True)
class Budget:
    """All limits together; the first target is what a shape is brought closest to."""

    limits: tuple[Limit, ...]
    target: Limit | None = field(init=False, repr=False, compare=False)
    """The first limit that must be spent, or None where every limit is an upper one."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", next((limit for limit in self.limits if limit.tolerance is not None), None))

    def violated(self, a: Architecture) -> Limit | None:
        """The limit that this shape breaks by most, or None."""
        spent = [(limit, limit.measure(a)) for limit in self.limits]
        broken = [(limit, much) for limit, much in spent if not limit.holds(much)]
        return max(broken, key=lambda pair: pair[0].miss(pair[1]))[0] if broken else None

    def __str__(self) -> str:
        return " and ".join(map(str, self.limits))

    @classmethod
    def parse(cls, values: object) -> Budget:
        """Read a study's ``budget``: quantities with a number or ``{target | at_most, ...}``, and a common ``tolerance``."""
        if not isinstance(values, Mapping):
            raise SpecError(f"budget must be a mapping such as {{parameters: 1_000_000}}, found {quoted(values)}; write one")
        common = _tolerance("budget.tolerance", values.get("tolerance", DEFAULT_TOLERANCE))
        limits = []
        for name, value in values.items():
            if name == "tolerance":
                continue
            if name not in QUANTITIES:
                raise unknown_key(f"budget.{name}", name, (*QUANTITIES, "tolerance"))
            limits.append(_limit(name, value, common))
        if not limits:
            raise SpecError(f"budget must name at least one of {', '.join(QUANTITIES)}, found none; name one")
        return cls(tuple(limits))


def _percent(share: float) -> str:
    return f"{100 * share:g}%"


def _limit(name: str, value: object, common: float) -> Limit:
    path = f"budget.{name}"
    if not isinstance(value, Mapping):
        return Limit(name, above_zero(path, value), common)
    extra = {"weight_bytes": ("precision",), "flops_per_token": ("context_tokens",)}.get(name, ())
    for key in value:
        if key not in ("target", "at_most", "tolerance", *extra):
            raise unknown_key(f"{path}.{key}", key, ("target", "at_most", "tolerance", *extra))
    if ("target" in value) == ("at_most" in value):
        raise SpecError(f"{path} must have either `target` or `at_most`, found {quoted(dict(value))}; name one of them")
    options: dict[str, Any] = {key: value[key] for key in extra if key in value}
    if options.get("precision", "float16") not in (*cost.BITS_PER_WEIGHT,):
        raise SpecError(
            f"{path}.precision must be one of {', '.join(cost.BITS_PER_WEIGHT)}, found {quoted(options['precision'])}; choose one of them"
        )
    if "context_tokens" in options:
        options["context_tokens"] = whole_number(f"{path}.context_tokens", options["context_tokens"])
    if "at_most" in value:
        if "tolerance" in value:
            raise SpecError(f"{path}.tolerance goes with `target`; an `at_most` is a sharp limit, so leave it out")
        return Limit(name, above_zero(f"{path}.at_most", value["at_most"]), None, **options)
    tolerance = _tolerance(f"{path}.tolerance", value.get("tolerance", common))
    return Limit(name, above_zero(f"{path}.target", value["target"]), tolerance, **options)


def _tolerance(path: str, value: object) -> float:
    found = number(path, value)
    if not 0 < found < 1:
        raise SpecError(f"{path} must lie between 0 and 1 (0.01 is one percent), found {quoted(value)}; correct it")
    return found
