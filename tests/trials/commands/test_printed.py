"""Output that cannot go where it is led: onto a full disk, to a reader that is gone, to a terminal without its letters, nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.sample_study import sample_records

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [
        ("describe mobilellm-125m", ""),
        ("describe mobilellm-125m", "1"),
        ("--help", ""),
        ("--version", ""),
        ("--version", "1"),
        ("plan -h", ""),
    ],
)
def test_what_cannot_be_printed_is_one_sentence_or_none(words: str, unbuffered: str) -> None:
    command = [sys.executable, "-m", "archfront", *words.split()]
    variables = {**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONPATH": str(ROOT)}

    def ended(redirection: str, **more: str) -> tuple[int, str]:
        done = subprocess.run(
            ["sh", "-c", f'"$@" {redirection}', "sh", *command], env={**variables, **more}, cwd=ROOT, capture_output=True, text=True
        )
        return done.returncode, done.stderr

    if Path("/dev/full").is_char_device():
        said = (
            "archfront: the system refuses a file (No space left on device); see to room and permissions, and run the same command again\n"
        )
        assert ended(">/dev/full") == (1, said)
    read, write = os.pipe()
    os.close(read)  # before anything is printed, so that nothing depends on who is faster
    with os.fdopen(write) as gone:
        done = subprocess.run(command, env=variables, cwd=ROOT, stdout=gone, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, ""), "a reader that is gone, as `head` is"
    code, talk = ended(">&-")
    assert (code, "Traceback" in talk) == (0, False), "where there is no output, help goes to the talk"
    assert ended("", PYTHONIOENCODING="ascii") == (0, "")


def test_letters_that_a_terminal_does_not_have_are_spelt_out(tmp_path: Path) -> None:
    shape = tmp_path / "Größe – 形.yaml"
    shape.write_text(yaml.safe_dump(sample_records(2)[0].architecture.as_dict()))
    command = [sys.executable, "-m", "archfront", "describe", str(shape)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert r"Gr\xf6\xdfe \u2013 \u5f62.yaml" in done.stdout
