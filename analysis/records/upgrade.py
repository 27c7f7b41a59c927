"""Lines of records.jsonl and finals.jsonl that an earlier archfront wrote, in the form of today; the files are never rewritten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from search_space.errors import SpecError, quoted

SCHEMA = 2
"""Schema of the lines that are written now."""


def upgraded_record(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a trial's or a final record's line, one schema after the other; raises SpecError where the schema is not known."""
    found = dict(values)
    while (schema := found.get("schema")) != SCHEMA:
        if not isinstance(schema, int) or schema not in UPGRADES:
            raise SpecError(
                f"a record must have a schema from 1 to {SCHEMA}, found {quoted(schema)}; use the archfront version that wrote it"
            )
        found = UPGRADES[schema](found) | {"schema": schema + 1}
    return found


def _from_1(values: dict[str, Any]) -> dict[str, Any]:
    """What was called a rung is a training of a grid, or a cooldown of a training; finals have whole names."""
    renamed = {"rate_bracket": "learning_rate_bracket", "fresh": "fresh_seed"}
    found = {renamed.get(name, name): value for name, value in values.items()}
    if found.get("kind") == "rung":
        found["kind"] = "grid"
    training = found.get("training")
    if training is not None:
        found["training"] = {("cooldowns" if name == "rungs" else name): value for name, value in training.items()}
    return found


UPGRADES: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}
"""What makes a line of each schema that was left behind one of the schema after it."""
