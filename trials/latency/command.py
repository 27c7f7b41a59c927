"""Latency from a command of one's own, the protocol `command-1`: it gets model files and a workload, and prints what it measured.

What it is asked and what it must answer stands in docs/runtimes.md, "A device of your own". archfront writes the files, reads the
answer, and judges by the same rules as its own measurements whether the repeats agree.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from pkgutil import resolve_name
from statistics import median
from typing import Any

from analysis.records.json_writer import json_of
from analysis.records.latency import Latency
from search_space.architecture import Architecture
from search_space.cost import ROUNDED_PRECISIONS, decode_bytes
from search_space.errors import SpecError, WorkError, complaint_of
from trials.catalogue.formats import FORMATS
from trials.formats.model import fresh_model
from trials.latency.command_output import LAST_WORDS, CommandOutput, command_name, read_output
from trials.latency.repeats import Pair, Repeat, beside_of, pairs, steady, times_of
from trials.latency.yardstick import NEW_TOKENS, PROMPT_TOKENS, yardstick_for
from trials.machine.quiet_lock import QuietLock
from trials.machine.subprocesses import how_it_ended
from trials.study.latency_spec import LatencySpec

COMMAND_PROTOCOL = "command-1"
NO_YARDSTICK = Repeat(1.0, 1.0, 0.0)
"""Takes no part: times that are relative to it are as they were."""


def measure_by_command(
    architecture: Architecture,
    spec: LatencySpec,
    *,
    device_times: Mapping[tuple[str, str], Repeat],
    deadline: float,
    quiet: QuietLock | None = None,
    quiet_timeout_seconds: float = 60.0,
) -> Latency:
    """Time one shape; with `quiet`, nothing else measures on this machine, and training here pauses, while the command runs.

    `device_times` are what the yardstick counts as, by device and runtime; `deadline`, by `time.monotonic`, is when the command is
    ended. Raises SpecError where the format cannot hold the shape or there is no such program, WorkError where the command failed.
    """
    reason = FORMATS[spec.model_format].refusal(architecture, spec.precision)
    if reason is not None:
        raise SpecError(f"the format {spec.model_format} cannot hold this shape: {reason}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="archfront-latency-")))
        model = _write(folder / "model", architecture, spec, spec.prompt_tokens, spec.new_tokens)
        request = {
            "protocol": COMMAND_PROTOCOL,
            "format": spec.model_format,
            "precision": spec.precision,
            "threads": spec.threads,
            "repeats": spec.repeats,
            "model": model,
            "yardstick": _write(folder / "yardstick", yardstick_for(architecture), spec, PROMPT_TOKENS, NEW_TOKENS),
        }
        if quiet is not None:
            stack.enter_context(quiet.measuring(quiet_timeout_seconds))
        answer = read_output(_printed(request, spec, folder, deadline), spec)
        file_bytes = sum(Path(file).stat().st_size for file in model["files"])
    return _latency(architecture, spec, answer, device_times, file_bytes)


def _write(folder: Path, architecture: Architecture, spec: LatencySpec, prompt_tokens: int, new_tokens: int) -> dict[str, Any]:
    """Write a model with random weights; what the command is told of it."""
    row = FORMATS[spec.model_format]
    folder.mkdir()
    path = folder / row.file
    resolve_name(row.writer)(path, fresh_model(architecture, spec.precision))
    return {
        "path": str(path),
        "files": [str(each) for each in sorted(folder.rglob("*")) if each.is_file()],
        "vocab_size": architecture.vocab_size,
        "prompt_tokens": prompt_tokens,
        "new_tokens": new_tokens,
    }


def _printed(request: dict[str, Any], spec: LatencySpec, folder: Path, deadline: float) -> str:
    """Run the command and return what it printed; files instead of pipes, which a grandchild might hold open."""
    assert spec.command is not None
    paths = {"{model}": request["model"]["path"], "{yardstick}": request["yardstick"]["path"]}
    arguments = [_filled(part, paths) for part in spec.command]
    asked, said, complained = (folder / name for name in ("request.json", "answer.json", "errors.txt"))
    asked.write_text(json_of(request) + "\n", encoding="utf-8")
    seconds = max(1.0, deadline - time.monotonic())
    with open(asked, "rb") as stdin, open(said, "wb") as stdout, open(complained, "wb") as stderr:
        try:
            code = subprocess.run(arguments, stdin=stdin, stdout=stdout, stderr=stderr, cwd=folder, timeout=seconds, check=False).returncode
        except OSError as error:
            raise SpecError(
                f"latency.command must start with a program of the machine that measures, found {arguments[0]}: "
                f"{complaint_of(error)}; name it by its whole path"
            ) from None
        except subprocess.TimeoutExpired:
            cure = "lower latency.repeats or new_tokens"
            raise WorkError(f"{command_name(spec)} did not end within {seconds:.0f} seconds; {cure}{_last_words(complained)}") from None
    if code:
        raise WorkError(f"{command_name(spec)} {how_it_ended(code)}{_last_words(complained) or '; it said nothing on its standard error'}")
    return said.read_text(encoding="utf-8", errors="replace")


def _latency(
    architecture: Architecture, spec: LatencySpec, answer: CommandOutput, device_times: Mapping[tuple[str, str], Repeat], file_bytes: int
) -> Latency:
    taken, device = _paired(answer, spec, device_times)
    return Latency(
        **times_of(taken, device, spec.new_tokens),
        prompt_tokens=spec.prompt_tokens,
        new_tokens=spec.new_tokens,
        runtime=answer.runtime,
        runtime_version=answer.runtime_version,
        precision=spec.precision,
        threads=spec.threads,
        pinned_cpus=None,
        device=answer.device,
        load_average=None,
        disturbed=not steady(taken, device),
        protocol=COMMAND_PROTOCOL,
        yardstick=None if answer.yardstick is None else beside_of(taken, device, yardstick_for(architecture).label),
        load_ms=answer.load_ms,
        first_prefill_ms=answer.first_prefill_ms,
        file_bytes=file_bytes,
        decode_bytes_per_token=decode_bytes(architecture, spec.prompt_tokens + (spec.new_tokens + 1) // 2, spec.precision),
        peak_memory_bytes=answer.peak_memory_bytes,
        activations=answer.activations if spec.precision in ROUNDED_PRECISIONS else None,
    )


def _paired(answer: CommandOutput, spec: LatencySpec, device_times: Mapping[tuple[str, str], Repeat]) -> tuple[list[Pair], Repeat]:
    """Every repeat with the yardstick around it, and what the yardstick counts as on the device."""
    shapes = answer.repeats(spec.new_tokens)
    if answer.yardstick is None:
        return [Pair(shape, NO_YARDSTICK) for shape in shapes], NO_YARDSTICK
    sticks = answer.yardstick.repeats(NEW_TOKENS)
    now = Repeat(median(stick.prefill_ms for stick in sticks), median(stick.decode_ms for stick in sticks), 0.0)
    return list(islice(pairs(iter(shapes).__next__, iter(sticks).__next__), len(shapes))), device_times.get(
        (answer.device, answer.runtime), now
    )


def _filled(part: str, paths: dict[str, str]) -> str:
    for place, path in paths.items():
        part = part.replace(place, path)
    return part


def _last_words(file: Path) -> str:
    said = " ".join(file.read_text(encoding="utf-8", errors="replace").split())
    return f"; it said at last: {said[-LAST_WORDS:]}" if said else ""
