"""A study on a real terminal of 60, 80 and 120 columns, and without one: what a person sees of it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.cells import cell_len

from trials.progress.standing import State, read_standing

ROOT = Path(__file__).resolve().parents[3]
CODE = """
import sys
from pathlib import Path
from tests.support import fakes
from trials.commands.standing import chosen_display
from trials.commands.talk import hush_libraries, say
from trials.driver.run_study import run_study
from trials.progress.watch import RunWatch

hush_libraries()
study, text = fakes.small_study(search={"trials": 10}, workers={"count": 2, "deadline_seconds": 2})
with RunWatch("study.yaml", chosen_display(), say) as watch:
    run_study(study, Path(sys.argv[1]), study_text=text, tracking_uri=sys.argv[2], evaluate=fakes.one_of_each, watch=watch)
say("the table")
"""
"""What `run` does, with an evaluator that answers at once, of which trials end in every way."""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(columns: int, command: list[str]) -> str:
    """What a command writes to a terminal of that width on standard error."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": ""}
    said = bytearray()
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs, env=environment):
        os.close(theirs)
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            said += piece
    os.close(ours)
    return said.decode()


def lines_of(said: str) -> list[str]:
    """Every line that was ever drawn, without colours."""
    return re.split(r"[\r\n]+", CONTROL.sub("", said))


@pytest.mark.more
@pytest.mark.slow
def test_a_study_on_a_terminal_of_sixty_columns_never_writes_a_wider_line(tmp_path: Path, tracking: str) -> None:
    said = on_a_terminal(60, [sys.executable, "-c", CODE, str(tmp_path / "study"), tracking])
    lines = lines_of(said)
    assert max(map(cell_len, lines)) <= 60
    drawn = "\n".join(lines)
    assert re.search(r"Ray, .* s: waits for Ray's processes", drawn)
    assert re.search(r"^small: \d+ of 12 trials, .* failed, \d+ on the front$", drawn, re.MULTILINE)
    assert re.search(r"^[━─]* +\d+%, .* left \(.* to .*\)$", drawn, re.MULTILINE)
    assert re.search(r"^failed \d #2 diverged: the training loss was nan$", drawn, re.MULTILINE)
    assert re.search(r"^front +latency  bits per byte$", drawn, re.MULTILINE)
    assert [line for line in lines if line][-1] == "the table"
    assert "\x1b[?25l" not in said, "the cursor was hidden, and whatever ends this process leaves it so"
    assert read_standing(tmp_path / "study").state is State.FINISHED


SHOWN = """
import sys, time
from tests.support.standings import some_standing
from trials.commands.talk import say
from trials.progress.view import LiveView

view = LiveView(sys.stderr)
for seed in range(40):
    view.tick(some_standing(seed))
    if seed % 8 == 0:
        say("a sentence of ours that is longer than a line of sixty columns of a terminal is, and so has to go on on the next")
view.close(some_standing(0))
say("the table")
"""


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_whatever_is_shown_no_line_is_wider_than_the_terminal(columns: int) -> None:
    said = on_a_terminal(columns, [sys.executable, "-c", SHOWN])
    lines = lines_of(said)
    assert columns - 8 <= max(map(cell_len, lines)) <= columns
    assert [line for line in lines if line][-1] == "the table"


@pytest.mark.more
@pytest.mark.slow
def test_a_study_without_a_terminal_says_plain_lines(tmp_path: Path, tracking: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "study"), tracking], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stderr.splitlines()
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
    stages = [found[1] for line in lines if (found := re.match(r" *(?:\d+ min )?[\d.]+ s  ([A-Za-z ]+): waits for", line))]
    assert stages == ["imports", "Ray", "corpus", "search space", "workers", "search", "tracking"]
    said = [line for line in lines if re.search(r"  #\d+ ", line)]
    trials = [line for line in said if " is run again: " not in line]
    assert len(trials) == 12
    assert len(said) - len(trials) == 2, "a worker that is killed each time is tried three times"
    assert any("#2 " in line and "diverged: the training loss was nan; " in line for line in trials)
    assert re.search(r"; 12 of 12 trials, .* on the front$", trials[-1])
    assert done.stdout == ""
