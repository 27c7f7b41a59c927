"""Every value of every kind of line is checked as it is read: the tables here are made from the records' own fields."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest

from analysis.fidelity.lr_transfer import RATE_RUNS, RateRun
from analysis.fidelity.rank_validity import VALIDITY, LongRun, read_long_runs
from analysis.latency.device_table import TABLE_FORMAT, Header, Row, read_table
from analysis.records.checked import LARGEST_COUNT, LARGEST_NUMBER, Measurement, Range
from analysis.records.json_writer import json_of
from analysis.records.record import FINALS, RECORDS, FinalRecord, Outcome, TrialRecord, append, read_finals, read_record, read_records
from search_space.architecture import Architecture
from search_space.errors import SpecError
from tests.support.sample_study import sample_records
from trials.experiments.lr_check import read_rate_runs

SHAPE = sample_records(1)[0].architecture


def example(kind: Any) -> Any:
    """JSON of a value of this type in which nothing is absent."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return "2026-01-01T00:00:00+00:00" if arguments[0] is str else arguments[0](1)
    if origin in (Union, types.UnionType):
        return example(next(one for one in arguments if one is not types.NoneType))
    if origin is tuple:
        return [example(arguments[0]), example(arguments[0])]
    if origin is Mapping:
        return {"one": example(arguments[1])}
    if origin is Literal:
        return arguments[0]
    if kind is Architecture:
        return SHAPE.as_dict()
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind)).value
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {field.name: 2 if field.name == "schema" else example(hints[field.name]) for field in dataclasses.fields(kind)}
    return {int: 1, float: 1.5, str: "text", bool: True, Any: 1}[kind]


def fields(kind: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any, bool]]:
    """Where a value of each type stands, and whether it may be null."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        inner = next(one for one in arguments if one is not types.NoneType)
        yield from ((where, what, maybe or where == path) for where, what, maybe in fields(inner, path))
    elif origin is tuple:
        yield from fields(arguments[0], (*path, 1))
    elif origin is Mapping and arguments[1] is not Any:
        yield from fields(arguments[1], (*path, "one"))
    elif kind is not Architecture and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        for field in dataclasses.fields(kind):
            if field.name != "schema":  # an error of its own, see test_record.py
                yield from fields(hints[field.name], (*path, field.name))
    else:
        yield path, kind, False


LINES: dict[str, tuple[type, str, Callable[[Path], Any]]] = {
    "records": (TrialRecord, RECORDS, read_records),
    "finals": (FinalRecord, FINALS, read_finals),
    "long trainings": (LongRun, VALIDITY, read_long_runs),
    "rates": (RateRun, RATE_RUNS, lambda directory: read_rate_runs(directory / RATE_RUNS)),
    "rows of a device's table": (Row, "table.jsonl", lambda directory: read_table(directory / "table.jsonl")),
    "a device's table": (Header, "table.jsonl", lambda directory: read_table(directory / "table.jsonl")),
}


def begin(kind: type) -> list[str]:
    """The lines before the one of this kind."""
    header = {"format": TABLE_FORMAT, **example(Header), "precision": "float32"}
    return [json.dumps(header)] if kind is Row else []


def line_of(kind: type, values: Any) -> str:
    return json.dumps({"format": TABLE_FORMAT, **values} if kind is Header and isinstance(values, dict) else values)


def valid(kind: type) -> Any:
    return example(kind) | ({"precision": "float32"} if kind is Header else {})


def wrong_values(kind: Any) -> list[Any]:
    """What a field of this type must not hold."""
    if get_origin(kind) is Annotated and isinstance(get_args(kind)[1], Range):
        plain, bounds = get_args(kind)
    else:
        plain, bounds = kind, Range()
    if plain in (int, float):
        least = 1 if plain is int else 0.1
        below = [bounds.lowest - max(least, 2 * bounds.rounding), *([bounds.lowest] if bounds.above else [])]
        above = [bounds.highest + 1] if bounds.highest < LARGEST_COUNT else []
        large = [2 * LARGEST_COUNT, 10**25] if plain is int else [10 * LARGEST_NUMBER, 10**400]
        numbers: list[Any] = [math.nan, math.inf, -math.inf, *below, *above, *large, *([1.5] if plain is int else [])]
        return [*numbers, True, "7", "", [1], {"a": 1}]
    if plain is bool:
        return [1, 0.0, "true", [True]]
    if get_origin(kind) is Annotated:
        return [1, "", "yesterday", "2026-13-45T00:00:00", "9" * 500, ["2026-01-01"]]
    if plain is str:
        return [1, True, ["text"], {"a": "b"}]
    mapping = [] if get_origin(kind) is Mapping else [{"a": 1}]
    return [1, "what nobody knows", "x" * 500, [], *mapping]  # an enumeration, a literal, a shape or a mapping


def at(values: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        values = values[step]
    return values


def written(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


CASES = [(name, path) for name, (kind, _, _) in LINES.items() for path, _, _ in fields(kind)]


def test_the_table_has_every_number_of_every_record() -> None:
    """A hundred fields and more, none written down by hand."""
    assert len(CASES) > 130
    assert ("records", ("training", "curve", 1, "seconds")) in CASES
    assert ("records", ("latency", "yardstick", "ratio", "p90")) in CASES
    assert ("finals", ("learning_rate_bracket", 1, "factor")) in CASES


@pytest.mark.parametrize("name", LINES)
def test_what_is_right_is_read_and_written_back(name: str, tmp_path: Path) -> None:
    kind, file, read = LINES[name]
    values = valid(kind)
    (tmp_path / file).write_text("\n".join([*begin(kind), line_of(kind, values)]) + "\n")
    found = read(tmp_path)
    if kind in (TrialRecord, FinalRecord):
        [record] = found.values() if isinstance(found, dict) else found
        assert json.loads(json_of(record.as_dict())) == values


@pytest.mark.parametrize(("name", "path"), CASES, ids=[f"{name}: {written(path)}" for name, path in CASES])
def test_a_wrong_value_is_told_with_its_line_its_key_what_was_found_and_the_cure(
    name: str, path: tuple[str | int, ...], tmp_path: Path
) -> None:
    kind, file, read = LINES[name]
    (wanted,) = [what for where, what, _ in fields(kind) if where == path]
    for wrong in wrong_values(wanted):
        if kind is Row and path == ("latency",):
            continue
        values = copy.deepcopy(valid(kind))
        at(values, path[:-1])[path[-1]] = wrong
        (tmp_path / file).write_text("\n".join([*begin(kind), line_of(kind, values)]) + "\n")
        with pytest.raises(SpecError) as refused:
            read(tmp_path)
        said = str(refused.value)
        assert f"{file}:{len(begin(kind)) + 1} does not hold" in said, (wrong, said)
        is_no_json = kind in (Row, Header) and (wrong == 10**400 or (isinstance(wrong, float) and not math.isfinite(wrong)))
        assert is_no_json or written(path).split("[")[0] in said, (wrong, said)
        assert any(cure in said for cure in ("delete that line", "restore it from a copy")), said
        assert len(said.replace(str(tmp_path), "")) < 600, said


@pytest.mark.parametrize(("name", "path"), CASES, ids=[f"{name}: {written(path)}" for name, path in CASES])
def test_a_missing_number_is_absent_or_told(name: str, path: tuple[str | int, ...], tmp_path: Path) -> None:
    kind, file, read = LINES[name]
    (maybe,) = [maybe for where, _, maybe in fields(kind) if where == path]
    values = valid(kind)
    at(values, path[:-1])[path[-1]] = None
    (tmp_path / file).write_text("\n".join([*begin(kind), line_of(kind, values)]) + "\n")
    if maybe or (type(at(valid(kind), path)) in (int, float) and is_absorbed(kind, path)):
        read(tmp_path)
    else:
        with pytest.raises(SpecError, match=r"does not hold .*found (null|nothing)"):
            read(tmp_path)


def is_absorbed(kind: Any, path: tuple[str | int, ...]) -> bool:
    """Whether a part that may be absent is on the way to a number, and is so without it."""
    for step in path[:-1]:
        if isinstance(step, str) and dataclasses.is_dataclass(kind):
            kind = typing.get_type_hints(kind, include_extras=True)[step]
        may_be_absent = get_origin(kind) in (Union, types.UnionType, Mapping)
        while get_origin(kind) in (Union, types.UnionType, tuple, Mapping):
            kind = next(one for one in reversed(get_args(kind)) if one not in (types.NoneType, Ellipsis))
        if may_be_absent and isinstance(kind, type) and issubclass(kind, Measurement):
            return True
    return False


def test_an_unknown_key_is_told(tmp_path: Path) -> None:
    values = valid(TrialRecord)
    values["training"]["curve"][1]["secnods"] = 1
    (tmp_path / RECORDS).write_text(json.dumps(values) + "\n")
    with pytest.raises(SpecError, match=r"records.jsonl:1 does not hold .*; training.curve\[1\].secnods is unknown; restore the file"):
        read_records(tmp_path)


def test_equal_lines_count_once_with_one_notice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records = sample_records(14)
    for record in [*records, *records[3:6]]:
        append(tmp_path, record)
    with caplog.at_level(logging.WARNING):
        assert read_records(tmp_path) == read_records(tmp_path) == records
    [notice] = caplog.messages
    assert notice.endswith("records.jsonl has lines more than once (3 of them, as in a file that was put together); each counts once")


def test_two_lines_of_one_trial_that_differ_are_refused_with_both_places(tmp_path: Path) -> None:
    records = sample_records(5)
    for record in [*records, dataclasses.replace(records[2], seed=7)]:
        append(tmp_path, record)
    with pytest.raises(SpecError, match=r"must have one record of trial 2, found two that differ in lines 3 and 6; delete the one"):
        read_records(tmp_path)


def test_what_was_lost_may_have_a_newer_line_and_nothing_else_may(tmp_path: Path) -> None:
    records = sample_records(5)
    lost = dataclasses.replace(records[2], outcome=Outcome.LOST, reason="gone", training=None)
    again = dataclasses.replace(lost, reason="gone again")
    lines = [lost, *records[:2], again, *records[2:]]
    for record in [*lines, *lines]:
        append(tmp_path, record)
    assert read_records(tmp_path) == records, "also where the file was put together of two"
    assert read_record(tmp_path, 2) == records[2]
    append(tmp_path, dataclasses.replace(records[2], seed=7))
    with pytest.raises(SpecError, match=r"must have one record of trial 2, found two that differ in lines 5 and 15; delete the one"):
        read_records(tmp_path)


def test_json_that_goes_out_is_json() -> None:
    value = {"a": [math.nan, 1.5, (math.inf, {"b": -math.inf})], "c": {1: True}}
    assert json.loads(json_of(value)) == {"a": [None, 1.5, [None, {"b": None}]], "c": {"1": True}}
