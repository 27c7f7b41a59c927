"""The end of a process that others live by, or of its service, noticed as it happens: a thread waits for it and asks nothing meanwhile."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trials.machine.subprocesses import how_it_ended
from trials.machine.supervision import children

LOOK_SECONDS = 0.1
"""How often this process's children are looked through until all that are watched for have been seen, and a service is asked again."""
CONNECT_SECONDS = 5.0
"""How long a service may take to accept a connection before it is asked again."""


@contextmanager
def watching(names: Collection[str], ended: Callable[[str, str], None]) -> Iterator[None]:
    """Inside, `ended` is called in another thread as soon as one of this process's children has ended, with its name and how in words.

    `names` are those of the programs (`comm` of proc(5), 15 bytes); the first child of each is watched, whenever it comes.
    """
    with _thread(lambda stop: _watch(set(names), ended, stop)):
        yield


@contextmanager
def listening(host: str, port: int, ended: Callable[[], None]) -> Iterator[None]:
    """Inside, `ended` is called in another thread as soon as this port no longer listens, whether its process lives or not.

    A connection stands there in silence; a server that closes it for that is connected to again.
    """
    with _thread(lambda stop: _listen(host, port, ended, stop)):
        yield


@contextmanager
def _thread(work: Callable[[int], None]) -> Iterator[None]:
    """Have this done beside what is inside, until a pipe of which it is given the end is closed."""
    stop, stopped = os.pipe()
    thread = threading.Thread(target=work, args=(stop,), name="process watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(stopped)
        thread.join()
        os.close(stop)


def _watch(names: set[str], ended: Callable[[str, str], None], stop: int) -> None:
    seen: dict[int, str] = {}
    poll = select.poll()
    poll.register(stop, select.POLLHUP)
    try:
        while True:
            for name, process in _named(names - set(seen.values())):
                with suppress(OSError):  # it was waited for in between
                    descriptor = os.pidfd_open(process)
                    seen[descriptor] = name
                    poll.register(descriptor, select.POLLIN)
            for descriptor, _ in poll.poll(None if len(seen) == len(names) else 1_000 * LOOK_SECONDS):
                if descriptor != stop:
                    ended(seen[descriptor], _how(descriptor))
                return
    finally:
        for descriptor in seen:
            os.close(descriptor)


def _listen(host: str, port: int, ended: Callable[[], None], stop: int) -> None:
    poll = select.poll()
    poll.register(stop, select.POLLHUP)
    while not poll.poll(1_000 * LOOK_SECONDS):
        try:
            link = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
        except ConnectionRefusedError:
            ended()
            return
        except OSError:
            continue
        with link, suppress(OSError):
            poll.register(link, select.POLLIN)
            while link.fileno() in (found := [descriptor for descriptor, _ in poll.poll()]) and stop not in found:
                if not link.recv(4_096):
                    break
            poll.unregister(link)


def _named(names: Collection[str]) -> Iterator[tuple[str, int]]:
    """Children of these names, those that have ended and were not waited for among them."""
    for process in children() if names else ():
        with suppress(OSError):
            name = Path(f"/proc/{process}/comm").read_text(errors="replace").rstrip("\n")
            if name in names:
                yield name, process


def _how(descriptor: int) -> str:
    """How a process ended, which whoever has started it may go on to ask."""
    with suppress(ChildProcessError):
        found = os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOWAIT)
        if found is not None:
            return how_it_ended(found.si_status if found.si_code == os.CLD_EXITED else -found.si_status)
    return "ended"
