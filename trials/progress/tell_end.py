"""A process of its own that tells a study's listener how the study ended; whatever happens in here never changes that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from analysis.records.json_writer import json_of
from analysis.records.record import read_records
from search_space.errors import SpecError, shortened
from trials.machine.redaction import redacted
from trials.machine.supervision import INTERRUPTED
from trials.progress.standing import RunStanding, State, read_standing, seconds_of
from trials.study.end_listener import url_of
from trials.study.load_study import load_begun

TOLD_SECONDS = 10.0
"""How long a listener has."""
CLOCK_SECONDS = 0.01
"""What rounding takes from a written time."""


def end_of(directory: Path, standing: RunStanding, code: int) -> dict[str, Any]:
    """What a listener is told: a study's name and directory, its state, exit code, trials by outcome, and a sentence."""
    left_out: list[str] = []
    with suppress(SpecError):
        outcomes = Counter(str(record.outcome) for record in read_records(directory, left_out))
    is_cut = standing.state is State.RUNNING
    state = State.INTERRUPTED if code > INTERRUPTED else State.FAILED if is_cut and code else standing.state
    return {
        "study": standing.study,
        "directory": str(directory.absolute()),
        "state": str(state),
        "exit_code": code,
        "trials": dict(outcomes),
        "of": standing.of,
        "sentence": redacted(_sentence(standing, state, code, is_cut)),
        "owner": standing.owner,
        "job": standing.job,
        "host": standing.host,
    }


def tell(listener: Sequence[str], told: dict[str, Any]) -> None:
    """Tell a listener; raises OSError or ValueError with words that have no secret where it does not take it."""
    content, url = json_of(told).encode(), url_of(listener)
    if url is None:
        _run(listener, content)
        return
    request = urllib.request.Request(url, content, {"Content-Type": "application/json", "User-Agent": "archfront"}, method="POST")
    try:
        with urllib.request.build_opener(_StaysHere).open(request, timeout=TOLD_SECONDS):
            pass
    except urllib.error.HTTPError as error:
        error.close()
        raise ValueError(f"{_shown(url)} answered {error.code}") from None
    except OSError as error:
        why = getattr(error, "reason", None) or error
        raise ValueError(f"{_shown(url)} does not answer ({shortened(why)})") from None
    except ValueError:
        raise ValueError(f"{_shown(url)} is no address that can be asked") from None


class _StaysHere(urllib.request.HTTPRedirectHandler):
    """What is told goes to nobody else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        return None


def _run(command: Sequence[str], content: bytes) -> None:
    """Have a command read what is told on its standard input; what it starts ends with it."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        process.communicate(content, timeout=TOLD_SECONDS)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{shortened(command[0])} had not ended after {TOLD_SECONDS:g} s") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        raise ValueError(f"{shortened(command[0])} ended with exit code {process.returncode}")


def _sentence(standing: RunStanding, state: State, code: int, is_cut: bool) -> str:
    if state is State.INTERRUPTED:
        return f"interrupted by {signal.Signals(code - INTERRUPTED).name}; what was recorded is kept, and the same command continues"
    if is_cut and code:
        return "its process ended before the study did; what was recorded is kept, and the same command continues"
    return standing.reason or standing.counts


def _shown(url: str) -> str:
    """An address without its path, which may be as good as a password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


def tell_of(study: str, directory: str, begun: float, code: int) -> None:
    """Tell the listener of a study whose run began not before that time; nobody where the study names none, or nothing began."""
    read, folder, _ = load_begun(Path(study), directory or None)
    if read.on_end is None:
        return
    standing = read_standing(folder)
    if seconds_of(standing.begun_at) >= begun - CLOCK_SECONDS:
        tell(read.on_end, end_of(folder, standing, code))


def main() -> None:
    """Tell of the run that this process is given by its arguments, and say on standard error where that was not taken."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # who started this waits for signals, and holds them back
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
    signal.setitimer(signal.ITIMER_REAL, 2 * TOLD_SECONDS)
    try:
        tell_of(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
    except (OSError, ValueError) as error:  # SpecError too
        print(redacted(str(error)), file=sys.stderr)
