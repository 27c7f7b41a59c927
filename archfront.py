"""The front door: each verb loads, calls and prints. Data goes to stdout, talk to stderr."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.scaling_options import options_from
from search_space.errors import SpecError, WorkError
from trials.arguments import parser

if TYPE_CHECKING:
    from analysis.record import TrialRecord
    from analysis.scaling_answer import Answered
    from analysis.scaling_options import FitOptions
    from analysis.table import Runs
    from search_space.architecture import Architecture
    from trials.driver.searcher import Progress
    from trials.reporting import StoredStudy

DONE, STUDY_FAILED, WRONG_INPUT = 0, 1, 2
REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
"""What the system says where a disk is full or may not be written; no fault of ours, so a sentence without a trace."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns 0 done, 1 the study failed, 2 the input is wrong, 130 interrupted."""
    options = parser().parse_args(arguments)
    try:
        return VERBS[options.verb](options)
    except SpecError as error:
        say(f"archfront: {error}")
        return WRONG_INPUT
    except WorkError as error:
        say(f"archfront: {error}")
        return STUDY_FAILED
    except KeyboardInterrupt:
        say("archfront: interrupted; what was recorded is kept, and the same command continues")
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        which = f" {error.filename}" if error.filename else ""
        say(f"archfront: the system refuses a file{which} ({error.strerror}); see to room and permissions, and run the same command again")
        return STUDY_FAILED


def say(text: str) -> None:
    """Talk to the person, past the data."""
    print(text, file=sys.stderr, flush=True)


def emit(value: Any) -> None:
    """Print data."""
    print(json.dumps(value, indent=2))


def describe(options: argparse.Namespace) -> int:
    """Print the closed forms of a shape and the exports that it can have."""
    from search_space import describe as sheet
    from trials.export import described_exports

    shape = read_shape(options.shape)
    facts = {"name": options.shape, **sheet.describe(shape, options.context_tokens), "exports": described_exports(shape)}
    if options.device is not None:
        from analysis.device_report import predicted_facts
        from trials.latency_table import find_table

        facts["predicted_latency"] = predicted_facts(find_table(options.device), shape)
    if options.json:
        emit(facts)
        return DONE
    for name, value in facts.items():
        if isinstance(value, dict):
            print(name)
            for key, inner in value.items():
                print(f"  {key:<24} {_readable('possible' if name == 'exports' and inner is None else inner)}")
        else:
            print(f"{name:<26} {_readable(value)}")
    return DONE


def sample(options: argparse.Namespace) -> int:
    """Print distinct shapes of a study's space, one a line."""
    from search_space.cost import parameters
    from trials.study import load_study

    space = load_study(options.study).search_space
    space.require_feasible()
    shapes = space.sample(options.count, options.seed)
    for shape in shapes:
        spent = parameters(shape)
        print(json.dumps({"architecture": shape.as_dict(), "parameters": spent}) if options.json else f"{spent:>14,}  {shape.label}")
    if len(shapes) < options.count:
        say(f"archfront: the space has {len(shapes):,} distinct shapes that spend the budget, fewer than the {options.count:,} asked for")
    return DONE


def plan(options: argparse.Namespace) -> int:
    """Print what a study will cost; trains nothing."""
    from trials.ablation import is_ablation, load_ablation
    from trials.ablation_plan import ablation_text, plan_ablation
    from trials.plan import plan_study
    from trials.scaling_plan import plan_scaling
    from trials.study import load_study

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
    from trials.driver.stages import Stages

    stages = Stages(say)
    from trials.reporting import read_study, report_study
    from trials.runner import run_study
    from trials.study import load_study

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
        from trials.reach import grouped

        say(f"law      archfront fit {directory} --form {study.scaling.form}")
        for those in grouped(result.left_out):
            say(f"left out {those}")
    if result.failure is None:
        return DONE
    say(f"archfront: the study failed: {result.failure}")
    return STUDY_FAILED


def ablate(options: argparse.Namespace) -> int:
    """Train the arms of ablations and print what they say beside the published figures."""
    from analysis.ablation import table_text
    from trials.ablation import load_ablation
    from trials.ablation_runs import run_ablations

    ablations = [load_ablation(Path(file)) for file in options.file]
    answers = run_ablations(ablations, Path(options.directory), scale=options.scale, workers=options.workers, report=say)
    if options.json:
        emit([answer.as_dict() for answer in answers])
    else:
        print(table_text([(answer.ablation.question, answer.differences) for answer in answers]))
    for answer in answers:
        for record in answer.failures:
            say(f"archfront: {answer.ablation.name}: {record.architecture.label}, seed {record.seed} {record.outcome}: {record.reason}")
    return DONE


def report(options: argparse.Namespace) -> int:
    """Write the report of a study's directory anew, and bring MLflow up to date."""
    from trials.reporting import read_study, report_study
    from trials.tracking import Tracker

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
    from analysis.retarget import retarget
    from analysis.retarget_page import retarget_rows, retarget_text, write_retargeted
    from trials.latency_table import find_table

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
    from trials.reporting import read_study
    from trials.winners import export_trial, pick

    stored = read_study(Path(options.directory))
    record = stored.record(options.trial) if options.trial is not None else pick(stored, options.pick)
    output = Path(options.output or stored.directory / "exports" / f"{record.number:04d}")
    files = export_trial(stored, record, options.format.split(","), output, options.gguf_precision)
    say(f"{record.title} is in {output}, verified as its README.md says")
    for file in files:
        print(file)
    return DONE


def latency(options: argparse.Namespace) -> int:
    """Measure the latency of a shape on this machine."""
    from dataclasses import asdict

    from analysis.timing_text import latency_text
    from trials.latency import LatencyProcess
    from trials.study import parse_latency

    shape = read_shape(options.shape)
    asked = ("runtime", "precision", "prompt_tokens", "new_tokens", "context_positions", "threads", "repeats", "command", "format")
    spec = parse_latency({name: getattr(options, name) for name in asked}).beside(Path.cwd())
    process = LatencyProcess(spec)
    try:
        taken = process.measure(shape)
    finally:
        process.close()
    if options.json:
        emit({"shape": shape.as_dict(), "latency": asdict(taken)})
        return DONE
    print(latency_text(taken))
    if taken.disturbed:
        say("archfront: the measurement was disturbed by other work on this machine; repeat it when the machine is quiet")
    return DONE


def profile_device(options: argparse.Namespace) -> int:
    """Measure the shapes that a device's latencies are predicted from, or judge the fit of a published table."""
    if options.fit is not None:
        from analysis.table_fit import fit_table

        chosen = [name.strip() for name in (options.features or "").split(",") if name.strip()]
        found = fit_table(Path(options.fit), options.column, options.shapes, options.seeds, chosen)
        if options.json:
            emit(found.as_dict())
        else:
            print(found)
        return DONE
    if options.study is None:
        raise SpecError("profile-device needs a study's YAML, whose shapes are measured, or --fit TABLE.csv; name one of them")
    from analysis.device_report import table_facts, table_text
    from analysis.device_table import read_table
    from analysis.latency_model import LEAST_SHAPES
    from trials.device_profile import choose_shapes, default_table, latency_spec, profile
    from trials.reporting import read_study
    from trials.study import load_study
    from trials.table_trials import add_trials

    if options.shapes < LEAST_SHAPES:
        raise SpecError(f"--shapes must be at least {LEAST_SHAPES}, which a table is fitted to, found {options.shapes}; raise it")
    if options.trials is not None:
        read_study(Path(options.trials))  # before anything is measured
    study = load_study(options.study)
    spec = latency_spec(study.objectives.latency, options.runtime, options.precision)
    wanted = choose_shapes(study.search_space, spec, options.shapes, options.checks)
    path = Path(options.output) if options.output else default_table(study.search_space, spec)
    say(f"table    {path}")
    table = profile(path, spec, wanted, progress=lambda done, of, text: say(f"{done} of {of}: {text}"))
    if options.trials is not None:
        added, left_out = add_trials(path, Path(options.trials))
        say(f"trials   {added} added" + (f"; left out where they differ, such as {left_out}" if left_out else ""))
        table = read_table(path)
    if options.json:
        emit({"table": str(path), **table_facts(table)})
    else:
        print(table_text(table))
    return DONE


def lr_check(options: argparse.Namespace) -> int:
    """Train a spread of shapes at several learning rates and say whether the study's suits them all."""
    from analysis.rate_check import rate_table
    from trials.rate_check import run_rate_check
    from trials.study import load_study

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
    from analysis.validity import validity_sentences
    from trials.reporting import read_study, report_study
    from trials.study import load_study
    from trials.validate import run_validation

    study = load_study(options.study)
    directory = Path(options.directory or f"runs/{study.name}")
    found = run_validation(
        study,
        directory,
        study_text=Path(options.study).read_text(encoding="utf-8"),
        shapes=options.shapes,
        times=options.times,
        progress=lambda count, total, run: say(
            f"{count} of {total}: #{run.number} {run.reason or f'{run.bits_per_byte:.3f} bits per byte'}"
        ),
    )
    if options.json:
        emit(found.as_dict())
    else:
        print("\n".join(validity_sentences(found)))
    say(f"\nreport   {report_study(read_study(directory))}")
    return DONE


def promote(options: argparse.Namespace) -> int:
    """Train a front's shapes longer and say whether the order held."""
    from analysis.promotion import promotion_text
    from trials.promote import run_promotion
    from trials.study import load_study

    directory = Path(options.directory)
    file = Path(options.study) if options.study is not None else directory / "study.yaml"
    found = run_promotion(
        load_study(file),
        directory,
        study_text=file.read_text(encoding="utf-8"),
        times=options.times,
        top=options.top,
        progress=lambda count, total, run: say(
            f"{count} of {total}: #{run.number} {run.reason or f'{run.bits_per_byte:.3f} bits per byte'}"
        ),
    )
    if options.json:
        emit(asdict(found))
    else:
        print(promotion_text(found))
    return DONE


def fit(options: argparse.Namespace) -> int:
    """Fit a scaling law to a table of runs, or to studies' records, and print it with its intervals and its backtest."""
    from analysis.scaling_answer import answer_runs
    from analysis.scaling_text import answer_text

    paths, asked = [Path(runs) for runs in options.runs], options_from(vars(options))
    answered = answer_runs(read_runs(paths, asked), asked)
    if options.json:
        emit(answered.answer)
    else:
        print(answer_text(answered.answer))
    if options.html is not None:
        from analysis.scaling_page import fit_page, write_page

        name = " and ".join(path.resolve().name for path in paths)
        say(f"\npage     {write_page(Path(options.html), fit_page(name, answered))}")
    return DONE


def read_runs(paths: list[Path], asked: FitOptions) -> Runs:
    """The runs of a table or of a study, or those of several studies together."""
    from analysis.scaling import load_runs
    from trials.studies_together import runs_of_studies

    if len(paths) == 1:
        return load_runs(paths[0], asked)
    tables = [path for path in paths if not path.is_dir()]
    if tables:
        raise SpecError(f"runs that are fitted together must be studies' directories, found {tables[0]}; fit a table alone")
    return runs_of_studies(paths, "parameters" if asked.columns.params == "params" else asked.columns.params)


def ui(options: argparse.Namespace) -> int:
    """Open MLflow's own interface on a study's directory, on localhost."""
    from trials.tracking import serve_ui

    serve_ui(Path(options.directory), options.port, options.tracking_uri)
    return DONE


def job_submit(options: argparse.Namespace) -> int:
    """Ship the code and a study to a Ray cluster and print the job's id."""
    from trials.jobs import submit
    from trials.study import load_study

    load_study(options.study)
    print(submit(Path(options.study), options.address, directory=options.directory, tracking_uri=options.tracking_uri))
    return DONE


def job_status(options: argparse.Namespace) -> int:
    """Print how a job stands."""
    from trials.jobs import status

    print(status(options.job, options.address))
    return DONE


def job_logs(options: argparse.Namespace) -> int:
    """Print what a job printed."""
    from trials.jobs import logs

    for text in logs(options.job, options.address, follow=options.follow):
        print(text, end="", flush=True)
    return DONE


def job_stop(options: argparse.Namespace) -> int:
    """Stop a job; its records are kept."""
    from trials.jobs import stop

    print(stop(options.job, options.address))
    return DONE


def print_result(stored: StoredStudy, as_json: bool) -> None:
    """A search's front, or a scaling study's losses and their law."""
    if stored.law is None:
        print_front(stored, as_json)
    else:
        print_law(stored.records, stored.law, as_json)


def print_law(records: Sequence[TrialRecord], law: Answered | str, as_json: bool) -> None:
    """The losses of a scaling study and their law, or what the law lacks, as data or as text."""
    from analysis.grid_text import grid_rows, grid_text
    from analysis.scaling_text import answer_text

    if as_json:
        emit(({"form": None, "missing": law} if isinstance(law, str) else law.answer) | {"losses": grid_rows(records)})
    else:
        print(f"{grid_text(records)}\n\n{f'no law yet: {law}' if isinstance(law, str) else answer_text(law.answer)}")


def print_front(stored: StoredStudy, as_json: bool) -> None:
    """The front as data or as text."""
    from analysis.membership import membership
    from analysis.rows import front_rows
    from analysis.terminal import front_text

    ahead = stored.outlook
    if as_json:
        rows = front_rows(stored.records, stored.finals, stored.front, membership(stored.front))
        if ahead is not None:
            prospects = {} if isinstance(ahead, str) else {prospect.number: asdict(prospect) for prospect in ahead.prospects}
            next_one = None if isinstance(ahead, str) else ahead.experiment
            experiments = {next_one.number: asdict(next_one)} if next_one else {}
            rows = [row | {"target": prospects.get(row["trial"]), "next_experiment": experiments.get(row["trial"])} for row in rows]
        emit(rows)
        return
    print(front_text(stored.records, stored.finals, stored.front))
    if ahead is not None:
        from analysis.outlook_page import outlook_text

        print(f"\n{ahead if isinstance(ahead, str) else outlook_text(ahead, stored.records)}")


def print_progress(progress: Progress) -> None:
    """One line on a terminal, written over itself."""
    print(f"\r\033[K{progress}", end="", file=sys.stderr, flush=True)


def read_shape(name: str) -> Architecture:
    """A family's name, or a YAML or JSON file with an architecture."""
    from search_space import describe as sheet

    if not sheet.is_file_name(name):
        return sheet.named_shape(name)
    from trials.driver import references

    return references.read_shape(Path(name))


def _readable(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "plan": plan,
    "describe": describe,
    "sample": sample,
    "run": run,
    "ablate": ablate,
    "report": report,
    "export": export,
    "latency": latency,
    "profile-device": profile_device,
    "lr-check": lr_check,
    "validate": validate,
    "promote": promote,
    "fit": fit,
    "ui": ui,
    "job submit": job_submit,
    "job status": job_status,
    "job logs": job_logs,
    "job stop": job_stop,
}
"""What does the work of each verb of `trials.arguments`."""

if __name__ == "__main__":
    sys.exit(main())
