"""What can be asked of a scaling fit: the options of `archfront fit`. Imports nothing heavy, since `--help` reads the choices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from search_space.errors import SpecError, quoted

FormName = Literal[
    "chinchilla", "chinchilla-tied", "chinchilla-product", "no-floor", "kaplan", "shape", "power", "power-no-floor", "isoflop"
]
FORMS: tuple[FormName, ...] = get_args(FormName)
LOSS_FUNCTIONS = ("huber", "lad")
CHECKPOINT_ROWS = ("all", "last", "hull")
VARIABLES = ("flops", "params", "tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column holds what; None where the table has no such column."""

    params: str | None = None
    """N as the study counts it: all parameters, without embeddings, or without the input embedding; the choice moves every exponent. It
    is found by its heading where it is None, as are the next two."""
    tokens: str | None = None
    loss: str | None = None
    perplexity: bool = False
    """Whether the losses are perplexities, so that their logarithms are fitted."""
    flops: str | None = None
    """Training FLOPs; 6 N D where absent."""
    width: str | None = None
    depth: str | None = None
    """Blocks stored."""
    executed_depth: str | None = None
    """Blocks executed; over the stored ones it is the number of times a block is repeated."""
    of_shape: bool = False
    """Whether width, stored and executed blocks are looked for by their headings where they are not named."""
    group: str | None = None
    """What tells two trainings of one size apart, such as a seed or a run's name."""
    accuracy: str | None = None
    """Share of right answers on a task, 0 to 1; a cell may be empty. Its curve over the loss is fitted, too."""
    exclude: str | None = None
    """Rows that say true here are left out; where it is None, those of a column `excluded`, which may be absent."""
    effects: tuple[str, ...] = ()
    """Further positive columns, such as key-value heads, whose effect at equal N is to be tested."""

    @property
    def named(self) -> dict[str, str]:
        """Each column that somebody named, by what it holds; `effects` and `exclude` are apart."""
        return {
            part.name: getattr(self, part.name)
            for part in fields(self)
            if isinstance(getattr(self, part.name), str) and part.name != "exclude"
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """What to fit and to predict."""

    columns: Columns = field(default_factory=Columns)
    form: str = "chinchilla"
    loss_function: str = "huber"
    against: str = "flops"
    """Variable of the `power` forms."""
    checkpoints: str = "all"
    """Which rows of one training enter: `all`, `last`, or the lower `hull`."""
    predict: tuple[Mapping[str, float], ...] = ()
    """Points such as `parse_point` reads."""
    far: bool = False
    """Whether to predict far outside the runs, too."""
    refits: int = 4000
    seed: int = 0


def options_from(arguments: Mapping[str, Any]) -> FitOptions:
    """Options from an argument parser's values by name; None, and names of other options, are passed over.

    Raises SpecError for a point that is not N,D and for too few refits.
    """
    values = {name: value for name, value in arguments.items() if value is not None}
    own = {part.name: values[part.name] for part in fields(FitOptions) if part.name in values and part.name not in ("columns", "predict")}
    if own.get("refits", 200) < 200:
        raise SpecError(f"--refits must be at least 200 for the ends of an interval to mean anything, found {own['refits']}; leave it out")
    points = tuple(parse_point(text) for text in values.get("predict", ()))
    named = {part.name: values[part.name] for part in fields(Columns) if part.name in values}
    columns = Columns(**named | {"effects": tuple(values.get("effects", ())), "of_shape": values.get("form") == "shape"})
    return FitOptions(columns=columns, predict=points, **own)


def parse_point(text: str) -> dict[str, float]:
    """`1e9,2e10` is N and D; further variables, and flops, by name: `1e9,2e10,width=2048,depth=24,repeats=1`."""
    point: dict[str, float] = {}
    for place, part in enumerate(text.split(",")):
        name, _, value = part.strip().rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        name = name or (("params", "tokens")[place] if place < 2 else "")
        if not name or not 0 < number < math.inf:
            raise SpecError(f"a point must be N,D (or name=value), all above 0, found {quoted(text)}; write it like 1e9,2e10")
        point[name] = number
    return point
