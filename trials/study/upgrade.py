"""Keys of a study that have other names now: a person's file with an old one is refused with the new one, a stored study is upgraded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.text.words import joined
from search_space.errors import SpecError

RENAMED: tuple[Mapping[str, str | None], ...] = (
    {
        "objectives.quality": None,
        "objectives.latency": "latency",
        "objectives.limits.latency_ms": "limits.total_ms",
        "objectives.limits.memory_bytes": "limits.peak_memory_bytes",
        "proxy.rungs": "proxy.cooldowns",
        "search.stopping_rungs": "search.rungs",
        "search.workers": "workers.count",
        "search.threads": "workers.threads",
        "search.gpus": "workers.gpus",
        "search.peak_flops": "workers.peak_flops",
        "search.deadline_seconds": "workers.deadline_seconds",
        "search.fresh_seed": "finals.fresh_seed",
        "search.rate_bracket": "finals.learning_rate_bracket",
    },
)
"""Old key -> new key of each schema that was left behind, first to last; None where it is gone without another."""


def require_new_keys(values: object, source: str, within: str = "") -> None:
    """Raise SpecError where a mapping has keys of a study of an earlier schema: with all of them, and what to write instead.

    `within` is what leads to the mapping in its file, such as `scales.proxy.`.
    """
    found = {old: new for table in RENAMED for old, new in table.items() if _has(values, old)}
    moved = {within + old: within + new for old, new in found.items() if new is not None}
    gone = [within + old for old, new in found.items() if new is None]
    cures = [f"{joined([*moved])} moved: write {joined([*moved.values()])}"] if moved else []
    cures += [f"leave out {joined(gone)}"] if gone else []
    if cures:
        raise SpecError(f"{source}: {', and '.join(cures)}")


def upgraded(values: object) -> object:
    """The mapping of a stored `study.yaml` under today's keys; what is no mapping, and keys that are nobody's, stay as they are.

    A moved key that says nothing (null) is left out, as is a mapping of which nothing is left where a list or nothing stands now.
    """
    for table in RENAMED:
        sections = {new.partition(".")[0] for new in table.values() if new is not None}
        for old, new in table.items():
            if _has(values, old):
                values, value = _without(values, old)
                values = values if new is None or value is None else _with(values, new, value)
        for old in table:
            section = old.partition(".")[0]
            if section not in sections and _is_empty(values, section):
                values, _ = _without(values, section)
    return values


def _has(values: object, key: str) -> bool:
    section, _, rest = key.partition(".")
    return isinstance(values, Mapping) and section in values and (not rest or _has(values[section], rest))


def _without(values: Any, key: str) -> tuple[dict[str, Any], Any]:
    """A copy without a key that it has, and the key's value."""
    section, _, rest = key.partition(".")
    if not rest:
        return {name: value for name, value in values.items() if name != section}, values[section]
    left, value = _without(values[section], rest)
    return {**values, section: left}, value


def _with(values: Any, key: str, value: Any) -> dict[str, Any]:
    section, _, rest = key.partition(".")
    return {**values, section: _with(values.get(section, {}), rest, value) if rest else value}


def _is_empty(values: object, section: str) -> bool:
    """Whether a section has no value anywhere in it, as `{limits: {}}` has none."""
    found = values.get(section) if isinstance(values, Mapping) else None
    return isinstance(found, Mapping) and all(_is_empty(found, name) for name in found)
