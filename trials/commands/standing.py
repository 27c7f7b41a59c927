"""Verbs that say how a study stands: while it runs, with what `run` shows it, and to whoever browses its records elsewhere."""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.text.words import plural
from search_space.errors import SpecError
from trials.commands.arguments import add_directory, add_json
from trials.commands.talk import DONE, STUDY_FAILED, emit, say
from trials.machine.native_output import person
from trials.machine.redaction import redacted
from trials.tracking.tracking_uri import is_database, settled_uri

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


def add_track_arguments(parser: argparse.ArgumentParser) -> None:
    """What `track` reads."""
    add_directory(parser)
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow's server or database to write a copy into (default: the study's own)")
    parser.add_argument("--optuna", metavar="URI", help="write the records as an Optuna study instead, such as sqlite:///x.db")


def track(options: argparse.Namespace) -> int:
    """Write a study's records into MLflow, there or elsewhere, or into a database of Optuna's."""
    from analysis.report.study_page import REPORT
    from trials.reporting.stored_study import read_study, report_study

    if options.optuna is not None:
        if options.tracking_uri is not None:
            raise SpecError("track writes into one place at a time, found --tracking-uri and --optuna; give one of them")
        if not is_database(options.optuna):
            raise SpecError(f"--optuna must name a database, found {redacted(options.optuna)}; give sqlite:///FILE.db")
        uri, stored = settled_uri(options.optuna), read_study(Path(options.directory))
        from trials.search.optuna_records import write_optuna_study

        name = write_optuna_study(stored.study, stored.records, stored.finals, uri)
        say(f"the Optuna study {name} is in {redacted(uri)}: {plural(len(stored.records), 'trial')}; optuna-dashboard {redacted(uri)}")
        return DONE
    from trials.study.load_study import STUDY
    from trials.tracking.mlflow_ablations import read_answers, track_answers
    from trials.tracking.mlflow_tracker import Tracker

    copy, directory = None if options.tracking_uri is None else settled_uri(options.tracking_uri), Path(options.directory)
    if not (directory / STUDY).exists() and (answers := read_answers(directory)):
        if (where := track_answers(directory, copy)) is None:
            return STUDY_FAILED
        say(f"{plural(len(answers), 'ablation')} {'is' if len(answers) == 1 else 'are'} in MLflow at {where}")
        return DONE
    stored = read_study(directory)
    page = report_study(stored) if os.access(directory, os.W_OK | os.X_OK) else directory / REPORT
    tracker = Tracker(stored.directory, stored.study, stored.text, copy, keep=copy is None)
    tracker.bring_up_to_date(stored.records, stored.finals, page)
    if tracker.failed:
        return STUDY_FAILED
    count = len(stored.records)
    say(f"{plural(count, 'trial')} {'is' if count == 1 else 'are'} in MLflow at {tracker.shown_place}")
    return DONE
