"""Trainings and measurements beside a study on the nodes of a Ray cluster: what `trials.experiments` is handed in place of this machine."""

from __future__ import annotations

import logging
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError
from ray.experimental import internal_kv

from analysis.records.latency import Latency
from search_space.architecture import Architecture
from search_space.errors import SpecError, WorkError
from trials.catalogue.runtimes import RUNTIMES
from trials.cluster.placement import NODE_ID, others_of
from trials.cluster.ray_address import is_here
from trials.cluster.ray_session import LATENCY_SHARE, connected
from trials.cluster.shared_text import SharedText, shared_text, text_here
from trials.driver.attempts import MOST_ATTEMPTS, cause_of_death
from trials.driver.latency_device import SEE_TO_THE_NODE, ask_device, latency_device
from trials.driver.preparation import require_latency_node, settled_on_a_worker, tell_of_niceness
from trials.driver.trial_news import NAMESPACE
from trials.driver.tune_adapters import BETWEEN_LOOKS_SECONDS
from trials.driver.workers import result_of
from trials.experiments.workplace import TrainingCall, TrainingsLost
from trials.latency.process import LatencyError
from trials.machine.niceness import take_back_niceness
from trials.machine.process_pool import Result
from trials.machine.processors import device_name
from trials.machine.redaction import redacted
from trials.study.latency_spec import LatencySpec
from trials.study.search_spec import WorkersSpec
from trials.study.spec import StudySpec
from trials.trial.task import DeviceEnded, DeviceLost

if TYPE_CHECKING:
    from trials.corpus.blocks import TokenBlocks
    from trials.latency.measurer import Measurer


logger = logging.getLogger(__name__)


@contextmanager
def on_ray(study: StudySpec | None, address: str | None) -> Iterator[OnRay]:
    """The workplace of the cluster at the address, else at the environment's, inside; where there is none, a Ray for the study is begun."""
    with ExitStack() as while_connected:

        def join() -> None:
            while_connected.enter_context(connected(study, address))
            tell_of_niceness()

        yield OnRay(join, while_connected, not is_here(address))


class OnRay:
    """The nodes of a cluster: a `Workplace`. It is joined with the first that is asked of it; SpecError where it does not answer."""

    def __init__(self, join: Callable[[], None], kept: ExitStack, is_joined: bool) -> None:
        """`kept` holds what is needed until the cluster is left."""
        self._join_once, self._kept, self._is_joined = cache(join), kept, is_joined
        self._texts: dict[tuple[str, int], Any] = {}

    def trainer(self) -> tuple[str, int]:
        """GPUs where a node has one, and the processors that every node has on which the training may be placed.

        Where no node trains yet, one is waited for, as in a cluster that grows.
        """
        self._join_once()
        if not (there := _trainers()):
            logger.warning("no node of the cluster has a processor for trainings yet; one is waited for")
            ray.get(ray.remote(ray.is_initialized).options(num_cpus=1).remote())
            there = _trainers()
        with_gpus = [node for node in there if node.get("GPU", 0.0) >= 1]
        return "cuda" if with_gpus else "cpu", int(min(node["CPU"] for node in with_gpus or there))

    def settled(self, study: StudySpec, directory: Path) -> StudySpec:
        """The study in the way of its directory, or as a node that trains is calibrated."""
        self._join_once()
        return settled_on_a_worker(study, directory)

    def side_by_side(
        self, work: Callable[..., Result], trainings: Sequence[TrainingCall], workers: int, *, lower: str
    ) -> Iterator[tuple[int, Result]]:
        """Each as a task of a node with room for it; one that infrastructure lost is made again, on another node where there is one.

        Raises what `work` raises, and TrainingsLost once all others have ended where one was lost `MOST_ATTEMPTS` times, with Ray's causes.
        """
        self._join_once()
        waiting, running, losses = deque(range(len(trainings))), dict[Any, _Begun](), _Losses()
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    number, token = waiting.popleft(), uuid.uuid4().hex
                    avoided = others_of(losses.nodes[number], trainings[number].study.workers)
                    running[self._begun(work, token, trainings[number], avoided)] = _Begun(number, token, bool(avoided))
                done, _ = ray.wait(list(running), timeout=BETWEEN_LOOKS_SECONDS)
                if not done:
                    for task in [task for task, begun in running.items() if losses.is_stranded(begun, trainings[begun.number])]:
                        ray.cancel(task, force=True)
                        waiting.appendleft(running.pop(task).number)
                    continue
                begun = running.pop(done[0])
                where = _node_of(begun.token)
                _forget(begun.token)
                try:
                    found: Result = result_of(done[0])
                except RayError as error:
                    if losses.again(begun.number, where, error):
                        waiting.append(begun.number)
                else:
                    yield begun.number, found
        finally:
            for each in running:
                with suppress(RayError):
                    ray.cancel(each, force=True)
                _forget(running[each].token)
        if losses.given_up:
            raise TrainingsLost(
                f"{len(losses.given_up)} of {len(trainings)} trainings were lost {MOST_ATTEMPTS} times, found: "
                f"{losses.last_cause}; the same command continues, and where memory ran out, lower {lower}"
            )

    def measurer(self, spec: LatencySpec, earlier: Iterable[Latency] = ()) -> Measurer:
        """A process on the node that takes latencies."""
        self._join_once()
        require_latency_node(spec)
        return _Device(spec, earlier)

    def device(self, spec: LatencySpec) -> str:
        """The processor or GPU of the node that takes latencies."""
        self._join_once()
        require_latency_node(spec)
        asked = ray.remote(device_name).options(num_cpus=0, resources=LATENCY_SHARE)
        return str(result_of(asked.remote(RUNTIMES[spec.runtime].device)))

    def _begun(self, work: Callable[..., Any], token: str, training: TrainingCall, avoided: Sequence[str]) -> Any:
        study = training.study
        require_room(study.workers)
        where = {"label_selector": {NODE_ID: f"!in({','.join(avoided)})"}} if avoided else {}
        task = ray.remote(_at_work).options(num_cpus=study.workers.trial_threads, num_gpus=study.workers.gpus, max_retries=0, **where)
        return task.remote(work, token, self._text(study, training.vocab_size), *training.arguments)

    def _text(self, study: StudySpec, vocab_size: int) -> Any:
        from trials.corpus.prepare import prepare_corpus

        key = study.corpus.model_dump_json(), vocab_size
        if key not in self._texts:
            self._texts[key] = ray.put(shared_text(prepare_corpus(study.corpus, vocab_size), self._kept, self._is_joined))
        return self._texts[key]


def _trainers() -> list[dict[str, float]]:
    """What the nodes have that may train."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0.0) >= 1]


def require_room(workers: WorkersSpec) -> None:
    """Raise SpecError where no node has as many processors or GPUs as one training asks for: Ray would wait without end.

    Nothing is refused where no node trains yet, for a cluster may grow.
    """
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for kind, asked, key in (("CPU", workers.trial_threads, "workers.threads"), ("GPU", workers.gpus, "workers.gpus")):
        largest = max((node.get(kind, 0.0) for node in alive), default=0.0)
        if asked > largest >= 1:
            raise SpecError(f"{key} must not exceed the {largest:g} {kind}s of the cluster's largest node, found {asked:g}; lower it")


@dataclass(frozen=True, slots=True)
class _Begun:
    """A training that Ray was asked for."""

    number: int
    """Which of those that are wanted."""
    token: str
    """The name under which it says on which node it is."""
    is_elsewhere: bool
    """Whether it may not run on nodes where it was lost."""


class _Losses:
    """How often trainings were lost, where, and why."""

    def __init__(self) -> None:
        self.nodes: defaultdict[int, set[str]] = defaultdict(set)
        """Ray's ids of the nodes on which a training was lost, by its number."""
        self.given_up: set[int] = set()
        self.last_cause = ""
        self._counts: Counter[int] = Counter()

    def again(self, number: int, where: str | None, error: RayError) -> bool:
        """Whether a training that was lost there is to be made once more."""
        self._counts[number] += 1
        self.last_cause = redacted(cause_of_death(str(error)))
        if where is not None:
            self.nodes[number].add(where)
        if self._counts[number] < MOST_ATTEMPTS:
            logger.warning("a training was lost and is made again: %s", self.last_cause)
            return True
        self.given_up.add(number)
        return False

    def is_stranded(self, begun: _Begun, training: TrainingCall) -> bool:
        """Whether a training waits for another node than it was lost on, and there is none any more: Ray would wait without end."""
        return begun.is_elsewhere and _node_of(begun.token) is None and not others_of(self.nodes[begun.number], training.study.workers)


class _Device:
    """The study's process on the node that takes latencies: a `Measurer`."""

    def __init__(self, spec: LatencySpec, earlier: Iterable[Latency]) -> None:
        self._device = latency_device(spec, list(earlier))

    def measure(self, architecture: Architecture) -> Latency:
        """Time one shape; where the node is away, it is waited for. Raises WorkError where it was ended for good, or is another machine."""
        try:
            return ask_device(self._device, architecture, _tell_of_absence)
        except DeviceEnded as error:  # which says nothing of a shape: none may be left out for it
            raise WorkError(f"{error}; {SEE_TO_THE_NODE}") from None
        except DeviceLost as error:
            raise LatencyError(str(error)) from None

    def close(self) -> None:
        """End the process."""
        ray.kill(self._device)


def _tell_of_absence(is_away: bool) -> None:
    if is_away:
        logger.warning("the node that takes latencies is away; it is waited for")


def _at_work(work: Callable[..., Result], token: str, text: SharedText | TokenBlocks, *arguments: Any) -> Result:
    """Say where this worker is, in case that it is lost, and work."""
    take_back_niceness()
    with suppress(Exception):  # a training does not fail because nobody may ask
        internal_kv._internal_kv_put(_node_key(token), ray.get_runtime_context().get_node_id().encode(), namespace=NAMESPACE)
    return work(*arguments, text_here(text))


def _node_of(token: str) -> str | None:
    """Ray's id of the node where the training with that token was; None where it did not begin."""
    with suppress(Exception):
        said = internal_kv._internal_kv_get(_node_key(token), namespace=NAMESPACE)
        return None if said is None else str(said.decode())
    return None


def _forget(token: str) -> None:
    """Leave nothing of a training in the cluster's store."""
    with suppress(Exception):
        internal_kv._internal_kv_del(_node_key(token), namespace=NAMESPACE)


def _node_key(token: str) -> bytes:
    return f"training:{token}".encode()
