"""The front door: each verb loads, calls and prints. Data goes to stdout, talk to stderr."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.scaling_options import ARGUMENTS, options_from
from search_space.errors import SpecError, WorkError
from trials.export import FORMATS
from trials.runtimes import RUNTIMES

if TYPE_CHECKING:
    from search_space.architecture import Architecture
    from trials.driver.searcher import Progress
    from trials.reporting import StoredStudy

DONE, STUDY_FAILED, WRONG_INPUT = 0, 1, 2
DEFAULT_CONTEXT_TOKENS = 2048
LARGEST_PORT = 65_535


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns 0 done, 1 the study failed, 2 the input is wrong, 130 interrupted."""
    options = parser().parse_args(arguments)
    verb: Callable[[argparse.Namespace], int] = options.verb
    try:
        return verb(options)
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


def say(text: str) -> None:
    """Talk to the person, past the data."""
    print(text, file=sys.stderr, flush=True)


def emit(value: Any) -> None:
    """Print data."""
    print(json.dumps(value, indent=2))


def describe(options: argparse.Namespace) -> int:
    """Print the closed forms of a shape and the exports that it can have."""
    from search_space import describe as sheet
    from trials.export import supported_exports

    shape = read_shape(options.shape)
    facts = {"name": options.shape, **sheet.describe(shape, options.context_tokens), "exports": supported_exports(shape)}
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
    from trials.study import load_study

    if is_ablation(Path(options.study)):
        arms = plan_ablation(load_ablation(Path(options.study)))
        emit([arm.as_dict() for arm in arms]) if options.json else print(ablation_text(arms))
        return DONE
    made = plan_study(load_study(options.study))
    if options.json:
        emit(made.as_dict())
    else:
        print(made)
    return DONE


def run(options: argparse.Namespace) -> int:
    """Run a study, or continue it, and print its front."""
    from trials.reporting import read_study, report_study
    from trials.runner import run_study
    from trials.study import load_study

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
    )
    stored = read_study(directory)
    page = report_study(stored)
    print_front(stored, options.json)
    say(f"\nreport   {page}\nMLflow   archfront ui {directory}\nexport   archfront export {directory} --pick knee")
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
    page = report_study(stored)
    tracker = Tracker(stored.directory, stored.study, stored.text)
    tracker.start()
    tracker.catch_up(stored.records)
    tracker.finish(stored.records, stored.finals)
    print_front(stored, options.json)
    say(f"\nreport   {page}")
    return DONE


def export(options: argparse.Namespace) -> int:
    """Write a trial's model in formats that other tools load."""
    from trials.reporting import read_study
    from trials.winners import export_trial, pick

    stored = read_study(Path(options.directory))
    record = stored.record(options.trial) if options.trial is not None else pick(stored, options.pick)
    output = Path(options.output or stored.directory / "exports" / f"{record.number:04d}")
    files = export_trial(stored, record, options.format.split(","), output)
    say(f"{record.title} is in {output}, verified as its README.md says")
    for file in files:
        print(file)
    return DONE


def latency(options: argparse.Namespace) -> int:
    """Measure the latency of a shape on this machine."""
    from dataclasses import asdict

    from trials.latency import LatencyProcess
    from trials.study import parse_latency

    shape = read_shape(options.shape)
    spec = parse_latency(
        {name: getattr(options, name) for name in ("runtime", "precision", "prompt_tokens", "new_tokens", "threads", "repeats")}
    )
    process = LatencyProcess(spec)
    try:
        taken = process.measure(shape)
    finally:
        process.close()
    if options.json:
        emit({"shape": shape.as_dict(), "latency": asdict(taken)})
        return DONE
    for name, spread in (("total", taken.total_ms), ("prefill", taken.prefill_ms), ("decode, a token", taken.decode_ms_per_token)):
        print(f"{name:<16} {spread.median:10.3f} ms   p10 {spread.p10:.3f}   p90 {spread.p90:.3f}")
    if taken.yardstick is not None:
        ratio = taken.yardstick.ratio
        print(f"{'ratio':<16} {ratio.median:10.3f}      p10 {ratio.p10:.3f}   p90 {ratio.p90:.3f}, to {taken.yardstick.label}")
    if taken.bandwidth_share is not None:
        print(f"{'decoding reads':<16} {taken.bandwidth_share:10.1%}      of the memory's bandwidth")
    tokens, runtime = f"{taken.prompt_tokens} + {taken.new_tokens} tokens", f"{taken.runtime} {taken.runtime_version}"
    print(f"{tokens}, {taken.repeats} repeats, {runtime}, {taken.device}")
    if taken.disturbed:
        say("archfront: the measurement was disturbed by other work on this machine; repeat it when the machine is quiet")
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


def fit(options: argparse.Namespace) -> int:
    """Fit a scaling law to a table of runs, or to a study's records, and print it with its intervals and its backtest."""
    from analysis.scaling_answer import fit_command
    from analysis.scaling_text import answer_text

    answer = fit_command(Path(options.runs), options_from(vars(options)))
    if options.json:
        emit(answer)
    else:
        print(answer_text(answer))
    return DONE


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


def print_front(stored: StoredStudy, as_json: bool) -> None:
    """The front as data or as text."""
    from analysis.membership import membership
    from analysis.rows import front_rows
    from analysis.terminal import front_text

    if as_json:
        emit(front_rows(stored.records, stored.finals, stored.front, membership(stored.front)))
    else:
        print(front_text(stored.records, stored.finals, stored.front))


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


def parser() -> argparse.ArgumentParser:
    """Every verb with its options; imports nothing heavy."""
    top = argparse.ArgumentParser(
        prog="archfront", description="Find the shapes of small language models that are best for accuracy and latency."
    )
    verbs = top.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        made.set_defaults(verb=function)
        return made

    def json_option(made: argparse.ArgumentParser, text: str) -> None:
        made.add_argument("--json", action="store_true", help=text)

    made = verb("plan", plan, "say what a study will cost, training nothing")
    made.add_argument("study", metavar="STUDY", help="a study's or an ablation's YAML file")
    json_option(made, "print one JSON object")

    made = verb("describe", describe, "print a shape's parameters, FLOPs, bytes and possible exports")
    made.add_argument("shape", metavar="NAME|FILE", help="a published shape such as mobilellm-125m, or an architecture's YAML or JSON file")
    made.add_argument(
        "--context-tokens",
        type=positive,
        default=DEFAULT_CONTEXT_TOKENS,
        metavar="N",
        help="length at which FLOPs and cache are counted (default %(default)s)",
    )
    json_option(made, "print one JSON object")

    made = verb("sample", sample, "print distinct shapes of a study's space")
    made.add_argument("study", metavar="STUDY", help="a study's YAML file")
    made.add_argument("-n", "--count", type=positive, default=10, metavar="N", help="how many (default %(default)s)")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="which ones (default %(default)s)")
    json_option(made, "print one JSON object a line: architecture and parameters")

    made = verb("run", run, "run a study, or continue it")
    made.add_argument("study", metavar="STUDY", help="a study's YAML file")
    made.add_argument("--directory", metavar="DIR", help="where records, weights and report go (default runs/NAME)")
    made.add_argument("--address", metavar="ADDRESS", help="a running Ray cluster, such as auto (default: Ray is started on this machine)")
    made.add_argument("--tracking-uri", metavar="URI", help="MLflow's server or database (default: SQLite in the directory)")
    json_option(made, "print the front as JSON")

    made = verb("ablate", ablate, "train the arms of ablations and compare them with published figures")
    made.add_argument("file", nargs="+", metavar="FILE", help="ablations' YAML files, such as studies/mobilellm/depth-width.yaml")
    made.add_argument(
        "--directory", default="runs/ablations", metavar="DIR", help="where records go; the same one continues (default %(default)s)"
    )
    made.add_argument("--scale", default="proxy", metavar="NAME", help="which of a file's scales is trained (default %(default)s)")
    made.add_argument("--workers", type=positive, default=1, metavar="N", help="trainings side by side (default %(default)s)")
    json_option(made, "print the answers as JSON")

    made = verb("report", report, "write the report of a study's directory anew, and bring MLflow up to date")
    made.add_argument("directory", metavar="DIR", help="a study's directory")
    json_option(made, "print the front as JSON")

    made = verb("export", export, "write a trial's model in formats that other tools load")
    made.add_argument("directory", metavar="DIR", help="a study's directory")
    which = made.add_mutually_exclusive_group(required=True)
    which.add_argument("--trial", type=int, metavar="N", help="the trial of that number")
    which.add_argument("--pick", choices=("recommended", "knee", "fastest", "most-accurate"), help="a member of the front")
    made.add_argument(
        "--format", default="hf,yaml", metavar="LIST", help=f"formats, with commas: {', '.join(FORMATS)} (default %(default)s)"
    )
    made.add_argument("--output", metavar="PATH", help="where to (default DIR/exports/NUMBER)")

    precisions = tuple(dict.fromkeys(name for offer in RUNTIMES.values() for name in offer.precisions))
    made = verb("latency", latency, "measure the latency of a shape on this machine")
    made.add_argument("shape", metavar="NAME|FILE", help="a published shape such as mobilellm-125m, or an architecture's YAML or JSON file")
    made.add_argument("--runtime", default="onnxruntime", choices=tuple(RUNTIMES), help="what runs the shape (default %(default)s)")
    made.add_argument("--precision", default="float32", choices=precisions, help="of the weights (default %(default)s)")
    made.add_argument("--prompt-tokens", type=positive, default=64, metavar="N", help="tokens of the prompt (default %(default)s)")
    made.add_argument("--new-tokens", type=positive, default=64, metavar="N", help="tokens decoded with the KV cache (default %(default)s)")
    made.add_argument("--threads", type=positive, default=1, metavar="N", help="pinned threads (default %(default)s)")
    made.add_argument("--repeats", type=positive, default=5, metavar="N", help="timed repeats (default %(default)s)")
    json_option(made, "print one JSON object")

    made = verb("lr-check", lr_check, "train a spread of shapes at several learning rates and say whether the study's suits them all")
    made.add_argument("study", metavar="STUDY", help="a study's YAML file")
    made.add_argument(
        "--directory", metavar="DIR", help="where the trainings are kept; the same command continues (default runs/NAME-lr-check)"
    )
    made.add_argument("--shapes", type=positive, default=6, metavar="N", help="from deep-thin to wide-shallow (default %(default)s)")
    made.add_argument(
        "--rates", type=positive, default=5, metavar="N", help="factors of 2 around the study's rates, an odd number (default %(default)s)"
    )
    made.add_argument("--tokens", type=positive, metavar="N", help="training tokens in place of the study's")
    json_option(made, "print one JSON object")

    made = verb("validate", validate, "train shapes of a study longer and say whether its short trainings rank them alike")
    made.add_argument("study", metavar="STUDY", help="the YAML file of a study that has been run")
    made.add_argument("--directory", metavar="DIR", help="the study's directory; the same command continues (default runs/NAME)")
    made.add_argument("--shapes", type=positive, default=12, metavar="N", help="from the best to the worst loss (default %(default)s)")
    made.add_argument("--times", type=float, default=4.0, metavar="X", help="how many times longer (default %(default)g)")
    json_option(made, "print one JSON object")

    made = verb("fit", fit, "fit a scaling law to runs, with intervals and a backtest")
    made.add_argument("runs", metavar="RUNS.csv|DIR", help="a table with a row for each run, or a study's directory")
    for flag, settings in ARGUMENTS:
        made.add_argument(flag, **settings)
    json_option(made, "print one JSON object")

    made = verb("ui", ui, "open MLflow's own interface on a study's directory, on localhost")
    made.add_argument("directory", metavar="DIR", help="a study's directory")
    made.add_argument("--port", type=port, default=5000, metavar="N", help="port on localhost (default %(default)s)")
    made.add_argument("--tracking-uri", metavar="URI", help="a database elsewhere that the study was tracked in")

    jobs = verbs.add_parser("job", help="run studies on a Ray cluster", description="Run studies on a Ray cluster.")
    verbs = jobs.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name, function, text in (
        ("submit", job_submit, "ship the code and a study to a cluster and print the job's id"),
        ("status", job_status, "print how a job stands"),
        ("logs", job_logs, "print what a job printed"),
        ("stop", job_stop, "stop a job; its records are kept"),
    ):
        made = verb(name, function, text)
        if name == "submit":
            made.add_argument("study", metavar="STUDY", help="a study's YAML file")
            made.add_argument(
                "--directory", metavar="DIR", help="where the records go, an absolute path on the cluster (default ~/archfront/NAME there)"
            )
            made.add_argument("--tracking-uri", metavar="URI", help="MLflow's server or database (default: SQLite in the directory)")
        else:
            made.add_argument("job", metavar="JOB", help="the id that submit printed")
        if name == "logs":
            made.add_argument("--follow", action="store_true", help="go on until the job ends")
        made.add_argument("--address", required=True, metavar="URL", help="of the cluster's dashboard, such as http://127.0.0.1:8265")
    return top


def positive(text: str) -> int:
    """An argument that counts something."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, found {number}")
    return number


def port(text: str) -> int:
    """An argument that is a TCP port."""
    number = positive(text)
    if number > LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"must be at most {LARGEST_PORT}, found {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
