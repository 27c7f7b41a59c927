"""The verb that writes a study's records where others browse them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from analysis.text.words import plural
from search_space.errors import SpecError
from trials.commands.arguments import add_directory
from trials.commands.talk import DONE, STUDY_FAILED, say
from trials.machine.redaction import redacted
from trials.tracking.tracking_uri import is_database, settled_uri


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
        say(f"the Optuna study {name} is in {redacted(uri)}: {len(stored.records)} trials; optuna-dashboard {redacted(uri)}")
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
    say(f"{len(stored.records)} trials are in MLflow at {tracker.shown_place}")
    return DONE
