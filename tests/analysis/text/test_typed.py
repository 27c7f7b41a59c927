"""A command that is shown is one that can be copied, whatever the directory is called."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from analysis.text.typed import typed

ROOT = Path(__file__).resolve().parents[3]
ODD = [
    "?",
    "*",
    "[a]",
    "%20",
    "#",
    "'",
    '"',
    "\n",
    "\t",
    " ",
    "$(id)",
    "`id`",
    ";ls",
    "&",
    "|",
    "\\",
    "~",
    "!",
    "{a,b}",
    "<",
    "Ünï 日本",
    "-",
]
SHOWN = re.compile(r"archfront [a-z-]+ \{(?!typed\()(?:[a-z_.]*(?:directory|output|folder|path))\}")
"""A path in a command that is shown as it is."""


@pytest.mark.parametrize(
    "name", [f"{before}{odd}{after}" for odd in ODD for before, after in (("", ""), ("a", "b"), ("runs/", "/x"), ("", "z"))]
)
def test_a_shell_takes_it_for_the_path_that_it_is(name: str) -> None:
    said = subprocess.run(["sh", "-c", f"printf %s {typed(name)}"], capture_output=True, text=True, check=True).stdout
    assert Path(said) == Path(name)
    assert not typed(name).startswith("-")


def test_a_plain_path_stays_as_it_is() -> None:
    assert typed(Path("runs/quickstart_2")) == "runs/quickstart_2"


def test_every_command_that_is_shown_has_its_path_so() -> None:
    files = [file for room in ("trials", "analysis") for file in (ROOT / room).rglob("*.py")]
    assert [f"{file}: {found[0]}" for file in files if (found := SHOWN.search(file.read_text()))] == []
