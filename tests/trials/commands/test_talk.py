"""The terminal is ours: what libraries, C++ and new processes write goes elsewhere, and no secret is said; all with the real libraries."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import FULL_DEVICE
from trials.commands.talk import at_width, say
from trials.machine.native_output import LIBRARIES_LOG

ROOT = Path(__file__).resolve().parents[3]
LIBRARIES = (
    "alembic",
    "lightning.pytorch",
    "lightning.fabric",
    "mlflow",
    "optuna",
    "ray",
    "ray.tune",
    "sqlalchemy",
    "torch",
    "transformers",
)
NOISE = """
import importlib, logging, os, subprocess, sys, warnings
from multiprocessing import get_context
from pathlib import Path

def noise(who):
    logging.getLogger(who).error("noise of " + who)
    logging.getLogger(who + ".deep.below").critical("noise of a part of " + who)
    logging.error("noise at the root for " + who)
    warnings.warn("noise of warnings of " + who)
    print("noise printed by " + who, file=sys.stderr)
    sys.__stderr__.write("noise past everything by " + who)
    os.write(1, b"noise on 1\\n")
    os.write(2, b"noise on 2\\n")
"""
PROGRAM = f"""{NOISE}
from trials.commands.talk import emit, hush_libraries, say
from trials.machine.native_output import keep_in
hush_libraries()
hush_libraries()
if sys.argv[1] != "-":
    keep_in(Path(sys.argv[1]))
say("a sentence of ours, for postgresql://me:hunter2@host/db")
for who in sys.argv[2:]:
    importlib.import_module(who)
    noise(who)
logging.getLogger("trials.tracking.x").warning("a warning of ours about %s", "http://me:hunter2@host")
subprocess.run([sys.executable, "-c", {NOISE!r} + "noise('a process')"])
child = get_context("fork").Process(target=noise, args=("a fork",))
child.start()
child.join()
emit({{"data": 1}})
if sys.argv[1] == "-":
    raise RuntimeError("a fault of ours")
"""
OURS = ["a sentence of ours, for postgresql://me:***@host/db", "archfront: a warning of ours about http://me:***@host"]


@pytest.mark.more
def test_what_libraries_write_lies_in_the_directory_and_the_person_hears_us(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path), *LIBRARIES], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == OURS
    assert done.stdout == '{\n  "data": 1\n}\n'
    kept = (tmp_path / LIBRARIES_LOG).read_text()
    for who in (*LIBRARIES, "a process", "a fork"):
        assert f"noise past everything by {who}" in kept
    assert kept.count("noise on 1") == kept.count("noise on 2") == len(LIBRARIES) + 2


def test_a_terminal_shows_us_alone_and_a_fault_of_ours_with_its_frames() -> None:
    """A terminal is another kind of file than a pipe, and libraries ask for it."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, "-", "ray", "optuna"], cwd=ROOT, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while piece := _read(ours):
        said += piece
    assert program.wait() == 1
    lines = said.decode().replace("\r", "").splitlines()
    assert lines[: len(OURS)] == OURS
    assert "noise" not in "".join(line for line in lines if not line.startswith(" "))
    assert lines[-1] == "RuntimeError: a fault of ours"


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other end was closed
        return b""


@pytest.mark.parametrize("where", ["a pipe that nobody reads", pytest.param("/dev/full", marks=FULL_DEVICE)])
def test_what_cannot_be_said_ends_nothing(where: str) -> None:
    code = (
        "import logging; from trials.commands.talk import hush_libraries, say; hush_libraries(); "
        "say('a sentence'); logging.getLogger('trials.x').warning('a warning'); print('done')"
    )
    if where == "/dev/full":
        told = os.open(where, os.O_WRONLY)
    else:
        read, told = os.pipe()
        os.close(read)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=told, check=False)
    os.close(told)
    assert (done.returncode, done.stdout) == (0, b"done\n")


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_fault(closed: str) -> None:
    command = f'{sys.executable} -c "from trials.commands.talk import hush_libraries, say; hush_libraries()" {closed}'
    assert subprocess.run(["sh", "-c", command], cwd=ROOT, check=False).returncode == 0


def test_lines_of_a_terminal_break_between_words_and_go_on_under_their_values() -> None:
    text = "space       96 points; 12 feasible\n              80 removed: nothing left for the MLP\n\nlast"
    assert at_width(text, None) == text
    assert at_width(text, 34) == (
        "space       96 points; 12 feasible\n              80 removed: nothing\n              left for the MLP\n\nlast"
    )


@pytest.mark.parametrize("letter", ["\0", "\a", "\b", "\r", "\x1b[2J", "\x1b]0;title\a", "\x7f", "\x9b31m", "\u202e", "\u2066", "\udcff"])
def test_what_a_file_says_moves_no_cursor(letter: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(f"a.csv: column N is unknown; known are {letter}; ünï 日本 – line\nand line")
    said = capsys.readouterr().err
    assert said == f"a.csv: column N is unknown; known are {letter.encode('unicode_escape').decode()}; ünï 日本 – line\nand line\n"
