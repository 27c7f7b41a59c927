"""Verbs on whole studies: what they cost, running them, and what came out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from trials.commands.talk import DONE, STUDY_FAILED, emit, say

if TYPE_CHECKING:
    from analysis.laws.answer import Answered
    from analysis.records.record import TrialRecord
    from trials.driver.tune_adapters import Progress
    from trials.reporting.stored_study import StoredStudy


def plan(options: argparse.Namespace) -> int:
    """Print what a study will cost; trains nothing."""
    from trials.plans.plan_ablation import ablation_text, plan_ablation
    from trials.plans.plan_scaling import plan_scaling
    from trials.plans.plan_study import plan_study
    from trials.study.ablation_spec import is_ablation, load_ablation
    from trials.study.spec import load_study

    if is_ablation(Path(options.study)):
        arms = plan_ablation(load_ablation(Path(options.study)))
        emit([arm.as_dict() for arm in arms]) if options.json else print(ablation_text(arms))
        return DONE
    study = load_study(options.study)
    made = plan_study(study) if study.scaling is None else plan_scaling(study)
    if options.json:
        emit(made.as_dict())
    else:
        print(made)
    return DONE


def run(options: argparse.Namespace) -> int:
    """Run a study, or continue it, and print its front."""
    from trials.driver.startup_times import Stages

    stages = Stages(say)
    from trials.driver.run_study import run_study
    from trials.reporting.stored_study import read_study, report_study
    from trials.study.spec import load_study

    stages.end("imports")
    study = load_study(options.study)
    directory = Path(options.directory or f"runs/{study.name}")
    show_progress = print_progress if sys.stderr.isatty() else None
    result = run_study(
        study,
        directory,
        study_text=Path(options.study).read_text(encoding="utf-8"),
        address=options.address,
        tracking_uri=options.tracking_uri,
        progress=show_progress,
        stages=stages,
    )
    stored = read_study(directory)
    page = report_study(stored)
    print_result(stored, options.json)
    say(f"\nreport   {page}\nMLflow   archfront ui {directory}")
    if study.scaling is None:
        say(f"export   archfront export {directory} --pick knee")
    else:
        from trials.plans.feasible_here import grouped

        say(f"law      archfront fit {directory} --form {study.scaling.form}")
        for those in grouped(result.left_out):
            say(f"left out {those}")
    if result.failure is None:
        return DONE
    say(f"archfront: the study failed: {result.failure}")
    return STUDY_FAILED


def ablate(options: argparse.Namespace) -> int:
    """Train the arms of ablations and print what they say beside the published figures."""
    from analysis.report.terminal import ablation_text
    from trials.experiments.ablation import run_ablations
    from trials.study.ablation_spec import load_ablation

    ablations = [load_ablation(Path(file)) for file in options.file]
    answers = run_ablations(ablations, Path(options.directory), scale=options.scale, workers=options.workers, report=say)
    if options.json:
        emit([answer.as_dict() for answer in answers])
    else:
        print(ablation_text([(answer.ablation.question, answer.differences) for answer in answers]))
    for answer in answers:
        for record in answer.failures:
            say(f"archfront: {answer.ablation.name}: {record.architecture.label}, seed {record.seed} {record.outcome}: {record.reason}")
    return DONE


def report(options: argparse.Namespace) -> int:
    """Write the report of a study's directory anew, and bring MLflow up to date."""
    from trials.reporting.mlflow_tracker import Tracker
    from trials.reporting.stored_study import read_study, report_study

    stored = read_study(Path(options.directory))
    if options.device is not None:
        return _report_for_device(stored, options)
    page = report_study(stored)
    tracker = Tracker(stored.directory, stored.study, stored.text)
    tracker.start()
    tracker.catch_up(stored.records)
    tracker.finish(stored.records, stored.finals)
    print_result(stored, options.json)
    say(f"\nreport   {page}")
    return DONE


def _report_for_device(stored: StoredStudy, options: argparse.Namespace) -> int:
    """Draw a study's front as another device's table predicts it; trains and measures nothing."""
    from analysis.fronts.device_front import retarget, retarget_rows
    from analysis.report.device_page import write_retargeted
    from analysis.report.terminal import retarget_text
    from trials.latency.device_tables import find_table

    moved = retarget(stored.records, find_table(options.device), stored.finals)
    page = write_retargeted(stored.directory, stored.study.name, moved)
    if options.json:
        emit(retarget_rows(moved))
    else:
        print(retarget_text(moved))
    say(f"\npredicted, not measured: {page}")
    return DONE


def export(options: argparse.Namespace) -> int:
    """Write a trial's model in formats that other tools load."""
    from trials.export.export_trial import export_trial, pick
    from trials.reporting.stored_study import read_study

    stored = read_study(Path(options.directory))
    record = stored.record(options.trial) if options.trial is not None else pick(stored, options.pick)
    output = Path(options.output or stored.directory / "exports" / f"{record.number:04d}")
    files = export_trial(stored, record, options.format.split(","), output, options.gguf_precision)
    say(f"{record.title} is in {output}, verified as its README.md says")
    for file in files:
        print(file)
    return DONE


def ui(options: argparse.Namespace) -> int:
    """Open MLflow's own interface on a study's directory, on localhost."""
    from trials.reporting.mlflow_tracker import serve_ui

    serve_ui(Path(options.directory), options.port, options.tracking_uri)
    return DONE


def print_result(stored: StoredStudy, as_json: bool) -> None:
    """A search's front, or a scaling study's losses and their law."""
    if stored.law is None:
        print_front(stored, as_json)
    else:
        print_law(stored.records, stored.law, as_json)


def print_law(records: Sequence[TrialRecord], law: Answered | str, as_json: bool) -> None:
    """The losses of a scaling study and their law, or what the law lacks, as data or as text."""
    from analysis.report.terminal import answer_text, loss_rows, losses_text

    if as_json:
        emit(({"form": None, "missing": law} if isinstance(law, str) else law.answer) | {"losses": loss_rows(records)})
    else:
        print(f"{losses_text(records)}\n\n{f'no law yet: {law}' if isinstance(law, str) else answer_text(law.answer)}")


def print_front(stored: StoredStudy, as_json: bool) -> None:
    """The front as data or as text."""
    from analysis.fronts.membership import membership
    from analysis.fronts.rows import front_rows
    from analysis.report.terminal import front_text

    ahead = stored.outlook
    if as_json:
        rows = front_rows(stored.records, stored.finals, stored.front, membership(stored.front))
        if ahead is not None:
            prospects = {} if isinstance(ahead, str) else {prospect.number: asdict(prospect) for prospect in ahead.prospects}
            experiment = None if isinstance(ahead, str) or ahead.experiment is None else asdict(ahead.experiment)
            rows = [row | {"target": prospects.get(row["trial"]), "next_experiment": experiment} for row in rows]
        emit(rows)
        return
    print(front_text(stored.records, stored.finals, stored.front))
    if ahead is not None:
        from analysis.report.terminal import outlook_text

        print(f"\n{ahead if isinstance(ahead, str) else outlook_text(ahead, stored.records)}")


def print_progress(progress: Progress) -> None:
    """One line on a terminal, written over itself."""
    print(f"\r\033[K{progress}", end="", file=sys.stderr, flush=True)
