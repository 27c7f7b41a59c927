"""Verbs that ask what studies cost, and run them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.text.typed import typed
from trials.commands.arguments import add_address, add_json, add_study, add_tracking, add_verbose, few, price, tags_of
from trials.commands.paths import Use, given
from trials.commands.results import RESULT_JSON, more_said, print_result, print_written
from trials.commands.talk import DONE, STUDY_FAILED, at_width, emit, output_width, say

if TYPE_CHECKING:
    from trials.driver.run_study import StudyResult
    from trials.progress.watch import RunWatch
    from trials.reporting.stored_study import StoredStudy
    from trials.study.spec import StudySpec


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """What `plan` reads."""
    add_study(parser, "a study's or an ablation's YAML file")
    where = "the directory that the study runs in: what it left open is what it began with there (default runs/NAME)"
    parser.add_argument("--directory", type=given("--directory", Use.FOLDER), metavar="DIR", help=where)
    parser.add_argument(
        "--price-per-hour", type=price, metavar="PRICE", help="price of an hour of the machine that runs the study, for what it costs"
    )
    add_json(parser)


def plan(options: argparse.Namespace) -> int:
    """Say what a study will cost, training nothing."""
    from trials.study.ablation_spec import is_ablation, load_ablation
    from trials.study.load_study import load_begun

    if is_ablation(Path(options.study)):
        ablation = load_ablation(Path(options.study))
        from trials.plans.check_study import check_ablation

        check_ablation(ablation, tuple(ablation.scales))
        from trials.plans.plan_ablation import ablation_text, plan_ablation

        arms = plan_ablation(ablation)
        emit([arm.as_dict() for arm in arms]) if options.json else print(ablation_text(arms))
        return DONE
    study, directory, _ = load_begun(Path(options.study), options.directory)
    from trials.plans.check_study import check
    from trials.plans.notices import directory_notices

    first, taken_up = check(study, directory, begins=True), directory_notices(directory)  # before torch, which takes seconds, is imported
    from trials.plans.plan_scaling import ScalingPlan, plan_scaling, scaling_plan_text
    from trials.plans.plan_study import plan_study

    made = (plan_study if study.scaling is None else plan_scaling)(study, first, directory, price_per_hour=options.price_per_hour)
    made = replace(made, notices=(*made.notices, *taken_up))
    if options.json:
        emit(made.as_dict())
    else:
        width = output_width()
        print(at_width(scaling_plan_text(made, width) if isinstance(made, ScalingPlan) else str(made), width))
    return DONE


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """What `run` reads."""
    add_study(parser)
    where = "where records, weights and report go (default runs/NAME)"
    parser.add_argument("--directory", type=given("--directory", Use.FOLDER), metavar="DIR", help=where)
    add_address(parser, "a running Ray cluster, such as auto (default: Ray is started on this machine)")
    add_tracking(parser)
    add_verbose(parser)
    add_json(parser, RESULT_JSON)


def run(options: argparse.Namespace) -> int:
    """Run a study, or continue it; shows how it stands while it runs."""
    from trials.commands.standing import chosen_display
    from trials.progress.watch import RunWatch

    with RunWatch(options.study, chosen_display(), say) as watch:
        study, result, stored, page = _run_watched(options, watch)
    directory = stored.directory
    print_result(stored, options.json, options.verbose)
    from analysis.report.attempts_part import again_sentence
    from analysis.report.plan_part import outlook_sentence

    if (again := again_sentence(stored.attempts)) is not None:
        say(f"\nagain    {again}")
    if options.verbose and (outlook := outlook_sentence(stored.outlook)) is not None:
        say(f"\ntime     {outlook}")
    say(f"\nreport   {page}\nMLflow   archfront ui {typed(directory)}\n{more_said(directory, options.verbose)}")
    if study.scaling is None:
        say(f"export   archfront export {typed(directory)} --pick recommended")
    else:
        from trials.plans.feasible_here import grouped

        say(f"law      archfront fit {typed(directory)} --form {study.scaling.form}")
        for those in grouped(result.left_out):
            say(f"left out {those}")
    print_written(stored, options.json)
    if result.failure is None:
        return DONE
    say(f"archfront: the study failed: {result.failure}")
    return STUDY_FAILED


def _run_watched(options: argparse.Namespace, watch: RunWatch) -> tuple[StudySpec, StudyResult, StoredStudy, Path]:
    """The study, what its run came to, what its directory then holds, and its page."""
    from trials.cluster.ray_address import is_here
    from trials.commands.gate import passed, tell_of_directory
    from trials.study.end_listener import require_there
    from trials.study.load_study import load_begun
    from trials.tracking.tracking_uri import settled_uri

    study, directory, text = load_begun(Path(options.study), options.directory)
    tags = tags_of(options)
    if study.on_end is not None:
        require_there(study.on_end)
    if options.tracking_uri is not None:
        settled_uri(options.tracking_uri)  # refused before the directory is begun
    first = passed(study, directory, trains_here=is_here(options.address))  # before torch and Ray, which take seconds, are imported
    tell_of_directory(directory)
    watch.begin("imports", "what a study needs to be read")
    from trials.driver.run_study import run_study
    from trials.reporting.stored_study import read_study, report_study

    watch.stages.end("imports")
    written: list[tuple[StoredStudy, Path]] = []

    def write_page() -> Path:
        watch.begin("report", "the page to be written")
        stored = read_study(directory)
        written.append((stored, report_study(stored)))
        watch.stages.end("report")
        return written[-1][1]

    result = run_study(
        study,
        directory,
        study_text=text,
        origin=Path(options.study).resolve().parent,
        first=first,
        address=options.address,
        tracking_uri=options.tracking_uri,
        experiment=options.experiment,
        tags=tags,
        watch=watch,
        write_page=write_page,
    )
    stored, page = written[-1]
    if result.has_worked:
        from trials.driver.stage_keeping import add_report_seconds

        add_report_seconds(study, directory, watch.stages.seconds["report"], here=is_here(options.address))
    if result.failure is not None:
        watch.failed(result.failure)
    return study, result, stored, page


def add_ablate_arguments(parser: argparse.ArgumentParser) -> None:
    """What `ablate` reads."""
    add_ablations(parser)
    where = "where records go; the same one continues (default %(default)s)"
    parser.add_argument("--directory", type=given("--directory", Use.FOLDER), default="runs/ablations", metavar="DIR", help=where)
    add_address(parser)
    add_json(parser, "print the answers as JSON")


def add_ablations(parser: argparse.ArgumentParser) -> None:
    """What says which ablations are trained, at which scale."""
    add = parser.add_argument
    add("file", nargs="+", type=given("FILE"), metavar="FILE", help="ablations' YAML files, such as studies/mobilellm/depth-width.yaml")
    add("--scale", default="proxy", metavar="NAME", help="which of a file's scales is trained (default %(default)s)")
    add("--workers", type=few, default=1, metavar="N", help="trainings side by side (default %(default)s)")


def ablate(options: argparse.Namespace) -> int:
    """Train the arms of ablations and compare them with published figures."""
    from trials.cluster.ray_address import is_here
    from trials.commands.gate import ablations_passed, workplace
    from trials.study.ablation_spec import arms_of, load_ablation

    ablations = [load_ablation(Path(file)) for file in options.file]
    ablations_passed(ablations, [options.scale], trains_here=is_here(options.address))
    from analysis.terminal.experiment_text import ablation_table_text, ablation_times_text
    from analysis.terminal.rounding_table import rounding_table_text
    from trials.experiments.ablation import run_ablations
    from trials.reporting.beside_run import ablation_run
    from trials.tracking.mlflow_ablations import keep_answers, track_answers

    directory, study = Path(options.directory), arms_of(ablations[0], options.scale)[0].study
    with workplace(study, options.address) as place:
        answers = run_ablations(ablations, directory, scale=options.scale, workers=options.workers, workplace=place, report=say)
    is_new = keep_answers(Path(options.directory), map(ablation_run, answers))
    if options.json:
        emit([answer.as_dict() for answer in answers])
    else:
        trained = [(answer.ablation.question, answer.differences) for answer in answers if answer.differences]
        times = [ratio for answer in answers for ratio in answer.times]
        print("\n\n".join([*([ablation_table_text(trained)] if trained else []), *([ablation_times_text(times)] if times else [])]))
        for answer in answers:
            if answer.roundings:
                print(f"\n{answer.ablation.question}\n\n{rounding_table_text(answer.roundings)}")
            for arm, checks in answer.unhealthy.items():
                failed = ", ".join(
                    f"{name} in {count} of {len(answer.ablation.scales[options.scale].seeds)}" for name, count in checks.items()
                )
                print(f"health   {answer.ablation.name}, {arm}: {failed}")
    for answer in answers:
        for record in answer.failures:
            say(f"archfront: {answer.ablation.name}: {record.architecture.label}, seed {record.seed} {record.outcome}: {record.reason}")
    if is_new and track_answers(Path(options.directory)) is not None:
        say(f"MLflow   archfront ui {typed(options.directory)}")
    return DONE
