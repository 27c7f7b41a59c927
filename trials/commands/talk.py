"""What every verb says with: data to stdout, talk to stderr."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import textwrap
import warnings
from contextlib import suppress
from typing import Any

from analysis.records.json_writer import json_of
from trials.machine.native_output import person, set_apart
from trials.machine.redaction import redacted

DONE, STUDY_FAILED, WRONG_INPUT = 0, 1, 2
"""What a verb ends with."""
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Letters that do something to a terminal in place of standing there: escapes, and marks that turn the direction of what is written."""
OUR_LOGGERS = ("search_space", "analysis", "trials")
"""Ours; whoever else logs, warns or prints does not talk to the person."""


def say(text: str) -> None:
    """Talk to the person, past the data, without a secret of anybody's and without what a file has in it that would move the cursor."""
    plain = CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), redacted(text))
    with suppress(OSError):  # whoever is gone, or a log on a full disk, changes nothing of the work and of what it ends with
        print(plain, file=person(), flush=True)


def spell_out() -> None:
    """Have letters that a terminal or a file does not have written by their numbers, where they would end the work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # none where it is closed
            stream.reconfigure(errors="backslashreplace")


def output_width() -> int | None:
    """Columns of the terminal that data is printed on; None where it goes elsewhere."""
    return os.get_terminal_size(sys.stdout.fileno()).columns or None if sys.stdout.isatty() else None


def at_width(text: str, width: int | None, indent: int = 12) -> str:
    """Lines of `WORD  value` no wider than that, none broken within a word; what is continued stands under the values."""
    if width is None:
        return text
    found = []
    for line in text.splitlines():
        under = " " * max(indent, len(line) - len(line.lstrip()))
        found += textwrap.wrap(line, width, subsequent_indent=under, break_long_words=False, break_on_hyphens=False) or [""]
    return "\n".join(found)


def emit(value: Any) -> None:
    """Print data."""
    print(json_of(value, indent=2))


class _Spoken(logging.Handler):
    """Says what is logged wherever the person is told something by then: a live view puts itself in the terminal's place."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            say(f"archfront: {self.format(record)}")
        except Exception:
            self.handleError(record)  # as `StreamHandler` does: what cannot be said does not end the work


def hush_libraries() -> None:
    """Let this process and those that it starts show warnings of ours alone, each as a sentence; what others write is set apart."""
    set_apart()
    ours = _Spoken()
    for name in OUR_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [ours]
        logger.propagate = False  # a library that gives the root a handler would have each said twice
    logging.lastResort = logging.NullHandler()  # else it shows what has no handler
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"
