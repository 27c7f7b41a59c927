"""Tells of new points of a training's curve that another process keeps, as its folder has them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from analysis.records.training import CurvePoint
from trials.pretraining.kept_files import kept_curve
from trials.pretraining.statement import CURVE

LOOKS_SECONDS = 1.0
OnPoint = Callable[[CurvePoint, int], None]
"""Told of each new point of the curve, and of the tokens that the run began or went on from."""


class CurveWatch:
    """Tells of new points until the block ends."""

    def __init__(self, folder: Path, on_point: OnPoint) -> None:
        self._file, self._on_point = folder / CURVE, on_point
        self._told, self._over = self._points()[-1:], threading.Event()
        self._began = self._told[0].tokens if self._told else 0
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._tell()

    def _look(self) -> None:
        while not self._over.wait(LOOKS_SECONDS):
            self._tell()

    def _tell(self) -> None:
        last = self._told[-1].tokens if self._told else 0
        for point in self._points():
            if point.tokens > last:
                self._told = [point]
                self._on_point(point, self._began)

    def _points(self) -> list[CurvePoint]:
        return kept_curve(self._file)
