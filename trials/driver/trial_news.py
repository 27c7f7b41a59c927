"""How far a running trial is: said on its worker, heard by the driver, through the key-value store that every Ray cluster has.

A message is small and replaces the one before it, nobody waits for it, and no process more is needed; what is lost is lost.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress

import ray
from ray.experimental import internal_kv

from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from trials.progress.watch import News

NAMESPACE = b"archfront"
BETWEEN_SECONDS = 0.5


class Teller:
    """Says on a worker how far a trial is."""

    def __init__(self, number: int, planned_tokens: int | None) -> None:
        """The trial's number, and the tokens of its training; None where it is to last seconds."""
        self._number, self._planned, self._next = number, planned_tokens, 0.0

    def measures(self) -> None:
        """The latency comes first, or a wait for the device."""
        self._tell(News("latency"))

    def trains(self, tokens: int = 0) -> None:
        """So many tokens are trained on; said twice a second at most."""
        if not tokens or time.monotonic() >= self._next:
            self._next = time.monotonic() + BETWEEN_SECONDS
            self._tell(News("training", tokens, self._planned))

    def _tell(self, news: News) -> None:
        said = json_of([news.doing, news.tokens, news.planned_tokens]).encode()
        with suppress(Exception):  # a trial does not end because nobody listens
            internal_kv._internal_kv_put(_key(self._number), said, overwrite=True, namespace=NAMESPACE)


def heard(numbers: Collection[int]) -> dict[int, News]:
    """The newest that these trials of this driver said."""
    found = {}
    for number in numbers:
        said = internal_kv._internal_kv_get(_key(number), namespace=NAMESPACE)
        if said is not None:
            found[number] = News(*parse_json(said))
    return found


def forget() -> None:
    """What trials of this driver said is not kept on a cluster that outlives it."""
    with suppress(Exception):
        internal_kv._internal_kv_del(_key(), del_by_prefix=True, namespace=NAMESPACE)


def _key(number: int | str = "") -> bytes:
    """Drivers of one cluster have jobs of their own."""
    return f"{ray.get_runtime_context().get_job_id()}:{number}".encode()
