"""What C++ writes to standard error, set aside while Python goes on talking; each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import os, sys
from trials.machine import native_output as native

def aside():
    with native.native_output() as said:
        os.write(2, b"from C++\\n")
        print("from Python", file=sys.stderr)
        assert said() == "from C++\\n"
    os.write(2, b"afterwards\\n")

def own():
    native.own_descriptor()
    aside()

def shared():
    with native.native_output() as said:
        print("from Python", file=sys.stderr)
        assert said() == ""

def silenced():
    native.own_descriptor()
    with native.native_output():
        native.silence()
        print("from Python", file=sys.stderr)
    os.write(2, b"afterwards\\n")

globals()[sys.argv[1]]()
"""


@pytest.mark.parametrize(
    ("work", "said"),
    [("own", ["from Python", "afterwards"]), ("shared", ["from Python"]), ("silenced", [])],
)
def test_a_person_hears_python_and_not_what_is_set_aside(work: str, said: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, work], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == said
