"""Verbs that train further, to judge what a study said."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from trials.commands.arguments import add_directory, add_json, add_study, counted, few, positive, times
from trials.commands.paths import Use, given
from trials.commands.talk import DONE, emit, say

if TYPE_CHECKING:
    from analysis.fidelity.rank_validity import LongRun


def add_lr_check_arguments(parser: argparse.ArgumentParser) -> None:
    """What `lr_check` reads."""
    add = parser.add_argument
    add_study(parser)
    where = "where the trainings are kept; the same command continues (default runs/NAME-lr-check)"
    add("--directory", type=given("--directory", Use.FOLDER), metavar="DIR", help=where)
    add("--shapes", type=few, default=6, metavar="N", help="from deep-thin to wide-shallow (default %(default)s)")
    add(
        "--rates",
        type=counted(99),
        default=5,
        metavar="N",
        help="factors of 2 around the study's rates, an odd number (default %(default)s)",
    )
    add("--tokens", type=positive, metavar="N", help="training tokens in place of the study's")
    add_json(parser)


def lr_check(options: argparse.Namespace) -> int:
    """Train a spread of shapes at several learning rates and say whether the study's suits them all."""
    from trials.commands.gate import passed
    from trials.study.load_study import load_begun

    study, _, _ = load_begun(Path(options.study), None)
    passed(study)
    from analysis.fidelity.lr_transfer import check_directory, rate_table
    from trials.experiments.lr_check import run_rate_check

    directory = Path(options.directory) if options.directory else check_directory(Path("runs", study.name))
    found = run_rate_check(
        study,
        directory,
        shapes=options.shapes,
        rates=options.rates,
        tokens=options.tokens,
        progress=lambda count, total, run: say(f"{count} of {total}: {run.title}"),
    )
    if options.json:
        emit(found.as_dict())
    else:
        print(rate_table(found))
    _track_beside(Path("runs", study.name))
    return DONE


def add_validate_arguments(parser: argparse.ArgumentParser) -> None:
    """What `validate` reads."""
    add = parser.add_argument
    add_study(parser, "the YAML file of a study that has been run")
    where = "the study's directory; the same command continues (default runs/NAME)"
    add("--directory", type=given("--directory", Use.FOLDER), metavar="DIR", help=where)
    add("--shapes", type=few, default=12, metavar="N", help="from the best to the worst loss (default %(default)s)")
    add("--times", type=times, default=4.0, metavar="X", help="how many times longer (default %(default)g)")
    add_json(parser)


def validate(options: argparse.Namespace) -> int:
    """Train shapes of a study longer and say whether its short trainings rank them alike; what failed is tried again."""
    from trials.commands.gate import passed
    from trials.study.load_study import load_begun

    study, directory, text = load_begun(Path(options.study), options.directory)
    passed(study, directory)
    from analysis.fidelity.rank_validity import validity_sentences
    from trials.experiments.validate import run_validation
    from trials.reporting.stored_study import read_study, report_study

    found = run_validation(
        study,
        directory,
        study_text=text,
        shapes=options.shapes,
        times=options.times,
        progress=_say_run,
    )
    if options.json:
        emit(asdict(found))
    else:
        print("\n".join(validity_sentences(found)))
    say(f"\nreport   {report_study(read_study(directory))}")
    _track_beside(directory)
    return DONE


def add_promote_arguments(parser: argparse.ArgumentParser) -> None:
    """What `promote` reads."""
    add = parser.add_argument
    add_directory(parser, "the directory of a study that has been run; the same command continues")
    add("--times", type=times, default=2.0, metavar="X", help="how many times longer, at most 8 (default %(default)g)")
    add("--top", type=positive, metavar="N", help="those most likely on the front alone (default: its members and near-ties)")
    named = "the study's YAML, where its corpus is named relative to it (default DIR/study.yaml)"
    add("--study", type=given("--study"), metavar="FILE", help=named)
    add_json(parser)


def promote(options: argparse.Namespace) -> int:
    """Train the shapes of a front longer and say whether their order held."""
    from trials.commands.gate import passed
    from trials.study.load_study import STUDY, load_begun, load_study

    directory = Path(options.directory)
    if options.study is None:
        file = directory / STUDY
        study, text = load_study(file, stored=True), file.read_text(encoding="utf-8")
    else:
        study, _, text = load_begun(Path(options.study), options.directory)
    passed(study, directory)
    from analysis.terminal.experiment_text import promotion_text
    from trials.experiments.promote import run_promotion

    found = run_promotion(
        study,
        directory,
        study_text=text,
        times=options.times,
        top=options.top,
        progress=_say_run,
    )
    if options.json:
        emit(asdict(found))
    else:
        print(promotion_text(found))
    _track_beside(directory)
    return DONE


def _track_beside(directory: Path) -> None:
    """Have MLflow show, beside a study that is tracked, what was just found."""
    from trials.tracking.mlflow_location import PLACE

    if not (directory / PLACE).is_file():
        return
    from analysis.report.study_page import REPORT
    from trials.reporting.stored_study import read_study
    from trials.tracking.mlflow_tracker import Tracker

    stored = read_study(directory)
    Tracker(directory, stored.study, stored.text).bring_up_to_date(stored.records, stored.finals, directory / REPORT)


def _say_run(count: int, total: int, run: LongRun) -> None:
    say(f"{count} of {total}: #{run.number} {run.reason or f'{run.bits_per_byte:.3f} bits per byte'}")
