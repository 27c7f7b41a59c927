"""One shape becomes one record: count, measure, train. The only place that knows the order; needs torch, lightning and pydantic alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from analysis.record import CurvePoint, Latency, Outcome, Training, TrialRecord
from search_space.architecture import Architecture
from trials.corpus import TokenBlocks
from trials.network import Network
from trials.proxy import train
from trials.study import LatencySpec, ProxySpec
from trials.task import Start, TrialTask, count_costs, explain, record_of, this_machine
from trials.training.evaluation import evaluate_named
from trials.training.failures import TrainingFailed, memory_errors
from trials.training.utilisation import known_peak, utilisation

Measure = Callable[[Architecture], Latency]
"""Takes the latency of a shape; may wait its turn, and may raise."""


def run_trial(
    task: TrialTask,
    blocks: TokenBlocks,
    proxy: ProxySpec,
    *,
    workload: LatencySpec,
    latency: Measure | None = None,
    threads: int = 1,
    device: str = "cpu",
    pause: Callable[[], float] | None = None,
    deadline_seconds: float | None = None,
    memory_bytes: int | None = None,
    peak_flops: float | None = None,
    progress: Callable[[CurvePoint], None] | None = None,
    reused: Training | None = None,
) -> tuple[TrialRecord, Network | None]:
    """Evaluate one shape: the cheapest question first, so that a shape that cannot be measured is not trained.

    Whatever goes wrong becomes the record's outcome and reason; what was measured until then is kept. `workload` says what the KV
    cache and the decode FLOPs are counted at; without `latency` nothing is timed. `deadline_seconds` hold for the whole trial. A
    finished training's utilisation is of `peak_flops`, by default those that are known of the device. `reused` is a finished
    training that is taken over: only the latency is measured then. The other arguments are those of `proxy.train`. The network
    comes back only where it was trained here and the trial finished.
    """
    start = Start.now()
    costs = count_costs(task.architecture, workload, proxy)
    machine = {**this_machine(), "torch": torch.__version__}
    measured: Latency | None = None
    training: Training | None = None
    try:
        if latency is not None:
            with memory_errors():
                measured = latency(task.architecture)
        if reused is not None:
            return record_of(task, Outcome.FINISHED, None, costs, start, latency=measured, training=reused, machine=machine), None
        network, training = train(
            task.architecture,
            blocks,
            proxy,
            seed=task.seed,
            threads=threads,
            device=device,
            pause=pause,
            deadline_seconds=None if deadline_seconds is None else max(0.0, deadline_seconds - start.elapsed_seconds),
            memory_bytes=memory_bytes,
            progress=progress,
        )
        peak = known_peak(device, training.precision) if peak_flops is None else peak_flops
        used = utilisation(training.tokens_per_second, costs.training_flops_per_token, peak)
        training = replace(training, model_flops_utilisation=used)
        if blocks.validations:
            judged = evaluate_named(network.to(device), blocks, proxy.evaluation_tokens, proxy.context_tokens, pause=pause)
            network, training = network.to("cpu"), replace(training, validations=judged)
    except Exception as error:
        outcome, reason = explain(error)
        training = error.training if isinstance(error, TrainingFailed) else None
        return record_of(task, outcome, reason, costs, start, latency=measured, training=training, machine=machine), None
    return record_of(task, Outcome.FINISHED, None, costs, start, latency=measured, training=training, machine=machine), network
