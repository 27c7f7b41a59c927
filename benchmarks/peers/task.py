"""The task of all searches: low loss and latency on a rectangular space of which a tenth spends the budget.

`train` stands for a training and a measurement. By the environment: PEER_LOG names a file that gets a line when one begins and when it
ends, PEER_SECONDS is how long it takes, and with PEER_NAN a third of the points have a loss that is no number.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from search_space.architecture import Architecture
from search_space.cost import parameters

CHOICES: dict[str, list[int]] = {
    "num_unique_layers": list(range(4, 31, 3)),
    "hidden_size": list(range(256, 832, 64)),
    "num_key_value_heads": [1, 2, 4],
    "intermediate_size": [768, 1536, 2304, 3072, 3840, 4608],
}
FIXED: dict[str, Any] = {"vocab_size": 32_000, "head_dim": 64, "num_attention_heads": 8}
PARAMETERS = 50_000_000
TOLERANCE = 0.1
Point = Mapping[str, Any]


def shape_of(point: Point) -> Architecture:
    """The architecture of a point."""
    sizes: dict[str, Any] = {name: int(point[name]) for name in CHOICES}
    return Architecture(**FIXED, **sizes)


def point_of(shape: Architecture) -> dict[str, int]:
    """The point of an architecture."""
    return {name: getattr(shape, name) for name in CHOICES}


def spends(point: Point) -> bool:
    """Whether a point spends the budget."""
    return abs(parameters(shape_of(point)) / PARAMETERS - 1) <= TOLERANCE


def losses(point: Point) -> tuple[float, float]:
    """Loss and milliseconds: depth and width help, and cost time."""
    shape = shape_of(point)
    return 3.0 - 0.02 * shape.num_unique_layers - shape.hidden_size / 4096, shape.num_unique_layers + shape.hidden_size / 64


def train(point: Point) -> tuple[float, float]:
    """As `losses`, and as the environment says."""
    key = json.dumps({name: int(point[name]) for name in CHOICES})
    _note("begun", key)
    time.sleep(float(os.environ.get("PEER_SECONDS", "0")))
    loss, milliseconds = losses(point)
    _note("ended", key)
    return math.nan if os.environ.get("PEER_NAN") and no_number(key) else loss, milliseconds


def no_number(key: str) -> bool:
    """Whether this point's loss is no number: for a third of all, spread evenly."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 3 == 0


def all_points() -> list[Point]:
    """The whole space."""
    return [dict(zip(CHOICES, values, strict=True)) for values in product(*CHOICES.values())]


def _note(event: str, key: str) -> None:
    if path := os.environ.get("PEER_LOG"):
        with Path(path).open("a", encoding="utf-8") as log:
            log.write(json.dumps({"event": event, "point": key, "time": time.time()}) + "\n")
