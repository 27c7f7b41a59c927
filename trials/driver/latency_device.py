"""The latency device of a study on Ray: who takes latencies on the node that is for it, and how one asks for them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray.core.generated.gcs_pb2 import ActorTableData
from ray.exceptions import RayActorError
from ray.experimental import internal_kv

from analysis.records.latency import Latency
from search_space.architecture import Architecture
from trials.cluster.ray_session import LATENCY_DEVICE, LATENCY_SHARE
from trials.driver.attempts import cause_of_death
from trials.driver.trial_news import NAMESPACE
from trials.driver.workers import RAYLET_SECONDS, result_of
from trials.latency.fingerprint import Fingerprint
from trials.machine.niceness import take_back_niceness
from trials.study.latency_spec import LatencySpec
from trials.trial.task import DeviceAway, DeviceEnded, DeviceLost

SEE_TO_THE_NODE = "see to the node that takes latencies and run the same command again"
"""The cure where the device does not start, was ended or is another machine."""
MOST_LOSSES = 3
"""A shape during whose measurement the device was lost so often may itself be what ends it."""
ABSENCE_LOOK_SECONDS = 2.0
"""Seconds between two looks at whether the device is there, while it does not answer."""


class LatencyDevice:
    """Takes a study's latencies one after another on the node that has the resource, in a process of its own.

    Each study has one there; the machine is one study's at a time, for one measurement, and studies take turns.
    """

    def __init__(self, spec: LatencySpec, earlier: Sequence[Latency], work: str) -> None:
        """`earlier` are the latencies of the study; `work` names what these are taken for, wherever this process is started again."""
        from trials.latency.process import LatencyProcess
        from trials.machine.fair_queue import FairQueue

        take_back_niceness()
        self._process, self._queue = LatencyProcess(spec, earlier), FairQueue("latency-device")
        self._same = SameMachine(work, [Fingerprint.of(each) for each in earlier])

    def measure(self, shape: Architecture, asker: str) -> Latency:
        """Measures one shape as `LatencyProcess.measure` does, once it is this study's turn; says meanwhile for which asker.

        Raises DeviceEnded where this is another machine than took the study's latencies.
        """
        with self._queue.turn(), _said_to_measure_for(asker):
            taken = self._process.measure(shape)
        self._same.require(taken)
        return taken


class SameMachine:
    """Sees that all latencies of a study come from one machine, also where its process is started again on another."""

    def __init__(self, work: str, known: Iterable[Fingerprint]) -> None:
        """`known` are what took the study's latencies, the first one first; where it has none, the first one of this `work` counts."""
        self._key, self._known = f"machine:{work}".encode(), list(dict.fromkeys(known))

    def require(self, taken: Latency) -> None:
        """Raise DeviceEnded where another machine took this latency."""
        found = Fingerprint.of(taken)
        if not self._known:
            internal_kv._internal_kv_put(self._key, found.as_text().encode(), overwrite=False, namespace=NAMESPACE)
            self._known.append(Fingerprint.from_text(internal_kv._internal_kv_get(self._key, namespace=NAMESPACE)))
        if not any(known.is_same(found) for known in self._known):
            raise DeviceEnded(self._known[0].refusal(found))


def latency_device(spec: LatencySpec, earlier: Sequence[Latency]) -> Any:
    """Start the process that takes a study's latencies, on the node that is for it, and again wherever that resource is; Ray's handle."""
    asked = ray.remote(LatencyDevice).options(num_cpus=0, resources=LATENCY_SHARE, max_restarts=-1)
    return asked.remote(spec, list(earlier), uuid.uuid4().hex)


def ask_device(
    device: Any, shape: Architecture, away: Callable[[bool], None], goes_on: Callable[[float], bool] = lambda away_seconds: True
) -> Latency:
    """A latency from the device; raises what the measurement raised there.

    Where the device is lost, waits until it is back, as long as `goes_on` says so of the seconds that it has been away, and asks again;
    raises DeviceAway where it says no. `away` is told True when the wait begins, and False when it is over. Raises DeviceLost where it was
    lost three times while it measured this shape: losses while it measured others, or while it was away already, are counted for no shape
    that waits. Raises DeviceEnded where the device does not start, was ended for good, or is
    another machine.
    """
    asker, losses, absence = uuid.uuid4().hex, 0, _Absence(device, away, goes_on)
    while True:
        asked = device.measure.remote(shape, asker)
        try:
            while not ray.wait([asked], timeout=ABSENCE_LOOK_SECONDS)[0]:
                absence.look()
            latency: Latency = result_of(asked)
        except RayActorError as error:
            if error.actor_init_failed or device._get_local_state() == ActorTableData.DEAD:
                how = "does not start" if error.actor_init_failed else "was ended"
                raise DeviceEnded(f"the process that takes latencies {how}: {cause_of_death(str(error))}") from None
            time.sleep(RAYLET_SECONDS)  # where its raylet is gone, so is this process meanwhile
            losses += _had_measured_for(asker)
            if losses == MOST_LOSSES:
                raise DeviceLost(
                    f"the process that takes latencies was lost {losses} times while it measured this shape: {cause_of_death(str(error))}"
                ) from None
            absence.look()
        except DeviceAway:
            ray.cancel(asked)  # else it would be measured for nobody
            raise
        else:
            absence.is_over()
            return latency


class _Absence:
    """How long the device has been away, for whoever waits for it."""

    def __init__(self, device: Any, away: Callable[[bool], None], goes_on: Callable[[float], bool]) -> None:
        self._device, self._away, self._goes_on = device, away, goes_on
        self._since: float | None = None

    def look(self) -> None:
        """Tell where it has gone, or is back; raises DeviceAway where it is waited for no longer."""
        if self._device._get_local_state() == ActorTableData.ALIVE or ray.cluster_resources().get(LATENCY_DEVICE):
            return self.is_over()  # or will be, once its process has started
        if self._since is None:
            self._since = time.monotonic()
            self._away(True)
        if not self._goes_on(time.monotonic() - self._since):
            raise DeviceAway
        return None

    def is_over(self) -> None:
        """Tell that it is there, where it was away."""
        if self._since is not None:
            self._since = None
            self._away(False)


@contextmanager
def _said_to_measure_for(asker: str) -> Iterator[None]:
    """Leaves a word in the key-value store that every Ray cluster has, which only a death in here leaves there."""
    with suppress(Exception):  # a measurement does not fail because nobody may ask
        internal_kv._internal_kv_put(_asker_key(asker), b"measures", overwrite=True, namespace=NAMESPACE)
    try:
        yield
    finally:
        with suppress(Exception):
            internal_kv._internal_kv_del(_asker_key(asker), namespace=NAMESPACE)


def _had_measured_for(asker: str) -> bool:
    """Whether the device that is back was lost while it measured for this asker; asked once a loss."""
    with suppress(Exception):
        return bool(internal_kv._internal_kv_del(_asker_key(asker), namespace=NAMESPACE))
    return False


def _asker_key(asker: str) -> bytes:
    return f"device:{asker}".encode()
