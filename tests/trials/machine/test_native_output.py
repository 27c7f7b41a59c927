"""What others write to standard error, set apart while a person goes on hearing us; each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import os, sys
from pathlib import Path
from trials.machine import native_output as native

def aside():
    os.write(2, b"from C++ before\\n")
    with native.native_output() as said:
        os.write(2, b"from C++\\n")
        print("from a library", file=sys.stderr)
        print("from us", file=native.person())
        assert said() == "from C++\\nfrom a library\\n", said()
    os.write(2, b"afterwards\\n")

def own():
    native.set_apart()
    aside()

def kept():
    native.set_apart()
    native.keep_in(Path("/nowhere/at/all"))
    aside()

def shared():
    with native.native_output() as said:
        print("from Python", file=native.person())
        assert said() == ""

def silenced():
    native.set_apart()
    with native.native_output() as said:
        native.silence()
        print("from us", file=native.person())
        assert said() == ""
    os.write(2, b"afterwards\\n")

globals()[sys.argv[1]]()
"""


@pytest.mark.parametrize(
    ("work", "said"),
    [("own", ["from us"]), ("kept", ["from us"]), ("shared", ["from Python"]), ("silenced", [])],
)
def test_a_person_hears_us_and_not_what_is_set_apart(work: str, said: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, work], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == said
