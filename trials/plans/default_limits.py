"""Shapes that a study's defaults keep out of its space, counted, and how they are let in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from analysis.text.words import joined, plural
from search_space.budget import Budget
from search_space.space import SearchSpace
from trials.study.spec import StudySpec

DEFAULT_LIMITS = {"num_attention_heads": ("from", 1), "intermediate_size": ("ratio", [0.01, 100.0])}
"""Each dimension's key whose default is a limit of shapes, and a value that leaves none out."""


def limits_notice(study: StudySpec) -> str | None:
    """How many shapes of the budget the default limits leave out, and what lifts them; None where there are none."""
    filled = {name: part for name, part in study.defaults.get("space", {}).items() if name in DEFAULT_LIMITS and isinstance(part, Mapping)}
    limits = {name: part[DEFAULT_LIMITS[name][0]] for name, part in filled.items() if DEFAULT_LIMITS[name][0] in part}
    if study.scaling is not None or not limits:
        return None
    lifted = {name: {**study.space[name], DEFAULT_LIMITS[name][0]: DEFAULT_LIMITS[name][1]} for name in limits}
    space = study.search_space
    wider = SearchSpace.parse({**study.space, **lifted}, Budget.parse(study.budget))
    within = space.glimpse.shapes
    left_out = sum(shape not in within for shape in wider.glimpse.shapes)
    if not left_out:
        return None
    if space.size > space.glance or wider.size > wider.glance:  # both are samples, of the same points
        share = left_out / len(wider.glimpse.shapes)
        counted = f"{f'about {share:.0%}' if share >= 0.005 else 'less than 1%'} of the shapes of the budget"
    else:
        counted = f"{plural(left_out, 'shape')} of the budget, beside the {len(within)} that are in"
    stated = joined([f"{name}.{DEFAULT_LIMITS[name][0]} {_written(limit)}" for name, limit in limits.items()])
    cure = joined([f"space.{name}: {_written(value)}" for name, value in lifted.items()])
    return f"the default limits of shapes ({stated}) leave out {counted}; to let them in, write {cure}"


def _written(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).removesuffix("...\n").strip()
