"""Which process has which tests: a file's are one's, so that what they share is made once, and all on the shared Ray are one's too."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[2]
ON_RAY = {"ray_here", "real_study"}
"""Fixtures of tests on the shared Ray."""


@cache
def has_tests_on_ray(path: str) -> bool:
    """Whether a file of tests, relative to the repository's root, has some on the shared Ray."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return any(name in text for name in ON_RAY)


def is_on_ray(item: pytest.Item) -> bool:
    return not ON_RAY.isdisjoint(getattr(item, "fixturenames", ()))


def place_in_order(item: pytest.Item) -> tuple[bool, bool]:
    """Sorts tests: files with some on the shared Ray come first, those that are on it behind their neighbours.

    They wait more than they compute, so that the other process has the processors meanwhile.
    """
    beside_ray = has_tests_on_ray(item.nodeid.partition("::")[0])
    assert beside_ray or not is_on_ray(item), f"{item.nodeid} must name ray_here or real_study in its file"
    return not beside_ray, is_on_ray(item)


class FileScheduling(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Gives out whole files, in their order; those with tests on the shared Ray as one."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "on Ray" if has_tests_on_ray(path) else path

    def remove_node(self, node: Any) -> str | None:
        """Pass over the test that a process died of, which the others of its file would wait for for ever."""
        units = self.assigned_work.get(node, {})
        died_of: str | None = super().remove_node(node)
        for unit in units.values():
            if died_of in unit:
                unit[died_of] = True
        return died_of
