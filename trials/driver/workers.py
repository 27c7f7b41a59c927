"""What lives on Ray's workers: the trainable that Tune drives, the latency device, and the examiner of the finals."""

from __future__ import annotations

import faulthandler
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.exceptions import RayActorError, RayTaskError

from analysis.record import FreshSeed, Latency, Outcome, Quality, RatePoint, TrialRecord
from search_space.architecture import Architecture
from trials.runtimes import RUNTIMES
from trials.study import LatencySpec, StudySpec
from trials.task import Start, TrialTask, count_costs, explain, record_of
from trials.training.failures import TrainingFailed

if TYPE_CHECKING:
    from trials.text.blocks import TokenBlocks

LATENCY_DEVICE = "latency_device"
"""The Ray resource of the node where latency is taken; one measurement at a time for each unit."""
GRACE_SECONDS = 5.0
GRACE_SHARE = 0.5
"""A worker that is this much past its deadline, in all, hangs in native code and is ended: pauses for latency may take some."""
Evaluate = Callable[[TrialTask], TrialRecord]


@dataclass(frozen=True)
class Equipment:
    """What every trial of a study needs and no trial changes; sent to each worker once."""

    study: StudySpec
    blocks: dict[int, Any]
    """Vocabulary size -> reference to its TokenBlocks in Ray's object store."""
    device: Any
    """The LatencyDevice's handle; None with a fake evaluator."""
    evaluate: Evaluate | None
    """A fake in place of `run_trial`; None for the real thing."""


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """Runs one trial after another in one process, so that torch and lightning are imported once."""

    def setup(self, config: dict[str, Any], equipment: Equipment) -> None:
        """Import what the first trial needs."""
        self._equipment = equipment
        self._blocks: dict[int, TokenBlocks] = {}
        if equipment.evaluate is None:
            import trials.trial  # noqa: F401

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next trial may have this process."""
        return True

    def step(self) -> dict[str, Any]:
        """The whole trial: its record, and its weights as a file's bytes where it finished."""
        task: TrialTask = self.config["task"]
        with _ended_at(self._equipment.study.search.deadline_seconds):
            record, weights = self._fake(task) if self._equipment.evaluate else self._real(task)
        return {"record": record, "weights": weights, "done": True}

    def _real(self, task: TrialTask) -> tuple[TrialRecord, bytes | None]:
        from trials.quiet import QuietLock, should_pause
        from trials.training.memory import trials_on_a_machine, usable_bytes
        from trials.trial import run_trial

        study = self._equipment.study
        with ExitStack() as stack:
            quiet = QuietLock()
            stack.callback(quiet.close)
            record, network = run_trial(
                task,
                self._blocks_of(task.architecture.vocab_size),
                task.recipe(study.proxy),
                workload=study.objectives.latency,
                latency=lambda shape: ask_device(self._equipment.device, shape),
                threads=study.search.trial_threads,
                device=study.search.device,
                peak_flops=study.search.peak_flops,
                memory_bytes=usable_bytes(study.search.device, trials_on_a_machine(study.search)),
                pause=_pause(quiet, stack, _measures_on_gpu(study)) if should_pause() or _measures_on_gpu(study) else None,
                deadline_seconds=study.search.deadline_seconds,
                reused=self.config["reused"],
            )
        return record, None if network is None else _file_of(network)

    def _fake(self, task: TrialTask) -> tuple[TrialRecord, None]:
        evaluate, study, start = self._equipment.evaluate, self._equipment.study, Start.now()
        assert evaluate is not None
        try:
            return evaluate(task), None
        except Exception as error:
            outcome, reason = explain(error)
            return record_of(task, outcome, reason, count_costs(task.architecture, study.objectives.latency, study.proxy), start), None

    def _blocks_of(self, vocab_size: int) -> TokenBlocks:
        if vocab_size not in self._blocks:
            self._blocks[vocab_size] = ray.get(self._equipment.blocks[vocab_size])
        return self._blocks[vocab_size]


def _measures_on_gpu(study: StudySpec) -> bool:
    """Whether latencies are taken where this study trains."""
    return bool(study.search.gpus) and RUNTIMES[study.objectives.latency.runtime].device == "cuda"


class LatencyDevice:
    """Takes latencies one after another on the node that has the resource, in a process of its own."""

    def __init__(self, spec: LatencySpec, earlier: Sequence[Latency]) -> None:
        from trials.latency import LatencyProcess

        self._process = LatencyProcess(spec, earlier)

    def measure(self, shape: Architecture) -> Latency:
        """As `LatencyProcess.measure`."""
        return self._process.measure(shape)


class Examiner:
    """Evaluates trained networks on the test split, and trains finalists at other rates."""

    def quality(self, shape: Architecture, weights: bytes, blocks: TokenBlocks, study: StudySpec) -> Quality:
        """Of the weights in a safetensors file's bytes, on as many tokens as an evaluation of the search had."""
        import torch

        from trials.training.evaluation import evaluate
        from trials.weights import load_network

        torch.set_num_threads(study.search.trial_threads)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.safetensors"
            path.write_bytes(weights)
            network = load_network(path, shape).to(study.search.device)
        return evaluate(network, blocks, "test", study.proxy.evaluation_tokens, study.proxy.context_tokens)

    def fresh(self, record: TrialRecord, blocks: TokenBlocks, study: StudySpec, seed: int) -> FreshSeed:
        """The trial's shape trained by the study's recipe with this seed, judged on both splits; a failure is its reason."""
        from trials.proxy import train
        from trials.training.evaluation import evaluate

        search, proxy = study.search, study.proxy
        try:
            network, training = train(
                record.architecture, blocks, proxy,
                seed=seed, threads=search.trial_threads, device=search.device, deadline_seconds=search.deadline_seconds,
            )  # fmt: skip
            test = evaluate(network.to(search.device), blocks, "test", proxy.evaluation_tokens, proxy.context_tokens)
        except Exception as error:
            outcome, reason = explain(error)
            return FreshSeed(seed=seed, reason=f"{outcome}: {reason}")
        return FreshSeed(seed=seed, validation=training.validation, test=test)

    def rate_point(self, record: TrialRecord, blocks: TokenBlocks, study: StudySpec, factor: float) -> RatePoint:
        """The finalist's loss at a multiple of the study's rate."""
        from trials.rate_check import bits_at

        try:
            bits = bits_at(record.architecture, blocks, study, study.proxy, factor, record.seed)
        except TrainingFailed:
            return RatePoint(factor=factor, bits_per_byte=None)
        return RatePoint(factor=factor, bits_per_byte=bits)


def ask_device(device: Any, shape: Architecture) -> Latency:
    """A latency from the device; raises what the measurement raised there, or that the device was lost."""
    try:
        latency: Latency = ray.get(device.measure.remote(shape))
    except RayTaskError as error:
        raise error.cause from None
    except RayActorError:
        raise RuntimeError("the process that takes latencies vanished; it is started again for the next trial") from None
    return latency


def explain_loss(said: str, elapsed_seconds: float, deadline_seconds: float) -> tuple[Outcome, str]:
    """Outcome and reason of a trial whose worker did not answer, from what Ray says and from how long it ran."""
    if "running low on memory" in said:
        return (
            Outcome.OUT_OF_MEMORY,
            "Ray ended the worker because the node ran low on memory; lower search.workers or proxy.batch_sequences",
        )
    if elapsed_seconds >= deadline_seconds:
        return (
            Outcome.TIMED_OUT,
            f"hung for {elapsed_seconds:.0f} seconds without reaching a step, so its worker was ended; "
            "raise search.deadline_seconds if the shape is only slow",
        )
    if "Traceback" in said:
        return Outcome.FAILED, f"the worker could not run it: {_last_line(said)}"
    return (
        Outcome.LOST,
        "its process vanished without a word; the system's out-of-memory killer is a likely cause (see the kernel's log), "
        "so lower search.workers or proxy.batch_sequences",
    )


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")


def _pause(quiet: Any, stack: ExitStack, on_gpu: bool) -> Callable[[], float]:
    """Join the quiet at the first step, not before: the trial's own latency is taken first, and it would wait for itself.

    Where latencies are taken `on_gpu`, what is still to be done there ends first.
    """
    joined = False

    def pause() -> float:
        nonlocal joined
        if on_gpu:
            import torch

            torch.cuda.synchronize()
        if joined:
            waited: float = quiet.pause()
            return waited
        start, joined = Start.now(), True
        stack.enter_context(quiet.training())
        return start.elapsed_seconds

    return pause


@contextmanager
def _ended_at(deadline_seconds: float) -> Iterator[None]:
    """End this process, with its threads' stacks on stderr, where the trial hangs far beyond its deadline."""
    limit = deadline_seconds * (1 + GRACE_SHARE) + GRACE_SECONDS
    faulthandler.dump_traceback_later(limit, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _file_of(network: Any) -> bytes:
    from trials.weights import save_weights

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_weights(path, network)
        return path.read_bytes()
