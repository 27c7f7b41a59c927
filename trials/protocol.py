"""How a latency is taken: the protocol `archfront-1`, to be followed in a process of its own.

One repeat is the whole workload: the prompt in one pass, then every new token by itself, batch 1, with the KV cache. The process is
held to as many processors as it has threads. Short workloads warm it up until two in a row agree. Then repeats are timed until as
many as asked for, taken in a row but for disturbed ones, agree; a repeat is disturbed where the system made its threads wait for a
processor. After twice as many attempts the calmest are reported, and flagged.

The weights are random, as a network is initialised: the time of dense arithmetic does not depend on the values, denormal numbers
aside, which such weights (standard deviation 0.02 and less) do not produce. Choosing the next token is not part of the workload.
"""

from __future__ import annotations

import gc
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy

from analysis.record import Latency, Spread
from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.quiet import QuietLock
from trials.runtimes import find_runtime
from trials.runtimes.interface import Session
from trials.study import LatencySpec

PROTOCOL = "archfront-1"
AGREEMENT = 0.05
"""Two warm-ups in a row that differ by less end the warm-up."""
WARM_UPS = 6
"""Most warm-ups; what is not steady after them shows in the spread."""
WARM_UP_TOKENS = 8
"""Tokens decoded in a warm-up."""
ATTEMPTS = 2
"""Most repeats, as a multiple of those asked for."""
LARGEST_WAIT = 0.03
"""Share of a repeat that its threads may have waited for a processor."""
LARGEST_SPREAD = 0.10
"""By how much the 90th percentile of the total may exceed the 10th."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """One timed workload."""

    prefill_ms: float
    decode_ms: float
    """All new tokens together."""
    waited: float
    """Share of the time that threads of this process waited for a processor."""

    @property
    def total_ms(self) -> float:
        """The whole workload."""
        return self.prefill_ms + self.decode_ms


def measure(architecture: Architecture, spec: LatencySpec, quiet: QuietLock | None = None, quiet_timeout_seconds: float = 60.0) -> Latency:
    """Time one shape; with `quiet`, training on this machine pauses during warm-up and repeats, but not while the model is built.

    Raises SpecError where the runtime cannot hold the shape, QuietTimeoutError where training does not pause.
    """
    from trials.network import Network  # torch takes seconds to import, and the parent of a LatencyProcess never needs it

    runtime = find_runtime(spec.runtime)
    refusal = runtime.refusal(architecture, spec.precision)
    if refusal is not None:
        raise SpecError(refusal)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="archfront-latency-")))
        runtime.prepare(directory, architecture, dict(Network(architecture).named_parameters()), spec.precision)
        session = runtime.load(directory, architecture, spec.prompt_tokens + spec.new_tokens, spec.threads)
        stack.callback(session.close)
        stack.enter_context(_no_garbage_collection())
        if quiet is not None:
            stack.enter_context(quiet.measuring(quiet_timeout_seconds))
        load_average = os.getloadavg()[0]
        pinned = stack.enter_context(_pinned(spec.threads))
        repeats, disturbed = take_repeats(session, architecture.vocab_size, spec)
    return Latency(
        total_ms=_spread([repeat.total_ms for repeat in repeats]),
        prefill_ms=_spread([repeat.prefill_ms for repeat in repeats]),
        decode_ms_per_token=_spread([repeat.decode_ms / spec.new_tokens for repeat in repeats]),
        repeats=len(repeats),
        prompt_tokens=spec.prompt_tokens,
        new_tokens=spec.new_tokens,
        runtime=spec.runtime,
        runtime_version=runtime.version(),
        precision=spec.precision,
        threads=spec.threads,
        pinned_cpus=pinned,
        device=device_name(),
        load_average=load_average,
        disturbed=disturbed,
        protocol=PROTOCOL,
    )


def take_repeats(session: Session, vocab_size: int, spec: LatencySpec) -> tuple[list[Repeat], bool]:
    """Warm up and time `spec.repeats` workloads; the second value says that no calm ones were to be had."""
    tokens = numpy.random.default_rng(0).integers(vocab_size, size=spec.prompt_tokens + spec.new_tokens).tolist()
    prompt, new = tokens[: spec.prompt_tokens], tokens[spec.prompt_tokens :]
    previous = float("inf")
    for _ in range(WARM_UPS):
        total = run_once(session, prompt, new[:WARM_UP_TOKENS]).total_ms
        if abs(total - previous) <= AGREEMENT * previous:
            break
        previous = total
    return calm_repeats(lambda: run_once(session, prompt, new), spec.repeats)


def calm_repeats(run: Callable[[], Repeat], repeats: int) -> tuple[list[Repeat], bool]:
    """Run until the latest undisturbed repeats are enough and agree; else the calmest of all attempts, flagged with True."""
    taken: list[Repeat] = []
    while len(taken) < ATTEMPTS * repeats:
        taken.append(run())
        calm = [repeat for repeat in taken if repeat.waited <= LARGEST_WAIT][-repeats:]
        if len(calm) == repeats and _agree(calm):
            return calm, False
    return sorted(taken, key=lambda repeat: repeat.waited)[:repeats], True


def run_once(session: Session, prompt: Sequence[int], new: Sequence[int]) -> Repeat:
    """Time one workload."""
    waited = _waited_seconds()
    start = time.perf_counter()
    session.prefill(prompt)
    filled = time.perf_counter()
    for token in new:
        session.decode(token)
    end = time.perf_counter()
    return Repeat((filled - start) * 1e3, (end - filled) * 1e3, (_waited_seconds() - waited) / (end - start))


def device_name() -> str:
    """The processor, in its maker's words."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _waited_seconds() -> float:
    """Seconds that the threads of this process have spent ready to run, but not running.

    Linux counts them (the second number of schedstat). Elsewhere: wall time less the main thread's processor time, which is the
    same up to a constant for a thread that never sleeps.
    """
    waits = [wait for task in _tasks() if (wait := _schedstat(task)) is not None]
    return sum(waits) / 1e9 if waits else time.perf_counter() - time.thread_time()


def _schedstat(task: str) -> int | None:
    """Nanoseconds that a thread has waited; None where the system does not say, or the thread has just ended."""
    try:
        return int(Path(f"/proc/self/task/{task}/schedstat").read_bytes().split()[1])
    except (OSError, IndexError):
        return None


def _tasks() -> list[str]:
    try:
        return os.listdir("/proc/self/task")
    except OSError:
        return []


@contextmanager
def _pinned(threads: int) -> Iterator[tuple[int, ...] | None]:
    """Hold every thread of this process to as many processors, the highest ones: interrupts tend to go to the first."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    allowed = os.sched_getaffinity(0)
    if len(allowed) < threads:
        raise SpecError(f"latency.threads must not exceed the {len(allowed)} processors of this machine, found {threads}; lower it")
    chosen = sorted(allowed)[-threads:]
    try:
        _hold(chosen)
        yield tuple(chosen)
    finally:
        _hold(allowed)


def _hold(processors: Sequence[int] | set[int]) -> None:
    for task in _tasks():
        with suppress(ProcessLookupError):  # a thread that has just ended
            os.sched_setaffinity(int(task), processors)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Collect now, and not inside: a collection takes a tenth of a second where torch is loaded."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _agree(repeats: Sequence[Repeat]) -> bool:
    spread = _spread([repeat.total_ms for repeat in repeats])
    return spread.p90 <= spread.p10 * (1 + LARGEST_SPREAD)


def _spread(values: Sequence[float]) -> Spread:
    p10, median, p90 = numpy.percentile(values, (10, 50, 90))
    return Spread(median=float(median), p10=float(p10), p90=float(p90))
