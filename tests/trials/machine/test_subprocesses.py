"""How a process ended is told by what the system says, and by nothing that it does not."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from trials.machine.subprocesses import how_it_ended


@pytest.mark.parametrize("code", [*range(-64, 0), 1, 2, 9, 134, 137, 255])
def test_how_a_process_ended_is_said_of_every_code_and_never_why(code: int) -> None:
    said = how_it_ended(code)
    assert "memory" not in said
    if code >= 0:
        assert said == f"ended with exit code {code}"
    else:
        known = -code in {*signal.Signals}
        assert said == (f"was ended by {signal.Signals(-code).name}" if known else f"was ended by signal {-code}")


def test_a_process_that_is_killed_is_killed_and_no_more() -> None:
    done = subprocess.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], check=False)
    assert how_it_ended(done.returncode) == "was ended by SIGKILL"
