"""The end of a child, and of a port that listens, noticed by a thread; all with real processes and sockets."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from trials.machine import process_watch
from trials.machine.process_watch import listening, watching

SECONDS = 10.0


@pytest.fixture
def told() -> queue.Queue[tuple[str, ...]]:
    return queue.Queue()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_the_end_of_a_child_is_told_with_how(
    number: signal.Signals, sleeper: subprocess.Popen[bytes], told: queue.Queue[tuple[str, ...]]
) -> None:
    with watching(["sleep", "never"], lambda *what: told.put(what)):
        time.sleep(3 * process_watch.LOOK_SECONDS)
        assert told.empty()
        os.kill(sleeper.pid, number)
        assert told.get(timeout=SECONDS) == ("sleep", f"was ended by {number.name}")
    assert sleeper.wait(timeout=SECONDS) == -number  # whoever has started it is not robbed of the answer


def test_a_child_that_comes_and_ends_inside_is_told(told: queue.Queue[tuple[str, ...]]) -> None:
    with watching(["false"], lambda *what: told.put(what)):
        process = subprocess.Popen(["false"])
        assert told.get(timeout=SECONDS) == ("false", "ended with exit code 1")
    process.wait()


def test_what_ends_outside_is_not_told(sleeper: subprocess.Popen[bytes], told: queue.Queue[tuple[str, ...]]) -> None:
    with watching(["sleep"], lambda *what: told.put(what)):
        time.sleep(3 * process_watch.LOOK_SECONDS)
    sleeper.kill()
    sleeper.wait()
    assert told.empty()


def test_a_port_that_no_longer_listens_is_told_and_one_that_hangs_up_is_not(told: queue.Queue[tuple[str, ...]]) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with listening("127.0.0.1", server.getsockname()[1], lambda: told.put(("gone",))):
        for _ in range(2):  # a server that has no patience with silence
            connection, _ = server.accept()
            connection.sendall(b"hello")
            connection.close()
        connection, _ = server.accept()
        assert told.empty()
        server.close()
        connection.close()
        assert told.get(timeout=SECONDS) == ("gone",)
    with socket.create_server(("127.0.0.1", 0)) as other, listening("127.0.0.1", other.getsockname()[1], lambda: told.put(("gone",))):
        other.accept()[0].close()
    assert told.empty()
