"""Where a running study stands, in a file beside its records that any other process can read."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from analysis.records.checked import FieldError, Timestamp, from_json
from analysis.records.files import write_whole
from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from analysis.text import words
from search_space.errors import SpecError, quoted
from trials.machine.redaction import redacted

PROGRESS_FILE = "progress.json"
PROGRESS_SCHEMA = 1
LARGEST_PROGRESS_BYTES = 1 << 20
"""The file is larger than this nowhere: its lists are bounded."""
MOST_IN_FILE = 50
"""Running trials, members of the front and failures that are listed; the numbers count all."""
LONGEST_SHOWN_REASON = 300
"""Characters of a failure's reason that are shown; its record has all."""
WAITING = "waiting"
"""What a running trial is at that waits for a latency device which is gone."""
STALE_SECONDS = 60.0
"""A driver writes every ten seconds at least; after so long it does so no more."""


class State(StrEnum):
    """What a driver says of its run."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTrial:
    """A trial on a worker."""

    number: int
    shape: str
    """The shape's label."""
    name: str | None
    """Name of a reference; None for others."""
    doing: str | None
    """What it is at: `latency`, `waiting` (for a latency device that is gone) or `training`; None while nothing was heard of it."""
    tokens: int | None
    """Tokens trained on so far; None before the training."""
    planned_tokens: int | None
    """Tokens of the whole training; None where it is to last seconds."""
    started_at: Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontMember:
    """A shape that no other beats so far."""

    number: int
    shape: str
    values: Mapping[str, float]
    """Value of each objective, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A trial that came to nothing."""

    number: int
    shape: str
    outcome: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLeft:
    """Seconds until the last trial is expected to be done."""

    seconds: float
    low: float | None
    """Ends of a 90 % interval; None where too few trials are done for one."""
    high: float | None

    def __str__(self) -> str:
        between = ""
        if self.low is not None and self.high is not None and (ends := (words.duration(self.low), words.duration(self.high))):
            between = f" ({ends[0]} to {ends[1]})"
        return f"{words.duration(self.seconds)} left{between}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStanding:
    """Where a study stands at one moment."""

    study: str
    pid: int
    """Process id of the driver, on its host."""
    host: str
    begun_at: Timestamp
    """When this driver began."""
    written_at: Timestamp
    state: State
    stage: str
    """What goes on, such as `Ray`, `search` or `finals`."""
    waits_for: str
    """What the driver waits for, in words."""
    stage_since: Timestamp
    done: int = 0
    """Trials that have a record, those of earlier runs among them."""
    of: int | None = None
    """Trials that the study comes to; None before that is known."""
    finished: int = 0
    stopped: int = 0
    """Done trials that were stopped early."""
    failed: int = 0
    """Done trials that came to nothing."""
    again: int = 0
    """Times that a trial was run again in this run because its worker was lost."""
    unmeasured: int = 0
    """Trials that are trained, and have their record once the latency device is back."""
    running_count: int = 0
    running: tuple[RunningTrial, ...] = ()
    front_size: int = 0
    front: tuple[FrontMember, ...] = ()
    failures: tuple[Failure, ...] = ()
    """The newest failures, newest last."""
    left: TimeLeft | None = None
    """Absent before anything tells how long trials take."""
    reason: str | None = None
    """Why the study failed, in a sentence."""
    owner: str | None = None
    """Person whose study it is: who submitted the job, or the driver's user; None in a file of before."""
    job: str | None = None
    """Id of the Ray job that the driver is; None where it is none."""
    schema: int = PROGRESS_SCHEMA

    @property
    def counts(self) -> str:
        """`5 of 14 trials, 2 running, 1 stopped early, 1 failed, 3 on the front`."""
        said = [f"{self.done} of {self.of} trials" if self.of is not None else words.plural(self.done, "trial")]
        waiting = sum(trial.doing == WAITING for trial in self.running)
        running = (self.running_count - waiting, "running"), (waiting, "waiting for the latency device"), (self.stopped, "stopped early")
        said += [f"{count} {word}" for count, word in running if count]
        said += [f"{self.unmeasured} to be measured"] if self.unmeasured else []
        said += [f"{self.failed} failed"] if self.failed else []
        said += [f"{self.again} run again"] if self.again else []
        return ", ".join([*said, *([f"{self.front_size} on the front"] if self.done else [])])


def shown_reason(text: str) -> str:
    """A reason as one line without a secret of anybody's and without what would move a terminal's cursor."""
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in redacted(text)).split())
    return plain if len(plain) <= LONGEST_SHOWN_REASON else f"{plain[: LONGEST_SHOWN_REASON - 1]}…"


def moment(seconds: float) -> str:
    """A time of `time.time` as a `Timestamp`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def seconds_of(stamp: str) -> float:
    """A `Timestamp` as a time of `time.time`."""
    return datetime.fromisoformat(stamp).timestamp()


def write_standing(directory: Path, standing: RunStanding) -> None:
    """Replace the directory's file in one step."""
    write_whole(directory / PROGRESS_FILE, (json_of(asdict(standing), indent=2) + "\n").encode())


def read_standing(directory: Path) -> RunStanding:
    """What a directory's driver wrote last; raises SpecError where none did, or where the file holds something else."""
    path = directory / PROGRESS_FILE
    if not directory.is_dir():
        raise SpecError(f"{directory} must be a study's directory, found none; name the one that `archfront run --directory` had")
    if not path.is_file():
        raise SpecError(
            f"{directory} must have the {PROGRESS_FILE} that a run writes, found none; begin or continue the study with `archfront run`, "
            "or see what is there with `archfront report`"
        )
    with path.open("rb") as file:
        return parse_standing(file.read(LARGEST_PROGRESS_BYTES + 1), str(path))


def parse_standing(content: bytes, path: str) -> RunStanding:
    """What the file of that name holds; raises SpecError where that is no standing."""
    cure = f"delete {PROGRESS_FILE}; a run writes it again"
    if len(content) > LARGEST_PROGRESS_BYTES:
        raise SpecError(f"{path} must have at most {LARGEST_PROGRESS_BYTES:,} bytes, found more; {cure}")
    try:
        values = parse_json(content)
        schema = values.get("schema") if isinstance(values, Mapping) else None
        if schema != PROGRESS_SCHEMA:
            raise FieldError(f"schema must be {PROGRESS_SCHEMA}, found {quoted(schema)}")
        return from_json(RunStanding, values)
    except FieldError as error:
        raise SpecError(f"{path} must hold a study's progress; {error}; {cure}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise SpecError(f"{path} must hold a study's progress as JSON, found something else; {cure}") from None


def staleness(standing: RunStanding, now: float, *, is_here: bool = True) -> str | None:
    """Why a standing that says that it runs is not to be believed any more, as a sentence; None where nothing speaks against it.

    `is_here` where the file was read on a machine that may be the driver's; `now` is that machine's clock.
    """
    if standing.state is not State.RUNNING:
        return None
    age = max(0.0, now - seconds_of(standing.written_at))
    if is_here and standing.host == socket.gethostname() and not _is_alive(standing.pid):
        return f"its process {standing.pid} is gone; what was recorded is kept, and the same `archfront run` continues"
    if age > STALE_SECONDS:
        where = f"process {standing.pid} on {standing.host}"
        return f"not written for {words.duration(age)}: look whether {where} lives; if not, the same `archfront run` continues"
    return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return not Path("/proc").is_dir() or _is_no_zombie(pid)


def _is_no_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except (OSError, IndexError):
        return False
