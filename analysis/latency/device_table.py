"""A device's table: measured shapes of one device, runtime and workload, one JSON line each, from which every other one is predicted.

The first line says what is measured. Each further line is a shape with its latency; of two lines of a shape the calmer one counts, and
of two alike the later one. `fit` rows are fitted, `check` rows judge the fit and never enter it, `trial` rows came from a study's trials
and are fitted too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from analysis.latency.cost_terms import Workload
from analysis.latency.errors import Errors, errors
from analysis.latency.latency_model import LEAST_SHAPES, TOO_FAR_OUTSIDE, LatencyModel, Prediction
from analysis.records.checked import FieldError, PositiveCount, from_json
from analysis.records.files import append_line, complete_lines
from analysis.records.json_text import parse_json
from analysis.records.latency import Activations, Latency
from search_space.architecture import Architecture
from search_space.cost import BITS_PER_WEIGHT
from search_space.errors import SpecError, quoted

TABLE_FORMAT = "archfront-device-table-1"
Role = Literal["fit", "check", "trial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What all rows of a table have in common."""

    device: str
    runtime: str
    runtime_version: str
    precision: str
    threads: PositiveCount
    prompt_tokens: PositiveCount
    new_tokens: PositiveCount
    protocol: str

    def __post_init__(self) -> None:
        if self.precision not in BITS_PER_WEIGHT:
            raise FieldError(f"precision must be one of {', '.join(BITS_PER_WEIGHT)}, found {quoted(self.precision)}")

    @classmethod
    def of(cls, latency: Latency) -> Self:
        """The workload of a measurement."""
        return cls(**{name: getattr(latency, name) for name in cls.__dataclass_fields__})

    def differs(self, other: object, names: Collection[str] | None = None) -> str | None:
        """What a measurement, or a workload that says no more than `names`, has otherwise, in words; None where it belongs in the table."""
        for name, here in asdict(self).items():
            if (names is None or name in names) and (there := getattr(other, name)) != here:
                return f"{name} is {there!r}, in the table {here!r}"
        return None

    @property
    def workload(self) -> Workload:
        """What is timed."""
        return Workload(self.prompt_tokens, self.new_tokens, self.precision)

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        tokens = f"{self.prompt_tokens} prompt and {self.new_tokens} new tokens"
        return f"{self.device}, {self.runtime} {self.runtime_version} in {self.precision}, {threads}, {tokens}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One shape of a table."""

    architecture: Architecture
    role: Role
    latency: Latency

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"architecture": self.architecture.as_dict(), "role": self.role, "latency": asdict(self.latency)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`; raises ValueError where a field is wrong."""
        return from_json(cls, values)


@dataclass(frozen=True)
class DeviceTable:
    """A table as it was read."""

    name: str
    header: Header
    rows: tuple[Row, ...]

    @property
    def activations(self) -> Activations | None:
        """What products of rounded weights read on the device, by its newest row that says it; None where none does."""
        return next((row.latency.activations for row in reversed(self.rows) if row.latency.activations is not None), None)

    @cached_property
    def model(self) -> LatencyModel:
        """Fitted to all rows but the checks."""
        fitted = [row for row in self.rows if row.role != "check"]
        if len(fitted) < LEAST_SHAPES:
            others = len(self.rows) - len(fitted)
            raise SpecError(
                f"{self.name} must hold at least {LEAST_SHAPES} measured shapes, found {len(fitted)}"
                f"{f' beside {others} that only judge the fit' if others else ''}; "
                "run `archfront profile-device` again, which continues it"
            )
        return LatencyModel(self.header.workload, [row.architecture for row in fitted], [row.latency for row in fitted])

    def predict(self, shapes: Sequence[Architecture], *, far: bool = True) -> list[Prediction]:
        """One prediction a shape, in order; raises SpecError where one lies too far outside of the measured ones, unless `far`."""
        found = self.model.predict(shapes)
        for shape, prediction in zip(shapes, found, strict=True):
            if prediction.times_outside > TOO_FAR_OUTSIDE and not far:
                raise SpecError(
                    f"a latency is predicted up to {TOO_FAR_OUTSIDE:g} times outside of the shapes that the table {self.name} has, found "
                    f"{shape.label}, {prediction.times_outside:.3g} times outside: {prediction.outside}; measure such shapes with "
                    "`archfront profile-device`, or add --far to have the prediction all the same, marked"
                )
        return found

    @cached_property
    def left_out_errors(self) -> Errors:
        """Errors on the fitted shapes, each predicted from all others; no coverage, for intervals are made as wide as these shapes need."""
        return replace(errors(*self.model.left_out, self.model.measured_ms), coverage=None)

    def check_errors(self) -> Errors | None:
        """Errors on the checks; None where there are none."""
        checks = [row for row in self.rows if row.role == "check"]
        return self.errors_on(checks) if checks else None

    def errors_on(self, rows: Sequence[Row]) -> Errors:
        """Errors on measured shapes."""
        totals = [prediction.total for prediction in self.predict([row.architecture for row in rows])]
        measured = np.array([row.latency.total_ms.median for row in rows])
        return errors(np.array([total.ms for total in totals]), np.array([total.deviation for total in totals]), measured)


def is_begun(path: Path) -> bool:
    """Whether a file holds anything but what an interruption leaves of a table's first line."""
    if not path.is_file():
        return path.exists()
    content, first = path.read_bytes(), f'{{"format":"{TABLE_FORMAT}"'.encode()
    return b"\n" in content or content[: len(first)] != first[: len(content)]


def append_row(path: Path, row: Row) -> None:
    """Write a row, and before the first one the line that says what the table is."""
    if not is_begun(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        append_line(path, {"format": TABLE_FORMAT, **asdict(Header.of(row.latency))})
    append_line(path, row.as_dict())


def read_table(path: Path) -> DeviceTable:
    """The table in a file; raises SpecError where it holds none. A last line that was cut short is left out."""
    if not path.is_file():
        raise SpecError(f"{path} is not a file; name a table that `archfront profile-device` has made")
    cure = "restore it from a copy, or delete it and run `archfront profile-device`"
    header: Header | None = None
    rows: dict[Architecture, Row] = {}
    for place, line in complete_lines(path):
        try:
            values = parse_json(line)
            if header is None:
                if values.pop("format") != TABLE_FORMAT:
                    raise ValueError(TABLE_FORMAT)
                header = from_json(Header, values)
            else:
                row = Row.from_dict(values)
                known = rows.get(row.architecture)
                if known is None or known.latency.disturbed or not row.latency.disturbed:
                    rows[row.architecture] = row
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            found = f"; {error}" if isinstance(error, FieldError) else ""
            raise SpecError(f"{path}:{place} does not hold what a device's table ({TABLE_FORMAT}) has there{found}; {cure}") from None
    if header is None:
        raise SpecError(f"{path} must begin with a line that says what was measured, found nothing; {cure}")
    return DeviceTable(path.stem, header, tuple(rows.values()))
