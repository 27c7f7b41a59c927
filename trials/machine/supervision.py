"""A process in front of the one that works: it hears the signals, says how the work ended, and leaves no process behind.

The work, and the libraries under it, may be ended by whatever comes: C++ that exits without a word, a signal that a library takes for its
own, a kill. The process in front starts no thread and loads no library; it waits, and what the work leaves behind ends with it. Linux only:
there, orphans of the work become children of the process in front.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from trials.machine.native_output import silence
from trials.machine.subprocesses import how_it_ended

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a program to end: Ctrl-C, a scheduler or service manager, a terminal that closes."""
WAKE = signal.SIGUSR2
"""The signal between the two processes: the work is to be interrupted, or is. No library takes this one for its own."""
UNWIND_SECONDS = 7.0
"""How long the work may take to end by itself after a signal."""
ORPHANS_SECONDS = 1.0
"""How long what the work has left behind may take to end by itself."""
AGAIN_SECONDS = 0.25
"""A signal that follows the first sooner is the same one: `timeout` sends two, and a service manager sends one to every process."""
FAILED = 1
INTERRUPTED = 128
"""An exit code after a signal is this and the signal's number."""
SUBREAPER, DIE_WITH_PARENT = 36, 1
"""Options of prctl(2): PR_SET_CHILD_SUBREAPER and PR_SET_PDEATHSIG."""
BY_SIGNAL, WITH_CODE, IN_VAIN = b"s", b"c", b"v"
"""What the work says first of how it ends, with the number of either in the byte that follows; the last before anything was trained."""
MOST_BEGINNINGS = 3
"""How often a work is begun that ends so."""
LONGEST_WORD = 4_000
"""Bytes of what the work says last; a pipe takes so many at once (pipe(7))."""
_told: tuple[int, int] | None = None
"""Process id of the work, and where it tells its front how it ends; None where no front stands before it."""


def supervised(
    work: Callable[[], int],
    interrupted: Callable[[int], str],
    vanished: Callable[[str], str],
    stopping: Callable[[int], int | None] = lambda code: None,
) -> int:
    """Run `work` in a child process and return its exit code, here and in the child.

    A signal of `STOPS`, one that was held back before this call too, raises KeyboardInterrupt in the work, which then has `UNWIND_SECONDS`;
    a second signal ends it at once. Either way the code is 128 and the first signal's number, and `interrupted` makes a sentence of that
    number. Where the child ends before `work` does, the code is 1, and `vanished` makes a sentence of what ended, and how. This process
    alone says either, on standard error. A child that gave up `in_vain` is said, and its work begun again, `MOST_BEGINNINGS` times in all.
    `stopping` is called with that code as the first signal comes, before the work is waited for, and may return a process that it has
    started, which is left alone.
    """
    heard = {number for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN}  # nohup, and `&` in a script, want it so
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*heard, WAKE, signal.SIGCHLD})
    _prctl(SUBREAPER, 1)
    spared: list[int] = []

    def first_came(number: int) -> None:
        if (started := stopping(INTERRUPTED + number)) is not None:
            spared.append(started)

    for beginning in range(1, MOST_BEGINNINGS + 1):
        answer, told = os.pipe()
        front, child = os.getpid(), os.fork()
        if child == 0:
            os.close(answer)
            return _work(work, told, front, heard, before)
        os.close(told)
        stopped, status = _wait_for(child, heard, first_came)
        _end_orphans(spared)
        said = os.read(answer, 2 + LONGEST_WORD)
        os.close(answer)
        kind, number, last_word = said[:1], int.from_bytes(said[1:2]), said[2:].decode(errors="replace")
        if last_word and not stopped:  # what comes to every process comes to one of them first
            stopped = _next_signal(heard, time.monotonic())
        stopped = stopped or (number if kind == BY_SIGNAL else 0)
        if stopped:
            _say(interrupted(stopped))
            return INTERRUPTED + stopped
        if kind and not last_word:
            return number
        if kind != IN_VAIN or beginning == MOST_BEGINNINGS:
            break
        _say(f"archfront: {last_word}; it is begun again")
    _say(vanished(last_word or f"the process that did the work {how_it_ended(os.waitstatus_to_exitcode(status))} without a word of why"))
    return FAILED


def give_up(what: str, *, in_vain: bool = False) -> None:
    """End this process at once, from any thread, where a front stands before it, which makes its sentence of this; nothing else elsewhere.

    `what` is a clause of what ended and how; `in_vain` says that the work had trained nothing yet. A signal that came before has the say.
    """
    if _told is None or _told[0] != os.getpid():
        return
    os.write(_told[1], (IN_VAIN if in_vain else WITH_CODE) + bytes([FAILED]) + what.encode()[:LONGEST_WORD])
    os._exit(FAILED)


def _wait_for(child: int, heard: set[signal.Signals], first_came: Callable[[int], None]) -> tuple[int, int]:
    """Until the child has ended: the number of the first signal that came here, or 0, and the child's status."""
    first, since, is_awake = 0, 0.0, False
    while True:
        if first and not is_awake:  # more than once: a signal that comes just before a system call does not interrupt it
            os.kill(child, WAKE)
        came = _next_signal({*heard, WAKE, signal.SIGCHLD}, since and (since + UNWIND_SECONDS if is_awake else time.monotonic() + 0.2))
        if came == signal.SIGCHLD:
            for process, status in _ended():
                if process == child:
                    return first, status
        is_awake = is_awake or came == WAKE
        passed = time.monotonic() - since if since else 0.0
        if passed > UNWIND_SECONDS or (came in heard and passed > AGAIN_SECONDS):
            os.kill(child, signal.SIGKILL)
            return first, os.waitpid(child, 0)[1]
        if came in heard and not first:
            os.kill(child, WAKE)  # before anything else takes its time
            first_came(came)
        if came in {*heard, WAKE}:
            first, since = first or (came if came in heard else 0), since or time.monotonic()


def _next_signal(numbers: set[signal.Signals], until: float) -> int:
    """The next of these signals; 0 where none came until then, by the monotonic clock, where that is not 0."""
    if not until:
        return signal.sigwait(numbers)
    found = signal.sigtimedwait(numbers, max(0.0, until - time.monotonic()))
    return 0 if found is None else found.si_signo


def _ended() -> Iterator[tuple[int, int]]:
    """Children that have ended, and their status."""
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            yield found


def _end_orphans(spared: Sequence[int]) -> None:
    """Wait a moment for what the work left behind, then end it, and what that leaves behind."""
    deadline = time.monotonic() + ORPHANS_SECONDS
    while True:
        for _ in _ended():
            pass
        left = [process for process in children() if process not in spared]
        if not left:
            return
        for process in left if time.monotonic() > deadline else ():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


def children() -> list[int]:
    """Process ids of this process's children, those that have ended and were not waited for among them."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            parent = file.read_bytes().rpartition(b")")[2].split()[1]
            if int(parent) == os.getpid():
                found.append(int(file.parent.name))
    return found


def _work(work: Callable[[], int], told: int, front: int, heard: set[signal.Signals], before: set[Any]) -> int:
    """The child's life; the front is told how it ends as soon as that is known, whatever a library does while Python ends."""
    global _told
    _prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != front:
        os._exit(FAILED)
    is_stopped, _told = False, (os.getpid(), told)

    def stop(number: int, frame: FrameType | None) -> None:
        """From the first signal on the front has the say, and what a library complains about is of no use."""
        nonlocal is_stopped
        if is_stopped:
            return
        is_stopped = True
        silence()
        if number != WAKE:
            os.write(told, BY_SIGNAL + bytes([number]))
        os.kill(front, WAKE)
        raise KeyboardInterrupt

    for number in (*heard, WAKE):
        signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_SETMASK, before - heard)
    code = FAILED
    try:
        code = work()
    except KeyboardInterrupt:
        pass
    except SystemExit as end:  # nothing of ours exits: a library's own handler did
        if end.code in STOPS:
            os.write(told, BY_SIGNAL + bytes([int(end.code)]))
        raise
    except Exception:
        os.write(told, WITH_CODE + bytes([code]))
        raise
    finally:
        for number in (*heard, WAKE):
            signal.signal(number, signal.SIG_IGN)
    os.write(told, WITH_CODE + bytes([code]))
    return code


@contextmanager
def when_stopped(call: Callable[[], None]) -> Iterator[None]:
    """Have `call` called first inside whenever a signal interrupts, even where a library swallows the exception that Python raises then."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (*STOPS, WAKE)}

    def stop(number: int, frame: FrameType | None) -> None:
        call()
        then = before[signal.Signals(number)]
        if callable(then):
            then(number, frame)

    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """What a library inside makes of the signals that ask to end is undone: Ray's handler for SIGTERM ends the process from C++."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(sentence: str) -> None:
    """Tell a person who may be gone."""
    with suppress(OSError, ValueError):
        print(sentence, file=sys.stderr, flush=True)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
