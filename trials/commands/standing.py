"""The verb that says how a running study stands, and what `run` shows it with."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from trials.commands.arguments import add_directory, add_json
from trials.commands.talk import DONE, emit, say
from trials.machine.native_output import person

if TYPE_CHECKING:
    from trials.progress.display import Display
    from trials.progress.standing import RunStanding

FOLLOW_SECONDS = 1.0
WIDTH_OF_A_FILE = 120
"""Columns where standard output is no terminal."""


def add_status_arguments(parser: argparse.ArgumentParser) -> None:
    """What `status` reads."""
    add_directory(parser)
    parser.add_argument("--follow", action="store_true", help="go on until the run ends, or its driver is gone")
    add_json(parser)


def study_status(options: argparse.Namespace) -> int:
    """Say how a study's run stands, from any terminal that sees its directory."""
    from trials.progress.standing import State, read_standing, staleness

    directory = Path(options.directory)
    standing = read_standing(directory)
    if options.follow:
        display = chosen_display()
        while standing.state is State.RUNNING and staleness(standing, time.time()) is None:
            display.tick(standing)
            time.sleep(FOLLOW_SECONDS)
            standing = read_standing(directory)
        display.close(standing)
    stale = staleness(standing, time.time())
    if options.json:
        emit({**asdict(standing), "stale": stale})
    else:
        print_standing(standing, stale)
    return DONE


def chosen_display() -> Display:
    """A live view on a terminal, plain lines elsewhere."""
    from trials.progress.display import Lines, is_drawable

    if not is_drawable(person()):
        return Lines(say)
    from trials.progress.view import LiveView

    return LiveView(person())


def print_standing(standing: RunStanding, stale: str | None) -> None:
    """Print how a study stands; `stale` is why that is not to be believed."""
    from analysis.text import words
    from trials.progress.standing import State, seconds_of, shown_reason
    from trials.progress.view import standing_lines, terminal_size

    width = terminal_size(sys.stdout)[0] if sys.stdout.isatty() else WIDTH_OF_A_FILE
    height = 60
    for line, _ in standing_lines(standing, width, height, time.time()):
        print(line)
    if stale is not None:
        print(f"stale    {stale}")
    elif standing.state is not State.RUNNING:
        took = words.duration(max(0.0, seconds_of(standing.written_at) - seconds_of(standing.begun_at)))
        print(f"{standing.state} after {took}{f': {shown_reason(standing.reason)}' if standing.reason else ''}")
