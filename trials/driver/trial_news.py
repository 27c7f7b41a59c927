"""How far a running trial is: said on its worker, heard by the driver, through the key-value store that every Ray cluster has.

A message is small and replaces the one before it, nobody waits for it, and no process more is needed; what is lost is lost.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

import ray
from ray.experimental import internal_kv

from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from analysis.records.training import CurvePoint
from trials.progress.watch import News

NAMESPACE = b"archfront"
BETWEEN_SECONDS = 0.5
MOST_POINTS_SAID = 32
"""Points of a curve in one message: as many as a whole training has beside its evaluations, so that none is missed in between."""


class Teller:
    """Says on a worker how far a trial is."""

    def __init__(self, number: int, planned_tokens: int | None, held_seconds: Callable[[], float]) -> None:
        """The trial's number, the tokens of its training, None where it is to last seconds, and how long it was held up so far."""
        self._number, self._planned, self._next, self._held_seconds = number, planned_tokens, 0.0, held_seconds
        self._curve: deque[CurvePoint] = deque(maxlen=MOST_POINTS_SAID)

    def measures(self) -> None:
        """The latency comes first, or a wait for the device."""
        self._tell(News("latency"))

    def waits(self, is_away: bool) -> None:
        """The device is away, and the trial waits for it; or it is back."""
        self._tell(News("waiting" if is_away else "latency"))

    def trains(self) -> None:
        """The training begins."""
        self._tell(News("training", 0, self._planned))

    def at(self, point: CurvePoint) -> None:
        """The training is at this point of its curve; said twice a second at most, and at once where it was evaluated."""
        self._curve.append(point)
        if point.validation_loss is not None or time.monotonic() >= self._next:
            self._next = time.monotonic() + BETWEEN_SECONDS
            self._tell(News("training", point.tokens, self._planned, tuple(self._curve)))

    def _tell(self, news: News) -> None:
        curve = [[point.tokens, point.seconds, point.training_loss, point.validation_loss] for point in news.curve]
        said = json_of([news.doing, news.tokens, news.planned_tokens, curve, self._held_seconds()]).encode()
        with suppress(Exception):  # a trial does not end because nobody listens
            internal_kv._internal_kv_put(_key(self._number), said, overwrite=True, namespace=NAMESPACE)


def heard(numbers: Collection[int]) -> dict[int, News]:
    """The newest that these trials of this driver said."""
    found = {}
    for number in numbers:
        said = internal_kv._internal_kv_get(_key(number), namespace=NAMESPACE)
        if said is not None:
            doing, tokens, planned_tokens, curve, held_seconds = parse_json(said)
            found[number] = News(doing, tokens, planned_tokens, tuple(map(_point, curve)), held_seconds)
    return found


def _point(values: Sequence[float | None]) -> CurvePoint:
    tokens, seconds, training_loss, validation_loss = values
    assert tokens is not None
    assert seconds is not None
    return CurvePoint(tokens=int(tokens), seconds=seconds, training_loss=training_loss, validation_loss=validation_loss)


def forget(number: int | None = None) -> None:
    """What a trial said is not taken for its next attempt's word; what all trials of this driver did, where no number is given, is not
    kept on a cluster that outlives it.
    """
    with suppress(Exception):
        internal_kv._internal_kv_del(_key("" if number is None else number), del_by_prefix=number is None, namespace=NAMESPACE)


def _key(number: int | str = "") -> bytes:
    """Drivers of one cluster have jobs of their own."""
    return f"{ray.get_runtime_context().get_job_id()}:{number}".encode()
