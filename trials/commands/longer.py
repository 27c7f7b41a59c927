"""Verbs that train further, to judge what a study said."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from trials.commands.talk import DONE, emit, say

if TYPE_CHECKING:
    from analysis.fidelity.rank_validity import LongRun


def lr_check(options: argparse.Namespace) -> int:
    """Train a spread of shapes at several learning rates and say whether the study's suits them all."""
    from analysis.fidelity.lr_transfer import rate_table
    from trials.experiments.lr_check import run_rate_check
    from trials.study.spec import load_study

    study = load_study(options.study)
    directory = Path(options.directory or f"runs/{study.name}-lr-check")
    check = run_rate_check(
        study,
        directory,
        shapes=options.shapes,
        rates=options.rates,
        tokens=options.tokens,
        progress=lambda count, total, run: say(f"{count} of {total}: {run.title}"),
    )
    if options.json:
        emit(check.as_dict())
    else:
        print(rate_table(check))
    return DONE


def validate(options: argparse.Namespace) -> int:
    """Train shapes of a study longer and say whether its short trainings rank them alike."""
    from analysis.fidelity.rank_validity import validity_sentences
    from trials.experiments.validate import run_validation
    from trials.reporting.stored_study import read_study, report_study
    from trials.study.spec import load_study

    study = load_study(options.study)
    directory = Path(options.directory or f"runs/{study.name}")
    found = run_validation(
        study,
        directory,
        study_text=Path(options.study).read_text(encoding="utf-8"),
        shapes=options.shapes,
        times=options.times,
        progress=_say_run,
    )
    if options.json:
        emit(found.as_dict())
    else:
        print("\n".join(validity_sentences(found)))
    say(f"\nreport   {report_study(read_study(directory))}")
    return DONE


def promote(options: argparse.Namespace) -> int:
    """Train a front's shapes longer and say whether the order held."""
    from analysis.report.terminal import promotion_text
    from trials.experiments.promote import run_promotion
    from trials.study.directory import STUDY
    from trials.study.spec import load_study

    directory = Path(options.directory)
    file = Path(options.study) if options.study is not None else directory / STUDY
    found = run_promotion(
        load_study(file),
        directory,
        study_text=file.read_text(encoding="utf-8"),
        times=options.times,
        top=options.top,
        progress=_say_run,
    )
    if options.json:
        emit(asdict(found))
    else:
        print(promotion_text(found))
    return DONE


def _say_run(count: int, total: int, run: LongRun) -> None:
    say(f"{count} of {total}: #{run.number} {run.reason or f'{run.bits_per_byte:.3f} bits per byte'}")
