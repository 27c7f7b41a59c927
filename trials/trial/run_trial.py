"""One shape becomes one record: count, measure, train. The only place that knows the order; needs torch, lightning and pydantic alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from analysis.objectives.problem import STANDARD, Problem
from analysis.records.latency import Activations, Latency
from analysis.records.record import Outcome, TrialRecord
from analysis.records.training import CurvePoint, Training
from search_space.architecture import Architecture
from trials.corpus.blocks import TokenBlocks
from trials.network.decoder import Network
from trials.network.weights import load_network
from trials.rounding.table import rounding_of
from trials.study.latency_spec import LatencySpec
from trials.study.spec import ProxySpec
from trials.training.conditions import ALONE, Conditions
from trials.training.failures import TrainingFailed, memory_errors
from trials.training.proxy_run import ProxyRun
from trials.training.utilisation import known_peak, utilisation
from trials.trial.checkpoint import INTERVAL_SECONDS, SHARE_OF_TIME, Checkpoint
from trials.trial.judgement import is_judged, judge_finished, without_rounding
from trials.trial.task import DeviceAway, DeviceEnded, Start, TrialTask, count_costs, outcome_of, record_of, shape_observed, this_machine

MeasureLatency = Callable[[Architecture], Latency]
"""Takes the latency of a shape; may wait its turn, and may raise; DeviceAway where the shape is to be trained first."""
Ended = tuple[TrialRecord, Network | None]
"""A trial's record, and its network where it was trained here and the trial finished."""


def ended(trial: Generator[TrialRecord, None, Ended]) -> Ended:
    """What a trial in stretches comes to where nobody stops it."""
    while True:
        try:
            next(trial)
        except StopIteration as end:
            result: Ended = end.value
            return result


def trial_in_stretches(
    task: TrialTask,
    blocks: TokenBlocks,
    proxy: ProxySpec,
    *,
    workload: LatencySpec,
    problem: Problem = STANDARD,
    latency: MeasureLatency | None = None,
    looks: Sequence[float] = (),
    checkpoint: Checkpoint | None = None,
    conditions: Conditions = ALONE,
    progress: Callable[[CurvePoint], None] | None = None,
    reused: Training | None = None,
    reused_weights: Path | None = None,
    as_deployed: bool = True,
    activations: Activations | None = None,
) -> Generator[TrialRecord, None, Ended]:
    """Evaluate one shape: the cheapest question first, so that a shape that cannot be measured, or passes a limit of the
    `problem` that is known before, is not trained.

    Yields at each of the `looks`, shares of the training, the record that the trial has if it is stopped there; returns its last
    record and the network. A shape whose latency cannot be had now is trained without it. Whatever goes wrong becomes the record's outcome
    and reason, but for DeviceEnded, which is raised; what was measured until then is kept. With a `checkpoint` the trial goes on from what
    lies there, and leaves its state at every look and once a minute. `workload` says what the KV cache and the decode FLOPs are counted at,
    and, where it is judged `as_deployed`, how the network is rounded before it is judged once more; without `latency` nothing is timed. The
    deadline of the `conditions` is for the whole trial but its latency, and a finished training's utilisation is of their peak. `progress`
    gets every new point of the curve.
    `reused` is a finished training that is taken over: only the latency is measured then, and what its record lacks of the quality as
    rounded, from the weights in the file `reused_weights`, without which such a shape is trained. What products of rounded weights read is
    the word of the device that took the latency, unless `activations` says how the directory's first trials were judged. The network comes
    back only where it was trained here and the trial finished.
    """
    start = Start.now()
    costs = count_costs(task.architecture, workload, proxy)
    machine = {**this_machine(), "torch": torch.__version__}
    kept = None if checkpoint is None else checkpoint.read()
    measured = None if kept is None else kept.latency
    training: Training | None = None
    measuring_seconds = 0.0

    def now(outcome: Outcome, reason: str | None, training: Training | None) -> TrialRecord:
        return record_of(task, outcome, reason, costs, start, latency=measured, training=training, machine=machine)

    try:
        shape = shape_observed(task.architecture, workload, proxy)
        passed = problem.passed_limit(shape, "shape")
        if passed is None and latency is not None and measured is None:
            since = time.monotonic()
            with memory_errors(), suppress(DeviceAway):
                measured = latency(task.architecture)
            measuring_seconds = time.monotonic() - since
        passed = passed or problem.passed_limit(replace(shape, latency=measured), "device")
        if passed is not None:
            return now(Outcome.OVER_LIMIT, f"{passed}, so it was not trained", None), None
        word = activations or (None if measured is None else measured.activations)
        rounding, pause = rounding_of(workload, word) if as_deployed else None, _Pauses(conditions.pause)
        if reused is not None and not is_judged(reused, rounding):
            reused = without_rounding(reused) if rounding is None or reused_weights is not None else None
            if reused is not None and rounding is not None and reused_weights is not None:
                torch.set_num_threads(conditions.threads)
                there = load_network(reused_weights, task.architecture).to(conditions.device)
                reused = judge_finished(reused, there, blocks, proxy, rounding, pause=pause)
        if reused is not None:
            return now(Outcome.FINISHED, None, reused), None
        keeper = _Keeper(checkpoint, measured)
        for look in () if kept is None else kept.looks:  # passed without a latency
            keeper.pass_by(look)
            yield replace(look, latency=measured)
        whole = conditions.deadline_seconds
        left = None if whole is None else max(0.0, whole - (start.elapsed_seconds - measuring_seconds))
        run = ProxyRun(
            task.architecture, blocks, proxy,
            seed=task.seed, conditions=replace(conditions, deadline_seconds=left),
            progress=lambda point: keeper.after(point, run, progress),
        )  # fmt: skip
        if kept is not None:
            run.restore(kept.state)
        for _ in run.stretches(looks):
            look = now(Outcome.STOPPED, None, run.result())
            keeper.pass_by(look)
            keeper.keep(run)
            yield look
        trained = time.monotonic()
        network, training = run.network, replace(run.result(), diagnostics=run.diagnose())
        peak = known_peak(conditions.device, training.precision) if conditions.peak_flops is None else conditions.peak_flops
        used = utilisation(training.tokens_per_second, costs.training_flops_per_token, peak)
        training = replace(training, model_flops_utilisation=used)
        if blocks.validations or blocks.tasks or rounding is not None:
            with memory_errors():
                there = network.to(conditions.device)
                training = judge_finished(training, there, blocks, proxy, rounding, scores=run.scores, pause=pause)
            network = network.to("cpu")
        looked = (training.evaluation_seconds or 0.0) + time.monotonic() - trained - pause.seconds
        training = replace(training, evaluation_seconds=looked)
    except DeviceEnded:  # which says nothing of the shape, and the trial has done nothing yet
        raise
    except Exception as error:
        outcome, reason = outcome_of(error)
        return now(outcome, reason, error.training if isinstance(error, TrainingFailed) and error.training else training), None
    return now(Outcome.FINISHED, None, training), network


class _Pauses:
    """Waits as the conditions have it, and counts for how long."""

    def __init__(self, pause: Callable[[], float] | None) -> None:
        self._pause, self.seconds = pause, 0.0

    def __call__(self) -> None:
        """Wait as long as somebody else measures."""
        if self._pause is not None:
            self.seconds += self._pause()


class _Keeper:
    """Leaves a run's state where a checkpoint is wanted."""

    def __init__(self, checkpoint: Checkpoint | None, latency: Latency | None) -> None:
        self._checkpoint, self._latency = checkpoint, latency
        self._looks: list[TrialRecord] = []
        self._next_at = time.monotonic() + INTERVAL_SECONDS

    def pass_by(self, look: TrialRecord) -> None:
        """A look at which the trial cannot be judged while it has no latency goes with its states."""
        if self._latency is None:
            self._looks.append(look)

    def keep(self, run: ProxyRun) -> None:
        """The state as it is now; the next one is due after so long that writing takes a fiftieth of the time at most."""
        if self._checkpoint is not None:
            since = time.monotonic()
            self._checkpoint.write(run.state(), self._latency, self._looks)
            now = time.monotonic()
            self._next_at = now + max(INTERVAL_SECONDS, (now - since) / SHARE_OF_TIME)

    def after(self, point: CurvePoint, run: ProxyRun, progress: Callable[[CurvePoint], None] | None) -> None:
        """The state where the last one is old, at a point of the curve, which is where a run has one."""
        if time.monotonic() >= self._next_at:
            self.keep(run)
        if progress is not None:
            progress(point)
