"""How a latency is taken: the protocol `archfront-3`, to be followed in a process of its own.

One repeat is the whole workload: the prompt in one pass, then every new token by itself, batch 1, with the KV cache; of a short workload
it is several in a row, and their median. The process is held to as many processors as it has threads. Short workloads warm it up until
two in a row agree. Then repeats are timed, each between two of a fixed model, the yardstick; a time counts as much as it is of the
yardstick's, times what the yardstick takes on this device, so that a clock that changes, or a neighbour on the memory, moves both and
cancels out. Repeats are taken until as many as asked for, in a row but for disturbed ones, agree and the yardstick stands still; a
repeat is disturbed where the system made its threads wait for a processor. After twice as many attempts the calmest are reported, and
flagged.

The weights are random, as a network is initialised: the time of dense arithmetic does not depend on the values, denormal numbers
aside, which such weights (standard deviation 0.02 and less) do not produce. Choosing the next token is not part of the workload.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from analysis.records.latency import AtPosition, Latency
from analysis.text.words import disk
from search_space.architecture import Architecture
from search_space.cost import decode_bytes, kv_cache_bytes
from search_space.errors import SpecError
from trials.catalogue.runtimes import RUNTIMES
from trials.formats.model import fresh_model
from trials.latency.activations import activations_read
from trials.latency.repeats import (
    ATTEMPTS,
    TURN_MS,
    Pair,
    Repeat,
    beside_of,
    calm_pairs,
    decode_on,
    pairs,
    run_once,
    some_tokens,
    spread_of_values,
    times_of,
    turn,
)
from trials.latency.resident_memory import peak_memory_bytes
from trials.latency.runtimes import find_runtime
from trials.latency.runtimes.interface import RuntimeModule, Session
from trials.latency.yardstick import Bench, loaded_yardstick, yardstick_for
from trials.machine.niceness import niceness
from trials.machine.processors import clock_mhz, device_name, no_garbage_collection, pinned, read_bandwidth, require_processors
from trials.machine.quiet_lock import QuietLock
from trials.study.latency_spec import LONGEST_DRIFT, LatencySpec

PROTOCOL = "archfront-3"
AGREEMENT = 0.05
"""Two warm-ups in a row that differ by less end the warm-up."""
WARM_UPS = 6
"""Most warm-ups; what is not steady after them shows in the spread."""
WARM_UP_TOKENS = 8
"""Tokens decoded in a warm-up."""
MOST_POSITION_TOKENS, FIRST_TOKENS = 16, 3
"""Timed in one repeat at a position, at most, and decoded there before; each repeat goes on where the last one ended."""


def measure_in_runtime(
    architecture: Architecture,
    spec: LatencySpec,
    *,
    device_time: Repeat | None = None,
    quiet: QuietLock | None = None,
    quiet_timeout_seconds: float = 60.0,
) -> Latency:
    """Time one shape; with `quiet`, training on this machine pauses from its load on, but not while its files are made.

    `device_time` is what the yardstick counts as on this device, from an earlier measurement; without it, that is found now.
    Raises SpecError where the runtime cannot hold the shape, QuietTimeoutError where training does not pause.
    """
    runtime, row = find_runtime(spec.runtime), RUNTIMES[spec.runtime]
    refusal = row.refusal(architecture, spec.precision)
    if refusal is not None:
        raise SpecError(refusal)
    require_processors(spec.threads)
    _require_room(architecture, spec)
    bench = loaded_yardstick(yardstick_for(architecture), spec.runtime, spec.precision, spec.threads)
    activations = activations_read(spec.runtime, spec.precision, spec.threads)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="archfront-latency-")))
        runtime.prepare(directory, fresh_model(architecture, spec.precision))
        memory = _memory_beside_no_measurement(directory, architecture, spec, quiet)
        stack.enter_context(no_garbage_collection())
        if quiet is not None:
            stack.enter_context(quiet.measuring(quiet_timeout_seconds))
        load_average = os.getloadavg()[0]
        held = stack.enter_context(pinned(spec.threads))
        bandwidth, clock = read_bandwidth(spec.threads, row.device), clock_mhz(held)
        start = time.perf_counter()
        session = runtime.load(directory, architecture, spec.prompt_tokens + spec.new_tokens, spec.threads)
        loaded = time.perf_counter()
        stack.callback(session.close)
        device = device_time or bench.device_time()
        first, taken, disturbed = take_pairs(session, bench, architecture.vocab_size, spec, device)
        middle = spec.prompt_tokens + (spec.new_tokens + 1) // 2
        deeper = decode_at_positions(runtime, directory, architecture, bench, spec, device)
        return Latency(
            **times_of(taken, device, spec.new_tokens),
            prompt_tokens=spec.prompt_tokens,
            new_tokens=spec.new_tokens,
            runtime=spec.runtime,
            runtime_version=runtime.version(),
            precision=spec.precision,
            threads=spec.threads,
            pinned_cpus=held,
            device=device_name(row.device),
            load_average=load_average,
            disturbed=disturbed,
            protocol=PROTOCOL,
            yardstick=beside_of(taken, device, bench.architecture.label),
            load_ms=(loaded - start) * 1e3,
            first_prefill_ms=first.prefill_ms,
            activations=activations,
            peak_memory_bytes=memory,
            file_bytes=sum(file.stat().st_size for file in directory.rglob("*") if file.is_file()),
            decode_bytes_per_token=decode_bytes(architecture, middle, spec.precision, row.cache_value_bytes(spec.precision)),
            bandwidth_bytes_per_second=bandwidth,
            at_positions=deeper,
            clock_mhz_before=clock,
            clock_mhz_after=clock_mhz(held),
            load_average_after=os.getloadavg()[0],
            device_processors=os.cpu_count(),
            device_memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            niceness=niceness(),
        )


def take_pairs(session: Session, bench: Bench, vocab_size: int, spec: LatencySpec, device: Repeat) -> tuple[Repeat, list[Pair], bool]:
    """The first run, then `spec.repeats` pairs after a warm-up; the last value says that no calm ones were to be had."""
    prompt, new = some_tokens(vocab_size, spec.prompt_tokens, spec.new_tokens)
    first = run_once(session, prompt, new[:WARM_UP_TOKENS])
    previous = first.total_ms
    for _ in range(WARM_UPS - 1):
        total = run_once(session, prompt, new[:WARM_UP_TOKENS]).total_ms
        if abs(total - previous) <= AGREEMENT * previous:
            break
        previous = total
    workload = partial(run_once, session, prompt, new)
    expected_ms = previous if previous >= TURN_MS else min(workload().total_ms for _ in range(3))
    taken = pairs(partial(turn, workload, expected_ms), partial(turn, bench.run, device.total_ms))
    return first, *calm_pairs(taken, spec.repeats, device)


def decode_at_positions(
    runtime: RuntimeModule, directory: Path, architecture: Architecture, bench: Bench, spec: LatencySpec, device: Repeat
) -> tuple[AtPosition, ...]:
    """Decoded tokens around each of `spec.context_positions`, in pairs with the yardstick.

    The session has room for them, and is another one than the workload's: a GPU's decoding reads all the room that there is.
    """
    if not spec.context_positions:
        return ()
    session = runtime.load(directory, architecture, spec.longest_text, spec.threads)
    try:
        return tuple(_at_position(session, position, architecture.vocab_size, bench, spec, device) for position in spec.context_positions)
    finally:
        session.close()


def _at_position(session: Session, position: int, vocab_size: int, bench: Bench, spec: LatencySpec, device: Repeat) -> AtPosition:
    """Short tokens are timed several at once, after one that brings the weights back from where the yardstick has driven them.

    The text begins as much before the position as it ends behind it.
    """
    most = MOST_POSITION_TOKENS + 1
    session.prefill(some_tokens(vocab_size, max(1, position - LONGEST_DRIFT // 2), 0)[0])
    _, new = some_tokens(vocab_size, 0, most)
    first = min(decode_on(session, new[:1]).decode_ms for _ in range(FIRST_TOKENS))
    repeats = max(1, min(ATTEMPTS * spec.repeats, (LONGEST_DRIFT - FIRST_TOKENS) // 2))
    count = max(1, min(MOST_POSITION_TOKENS, math.ceil(TURN_MS / first), (LONGEST_DRIFT - FIRST_TOKENS) // repeats - 1))

    def several() -> Repeat:
        session.decode(new[0])
        return decode_on(session, new[1 : 1 + count])

    taken, disturbed = calm_pairs(pairs(several, partial(turn, bench.run, device.total_ms)), -(-repeats // ATTEMPTS), device)
    times = [pair.at_pace_of(device).decode_ms / count for pair in taken]
    return AtPosition(cached_tokens=position, decode_ms_per_token=spread_of_values(times), disturbed=disturbed)


def _require_room(architecture: Architecture, spec: LatencySpec) -> None:
    """Raise SpecError where the text's keys and values alone are more than the machine has; a runtime would be killed for it."""
    from trials.machine.memory import usable_bytes

    row = RUNTIMES[spec.runtime]
    needed, there = kv_cache_bytes(architecture, spec.longest_text, row.cache_value_bytes(spec.precision)), usable_bytes(row.device)
    if needed > there:
        raise SpecError(
            f"a text of {spec.longest_text:,} tokens must fit into this machine's {disk(there)}, found {disk(needed)} of keys and values "
            "for this shape; lower prompt_tokens, new_tokens or context_positions"
        )


def _memory_beside_no_measurement(directory: Path, architecture: Architecture, spec: LatencySpec, quiet: QuietLock | None) -> int | None:
    """The peak of a fresh process, which works as a training does: not while another process measures."""
    if quiet is None:
        return peak_memory_bytes(directory, architecture, spec)
    with quiet.training():
        return peak_memory_bytes(directory, architecture, spec)
