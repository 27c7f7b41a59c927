"""Verb that keeps what a team decided."""

from __future__ import annotations

import argparse
import getpass
from datetime import UTC, datetime
from pathlib import Path

from search_space.errors import SpecError
from trials.commands.arguments import add_directory, counted
from trials.commands.talk import DONE, say


def add_choose_arguments(parser: argparse.ArgumentParser) -> None:
    """What `choose` reads."""
    add_directory(parser)
    parser.add_argument("trial", type=counted(10**9, least=0), metavar="TRIAL", help="the number of the trial that is taken")
    parser.add_argument("--because", required=True, metavar="TEXT", help="why, in a sentence")
    parser.add_argument("--by", metavar="NAME", help="who decides (default: this user)")


def choose_trial(options: argparse.Namespace) -> int:
    """Keep which trial a team takes, with why, who and when; the report, an export's card and MLflow say so."""
    because, by = " ".join(options.because.split()), " ".join((options.by or _user()).split())
    if not because or not by:
        raise SpecError("--because and --by must have words, found none; say why this trial is taken, and who says so")
    from analysis.records.choice import Choice, append_choice
    from analysis.text import words
    from trials.reporting.stored_study import read_study, report_study
    from trials.tracking.choice_tags import tag_choice

    stored = read_study(Path(options.directory))
    record = stored.record(options.trial)
    if not record.finished:
        raise SpecError(f"the trial must have finished, found #{record.number}, which {words.OUTCOMES[record.outcome]}; choose another")
    choice = Choice(trial=record.number, because=because, by=by, chosen_at=datetime.now(UTC).isoformat(timespec="seconds"))
    append_choice(stored.directory, choice)
    tag_choice(stored, choice)
    say(f"chosen   {choice}\nreport   {report_study(read_study(stored.directory))}")
    say(f"export   archfront export {options.directory} --pick chosen")
    return DONE


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        raise SpecError("--by must be given where this user has no name; name who decides") from None
