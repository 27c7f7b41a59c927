"""Latency from a process of its own: started once, fed shapes one by one, and replaced when it crashes or hangs.

    process = LatencyProcess(study.latency)
    latency = process.measure(architecture)
    process.close()

The protocol itself is `trials.latency.protocol`. Parent and child exchange lines of JSON over the child's standard input and output; the
child ends when its parent does, however that ends.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import IO, Any

from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from analysis.records.latency import Latency, latency_from_dict
from search_space.architecture import Architecture
from search_space.errors import SpecError, WorkError
from trials.catalogue.runtimes import COMMAND, RUNTIMES
from trials.latency.command import COMMAND_PROTOCOL, measure_by_command
from trials.latency.protocol import PROTOCOL, measure_in_runtime
from trials.latency.refusals import require_libraries
from trials.latency.repeats import Repeat
from trials.latency.runtimes import find_runtime
from trials.latency.yardstick import yardstick_for
from trials.machine.processors import device_name
from trials.machine.quiet_lock import QuietLock, QuietTimeoutError
from trials.machine.subprocesses import ROOT, how_it_ended
from trials.study.latency_spec import LatencySpec

MEASUREMENT_TIMEOUT_SECONDS = 300.0
"""Timeout of one measurement, the first one's import of torch and the wait for training to pause included."""
QUIET_SHARE = 0.5
"""Share of the time allowed that may go into waiting for training to pause."""
COMMAND_SHARE = 0.9
"""Share of the time allowed after which a command is ended, so that what it said can still be told."""


class LatencyError(WorkError):
    """A shape's latency could not be taken; the message says why."""


class LatencyTimeoutError(LatencyError):
    """The measurement did not end in the time allowed, or could not begin because training did not pause."""


class LatencyProcess:
    """A child process that measures; one at a time, for one workload."""

    def __init__(self, spec: LatencySpec, earlier: Iterable[Latency] = ()) -> None:
        """Start the child at once, so that it imports its runtime while the caller does something else.

        `earlier` latencies of the same study say what the yardstick counts as on this device, so that new ones compare with them.
        Raises SpecError where the runtime's library is not installed.
        """
        require_libraries(spec)
        self.spec = spec
        self._device_times: dict[tuple[str, ...], dict[tuple[str, str], tuple[float, float]]] = {}
        for latency in earlier:
            self._note(latency)
        self._child: _Child | None = _Child(spec.runtime)

    @property
    def pid(self) -> int | None:
        """The child's process id; None where there is none to ask, until the next call starts one."""
        return self._child.process.pid if self._child is not None and self._child.process.poll() is None else None

    def measure(self, architecture: Architecture, timeout_seconds: float = MEASUREMENT_TIMEOUT_SECONDS) -> Latency:
        """Time one shape; training on this machine pauses for the timed part alone.

        Raises SpecError where the runtime cannot hold the shape, LatencyTimeoutError, or LatencyError where the child died or
        raised; after any of them the next call works again, with a new child where needed.
        """
        if self.pid is None:
            self.close()
        if self._child is None:
            self._child = _Child(self.spec.runtime)
        known = self._device_times.get(_key(yardstick_for(architecture).label, protocol_of(self.spec), self.spec), {})
        request = {
            "architecture": architecture.as_dict(),
            "spec": self.spec.model_dump(),
            "device_times": [[*where, *time] for where, time in known.items()],
            "quiet_timeout_seconds": QUIET_SHARE * timeout_seconds,
            "deadline": time.monotonic() + COMMAND_SHARE * timeout_seconds,  # one clock for all processes of a machine
        }
        try:
            answer = self._child.ask(json_of(request), timeout_seconds)
        except LatencyError:
            self.close()
            raise
        latency = latency_from_dict(answer.get("latency"))
        if latency is None:
            if answer["error"] == "WorkError":
                self.close()  # with whatever a command has left behind
            raise {"SpecError": SpecError, "QuietTimeoutError": LatencyTimeoutError}.get(answer["error"], LatencyError)(answer["message"])
        self._note(latency)
        return latency

    def _note(self, latency: Latency) -> None:
        """Keep the first time that each yardstick was given on a device."""
        stick = latency.yardstick
        if stick is not None:
            times = self._device_times.setdefault(_key(stick.label, latency.protocol, latency), {})
            times.setdefault((latency.device, latency.runtime), (stick.device_prefill_ms, stick.device_decode_ms))

    def close(self) -> None:
        """End the child; a later `measure` would start another."""
        if self._child is not None:
            self._child.end()
            self._child = None


def protocol_of(spec: LatencySpec) -> str:
    """The version of the protocol that a workload is measured by."""
    return COMMAND_PROTOCOL if spec.runtime == COMMAND else PROTOCOL


def _key(label: str, protocol: str, how: LatencySpec | Latency) -> tuple[str, ...]:
    """What must be the same for a yardstick's time to hold, beside device and runtime."""
    return label, protocol, how.precision, str(how.threads)


class _Child:
    """The running process and its pipes."""

    def __init__(self, runtime: str) -> None:
        self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the child
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trials.latency.process", runtime],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            bufsize=0,
            cwd=ROOT,  # where the packages are; the caller's folder may have a `trials` of its own
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )

    def ask(self, request: str, timeout_seconds: float) -> dict[str, Any]:
        """Send one line and wait for one."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(request.encode() + b"\n")
        except BrokenPipeError:
            raise LatencyError(self._epitaph()) from None
        answer: dict[str, Any] = parse_json(self._line(timeout_seconds))
        return answer

    def _line(self, timeout_seconds: float) -> bytes:
        assert self.process.stdout is not None
        pipe, deadline, line = self.process.stdout.fileno(), time.monotonic() + timeout_seconds, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise LatencyTimeoutError(f"the latency measurement did not end within {timeout_seconds:g} seconds; its process was ended")
            piece = os.read(pipe, 65536)
            if not piece:
                raise LatencyError(self._epitaph())
            line += piece
        return line

    def _epitaph(self) -> str:
        """How the child died, with the last thing that it said."""
        code = self.process.wait()
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace").strip().splitlines()
        return f"the latency process {how_it_ended(code)}{': ' + said[-1] if said else ''}"

    def end(self) -> None:
        """Kill it with what it has started: it holds nothing that the kernel does not free."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._complaints):
            assert pipe is not None
            pipe.close()


def serve(runtime: str) -> None:
    """The child's life: read requests, measure, answer, until the parent is gone."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not become an answer
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    find_runtime(runtime)  # before the first request, as is
    import trials.network.decoder  # noqa: F401  torch, which nobody else here needs: while the trial's worker imports its own

    quiet = QuietLock()
    while True:
        print(json_of(_answer(parse_json(requests.get()), quiet)), file=answers, flush=True)


def _read(requests: queue.SimpleQueue[str]) -> None:
    """Pass requests on, and die with the parent, even in the middle of a measurement, and so does what was started for it."""
    for line in sys.stdin:
        requests.put(line)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _answer(request: dict[str, Any], quiet: QuietLock) -> dict[str, Any]:
    architecture, spec = Architecture.from_dict(request["architecture"]), LatencySpec(**request["spec"])
    known = {(device, runtime): Repeat(prefill_ms, decode_ms, 0.0) for device, runtime, prefill_ms, decode_ms in request["device_times"]}
    waits: dict[str, Any] = {"quiet": quiet, "quiet_timeout_seconds": request["quiet_timeout_seconds"]}
    try:
        if spec.runtime == COMMAND:
            taken = measure_by_command(architecture, spec, device_times=known, deadline=request["deadline"], **waits)
        else:
            stick = known.get((device_name(RUNTIMES[spec.runtime].device), spec.runtime))
            taken = measure_in_runtime(architecture, spec, device_time=stick, **waits)
        return {"latency": dataclasses.asdict(taken)}
    except (SpecError, QuietTimeoutError, WorkError) as error:
        return {"error": type(error).__name__, "message": str(error)}
    except Exception as error:  # whatever a runtime raises is this shape's failure, not the process's
        return {"error": type(error).__name__, "message": f"the latency measurement failed with {type(error).__name__}: {error}"}


if __name__ == "__main__":
    serve(sys.argv[1])
