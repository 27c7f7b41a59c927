"""Tries a reader with files that were changed, within bounds, and says of each what a person would meet: held, refused well, or a fault."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType

from search_space.errors import SpecError
from tests.support.mutations import mutated

MOST_SECONDS, MOST_BYTES = 2.0, 1 << 30
"""Processor time, and memory beside what the process has."""
MOST_WAITING = 20.0
"""Seconds by the clock: others may be at work on the machine."""
MOST_REFUSAL_SECONDS, MOST_COMMAND_SECONDS, MOST_COMMAND_WAITING = 2.5, 40.0, 300.0
"""The same of a whole command: its start and end on a busy machine are in it; a plan also imports torch and times three shapes."""
LONGEST_SENTENCE = 900
"""Characters, paths left out."""
MOST_ATTEMPTS, MOST_SHOWN = 300, 3_000
"""Tries to make a file smaller, and bytes of it that are shown."""
ROOT = Path(__file__).resolve().parents[2]
FOUND = re.compile(
    r"\b(found|unknown|missing|cannot|does not|do not|is not|are not|is no|must (not|have either|be absolute)|has no|have no|no shape|twice"
    r"|needs?|already|exceeds?|more than|fewer than|is \d|measured|states|was|moved|leave out)\b"
)
"""How sentences say what they have met."""
CURE = re.compile(r"; |did you mean|moved: write|leave out")


@dataclass(frozen=True)
class Subject:
    """A file that a person may have, and what reads it."""

    name: str
    form: str
    """How it is changed: a key of `mutations.OF_FORMAT`."""
    content: bytes
    """As it is good."""
    path: Path
    """Where its reader finds it; what else it reads lies there already."""
    read: Callable[[], str | None]
    """Reads the path as a command does; the JSON that goes out, or None. Raises SpecError where the command says a sentence."""
    words: tuple[str, ...] = ()
    """The command as a person types it, after `archfront`; none where there is none that ends within seconds."""

    def changed(self, seed: int, number: int) -> tuple[str, bytes]:
        """How the file is changed the so-manieth time, and its content."""
        return mutated(self.content, self.form, random.Random(f"{seed} {self.name} {number}"))


@dataclass(frozen=True)
class Fault:
    """What must not happen, and where."""

    kind: str
    """`traceback`, `seconds`, `memory`, `sentence` or `json`."""
    said: str
    """One line: equal for equal faults."""
    details: str = ""


@dataclass
class Tally:
    """What became of many tries."""

    tried: Counter[str] = field(default_factory=Counter)
    """By subject."""
    refused: int = 0
    held: int = 0
    slowest_seconds: float = 0.0
    slowest: str = ""
    faults: dict[tuple[str, str], list[tuple[Subject, int, bytes, Fault]]] = field(default_factory=dict)
    """By kind and line, the tries that met it."""

    def add(self, subject: Subject, number: int, content: bytes, outcome: Fault | str | None, seconds: float) -> None:
        """Count one try: a fault, the sentence of a refusal, or None where the file was read."""
        self.tried[subject.name] += 1
        if seconds > self.slowest_seconds:
            self.slowest_seconds, self.slowest = seconds, f"{subject.name} {number}"
        if isinstance(outcome, Fault):
            self.faults.setdefault((outcome.kind, outcome.said), []).append((subject, number, content, outcome))
        elif outcome is not None:
            self.refused += 1
        else:
            self.held += 1

    def __str__(self) -> str:
        kinds = Counter[str]()
        for (kind, _), those in self.faults.items():
            kinds[kind] += len(those)
        by_kind = "".join(f", {count:,} by {kind}" for kind, count in kinds.items())
        return (
            f"tried {self.tried.total():,}; refused well {self.refused:,}, held {self.held:,}; failed {kinds.total():,}{by_kind}; "
            f"slowest {self.slowest_seconds:.2f} s ({self.slowest})"
        )

    def told(self, seed: int, through_program: bool = False) -> str:
        """Each fault once, with what repeats it and the smallest file that shows it; one of the program, which takes seconds, as it is."""
        said = []
        for (kind, line), those in self.faults.items():
            subject, number, content, fault = those[0]
            piece = content if through_program else smallest(subject, content, fault)
            shown = piece[:MOST_SHOWN].decode(errors="backslashreplace")
            said.append(
                f"{kind}, {len(those)} times: {line}\n"
                f"  again with: python -m tests.fuzz --seed {seed} --only '{subject.name}' --number {number}\n"
                f"{fault.details}  {len(piece):,} bytes of {subject.path.name} show it:\n{shown}"
            )
        return "\n\n".join(said)


class TooMuchError(BaseException):
    """More time than a reader may take."""


def attempt(subject: Subject, content: bytes) -> tuple[Fault | str | None, float]:
    """What becomes of a file: a fault, the sentence that refuses it, or None; and the processor time that it took in seconds."""
    subject.path.write_bytes(content)
    began = time.process_time()
    try:
        with _bounded(), warnings.catch_warnings():
            warnings.simplefilter("error")
            written = subject.read()
    except SpecError as refused:
        outcome: Fault | str | None = _fault_of_sentence(str(refused)) or str(refused)
    except TooMuchError as error:
        outcome = Fault("seconds", f"{error} in {_place(error.__traceback__)}", _trace(error))
    except MemoryError as error:
        outcome = Fault("memory", f"in {_place(error.__traceback__)}", _trace(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a library in Rust raises what is no Exception
        outcome = Fault("traceback", f"{type(error).__name__} in {_place(error.__traceback__)}", _trace(error))
    else:
        outcome = _fault_of_json(written)
    spent = time.process_time() - began
    if spent > MOST_SECONDS and not isinstance(outcome, Fault):
        outcome = Fault("seconds", f"{subject.name} took more than {MOST_SECONDS:g} s")
    return outcome, spent


def attempt_command(subject: Subject, content: bytes) -> tuple[Fault | str | None, float]:
    """What becomes of a file through the program itself, as `attempt` says; a verb that goes on to its work may take longer for that."""
    subject.path.write_bytes(content)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "archfront", *subject.words],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        alarm = threading.Timer(MOST_COMMAND_WAITING, os.killpg, (process.pid, signal.SIGKILL))
        alarm.start()
        _, status, used = os.wait4(process.pid, 0)
        alarm.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        printed, said = (file.read().decode(errors="replace") for file in (out, err))
    seconds, code, verb = used.ru_utime + used.ru_stime, process.returncode, subject.words[0]
    limit = MOST_REFUSAL_SECONDS if code == 2 else MOST_COMMAND_SECONDS
    if code not in (0, 2) or "Traceback" in said:
        return Fault("exit code" if code not in (0, 2) else "traceback", f"{code} of {verb}", f"  {said[-1500:]}\n"), seconds
    if seconds > limit or used.ru_maxrss << 10 > MOST_BYTES:
        kind = "seconds" if seconds > limit else "memory"
        return Fault(kind, f"{verb} that ends with {code}", f"  {seconds:.1f} s, {used.ru_maxrss >> 10} MiB\n"), seconds
    if code == 2:
        sentence = next((line for line in said.splitlines() if line.startswith("archfront: ")), said)
        return _fault_of_sentence(sentence) or sentence, seconds
    return _fault_of_json(printed if "--json" in subject.words else None), seconds


def fuzz(subjects: Sequence[Subject], seed: int, count: int) -> Tally:
    """So many tries of each subject."""
    tally = Tally()
    for subject in subjects:
        outcome, _ = attempt(subject, subject.content)  # imports what its reader needs, and says whether the file is good
        assert outcome is None, f"{subject.name} must be good as it is: {outcome}"
        for number in range(count):
            _, content = subject.changed(seed, number)
            tally.add(subject, number, content, *attempt(subject, content))
        subject.path.write_bytes(subject.content)
    return tally


def smallest(subject: Subject, content: bytes, fault: Fault) -> bytes:
    """A small file with the same fault: lines are left out, then pieces of lines, as long as it stays."""
    left = MOST_ATTEMPTS if fault.kind != "seconds" else MOST_ATTEMPTS // 30

    def shows(piece: bytes) -> bool:
        nonlocal left
        left -= 1
        found, _ = attempt(subject, piece)
        return isinstance(found, Fault) and (found.kind, found.said) == (fault.kind, fault.said)

    for split in (lambda text: text.splitlines(keepends=True), lambda text: re.findall(rb"\W|\w+", text)):
        parts = split(content)
        size = max(1, len(parts) // 2)
        while left > 0:
            place = 0
            while place < len(parts) and left > 0:
                fewer = parts[:place] + parts[place + size :]
                if shows(b"".join(fewer)):
                    parts = fewer
                else:
                    place += size
            if size == 1:
                break
            size = max(1, size // 2)
        content = b"".join(parts)
    subject.path.write_bytes(subject.content)
    return content


def _fault_of_sentence(said: str) -> Fault | None:
    """What a refusal lacks: what must hold and where, what was found, the cure, on one line that is not too long."""
    first = re.sub(r"(/[^\s:;,'\"]+)+", "/…", said.splitlines()[0] if said else "")
    lacks = [
        what
        for what, is_there in (
            ("a key or a place", bool(re.match(r".*\w", first))),
            ("what was found", FOUND.search(first) is not None),
            ("the cure", CURE.search(first) is not None),
            ("an end", len(first) <= LONGEST_SENTENCE),
        )
        if not is_there
    ]
    if not lacks:
        return None
    bare = re.sub(r"found .*", "found ...", first)
    return Fault("sentence", f"lacks {' and '.join(lacks)}: {bare[:160]}", f"  {said[:500]}\n")


def _fault_of_json(written: str | None) -> Fault | None:
    """What is wrong with the JSON that went out."""
    if written is None:
        return None

    def constant(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        json.loads(written, parse_constant=constant)
    except ValueError as error:
        return Fault("json", str(error)[:100], f"  {written[:300]}\n")
    return None


def _place(trace: TracebackType | None) -> str:
    """The innermost line of ours."""
    frames = [
        frame for frame in traceback.extract_tb(trace) if Path(frame.filename).is_relative_to(ROOT) and "/.venv/" not in frame.filename
    ]
    ours = [frame for frame in frames if "/tests/" not in frame.filename] or frames
    return f"{Path(ours[-1].filename).relative_to(ROOT)}:{ours[-1].name}" if ours else "?"


def _trace(error: BaseException) -> str:
    lines = traceback.format_exception(error, limit=-6)
    return "".join(f"  {line[:300]}\n" for line in "".join(lines).splitlines()[-24:])


@contextmanager
def _bounded() -> Iterator[None]:
    """Raise TooMuchError after so much processor time or waiting, and MemoryError where more is asked for than a reader may take."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooMuchError(f"more than {MOST_SECONDS:g} s" if number == signal.SIGPROF else f"waits for more than {MOST_WAITING:g} s")

    before = [signal.signal(number, stop) for number in (signal.SIGPROF, signal.SIGALRM)]
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) if sys.platform == "linux" else 0
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + MOST_BYTES, hard))
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, MOST_WAITING)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        for number, handler in zip((signal.SIGPROF, signal.SIGALRM), before, strict=True):
            signal.signal(number, handler)
