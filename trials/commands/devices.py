"""Verbs that measure latencies, or fit what was measured."""

from __future__ import annotations

import argparse
import shlex
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from search_space.errors import SpecError
from trials.catalogue.formats import MODEL_FORMATS, USUAL_MODEL_FORMAT
from trials.catalogue.runtimes import RUNTIMES, USUAL_RUNTIME
from trials.commands.arguments import add_address, add_json, add_shape, add_study_directory, counted, few, names
from trials.commands.paths import Use, given
from trials.commands.shapes import shape_named
from trials.commands.talk import DONE, emit, say

EVERY_PRECISION = tuple(dict.fromkeys(name for row in RUNTIMES.values() for name in row.precisions))


def add_latency_arguments(parser: argparse.ArgumentParser) -> None:
    """What `latency` reads."""
    add = parser.add_argument
    add_shape(parser)
    add("--runtime", default=USUAL_RUNTIME, choices=tuple(RUNTIMES), help="what runs the shape (default %(default)s)")
    add("--precision", default="float32", choices=EVERY_PRECISION, help="of the weights (default %(default)s)")
    add("--prompt-tokens", type=counted(1 << 20), default=64, metavar="N", help="tokens of the prompt (default %(default)s)")
    add("--new-tokens", type=counted(1 << 20), default=64, metavar="N", help="tokens decoded with the KV cache (default %(default)s)")
    add("--context-positions", type=counted(1 << 20), nargs="+", metavar="N", help="time a decoded token after so many others, too")
    add("--threads", type=few, default=1, metavar="N", help="pinned threads (default %(default)s)")
    add("--repeats", type=few, default=5, metavar="N", help="timed repeats (default %(default)s)")
    add("--command", type=shlex.split, metavar="TEXT", help="what measures, quoted, where the runtime is command; see docs/runtimes.md")
    add("--format", choices=tuple(MODEL_FORMATS), help=f"of the files that a command is given (default {USUAL_MODEL_FORMAT})")
    add_json(parser)


def latency(options: argparse.Namespace) -> int:
    """Measure the latency of a shape on this machine."""
    from analysis.terminal.device_text import latency_text
    from trials.latency.process import LatencyProcess
    from trials.study.latency_spec import parse_latency

    shape = shape_named(options.shape)
    asked = ("runtime", "precision", "prompt_tokens", "new_tokens", "context_positions", "threads", "repeats", "command", "format")
    spec = parse_latency({name: getattr(options, name) for name in asked}).beside(Path.cwd())
    with closing(LatencyProcess(spec)) as process:
        taken = process.measure(shape)
    if options.json:
        emit({"shape": shape.as_dict(), "latency": asdict(taken)})
        return DONE
    print(latency_text(taken))
    if taken.disturbed:
        say("archfront: the measurement was disturbed by other work on this machine; repeat it when the machine is quiet")
    return DONE


def add_profile_device_arguments(parser: argparse.ArgumentParser) -> None:
    """What `profile_device` reads."""
    add = parser.add_argument
    add("study", type=given("STUDY"), metavar="STUDY", nargs="?", help="a study's YAML file: its space, sizes and workload")
    add_study_directory(parser)
    add_profile_arguments(parser)
    add(
        "--output",
        type=given("--output", Use.FILE),
        metavar="FILE",
        help="the table; the same one continues (default: named in this user's cache folder; to be named where a command measures)",
    )
    add("--trials", type=given("--trials"), metavar="DIR", help="a study's directory whose trials' latencies are fitted too")
    add(
        "--fit", type=given("--fit"), metavar="TABLE.csv", help="measure nothing: fit some rows of a published table and predict the others"
    )
    add("--column", default="latency_ms", metavar="NAME", help="milliseconds in that table (default %(default)s)")
    add(
        "--features",
        type=names,
        default=[],
        metavar="LIST",
        help="columns of that table, with commas, that are features beside the known ones",
    )
    add("--seeds", type=few, default=5, metavar="N", help="fits of that table, to other rows each (default %(default)s)")
    add_address(parser, "a running Ray cluster, such as auto, whose latency device is measured (default: this machine)")
    add_json(parser)


def add_profile_arguments(parser: argparse.ArgumentParser) -> None:
    """What says how a device is measured."""
    add = parser.add_argument
    add("--runtime", choices=tuple(RUNTIMES), help="in place of the study's")
    add("--precision", choices=EVERY_PRECISION, help="in place of the study's")
    add("--shapes", type=few, default=40, metavar="N", help="that are fitted, at most (default %(default)s)")
    add("--checks", type=few, default=10, metavar="N", help="further shapes that judge the fit (default %(default)s)")


def profile_device(options: argparse.Namespace) -> int:
    """Measure a few dozen shapes once, so that a device's latency is known for all others; or check a table's fit."""
    if options.fit is not None:
        from analysis.latency.feature_table import read_features

        features = read_features(Path(options.fit), options.column, options.features)  # before what is heavy is imported

        from analysis.latency.table_fit import fit_table

        found = fit_table(features, Path(options.fit), options.column, options.shapes, options.seeds)
        if options.json:
            emit(found.as_dict())
        else:
            print(found)
        return DONE
    if options.study is None:
        raise SpecError("profile-device needs a study's YAML, whose shapes are measured, or --fit TABLE.csv; name one of them")
    from analysis.latency.device_report import table_facts
    from analysis.latency.device_table import read_table
    from analysis.terminal.device_text import device_table_text
    from trials.commands.gate import tell_of_no_study, workplace
    from trials.latency.add_trials import add_trials
    from trials.latency.device_profile import choose_shapes, default_table, latency_spec, profile, require_fit
    from trials.reporting.stored_study import read_study
    from trials.study.load_study import load_begun

    require_fit(options.shapes)
    if options.trials is not None:
        read_study(Path(options.trials))  # before anything is measured
    tell_of_no_study(options.study_directory)
    study, _, _ = load_begun(Path(options.study), options.study_directory)
    spec = latency_spec(study.latency, options.runtime, options.precision)
    wanted = choose_shapes(study.search_space, spec, options.shapes, options.checks)
    with workplace(study, options.address) as place:
        path = Path(options.output) if options.output else default_table(study.search_space, spec, lambda: place.device(spec))
        say(f"table    {path}")
        table = profile(path, spec, wanted, start=place.measurer, progress=lambda done, of, text: say(f"{done} of {of}: {text}"))
    if options.trials is not None:
        added, left_out = add_trials(path, Path(options.trials))
        say(f"trials   {added} added" + (f"; left out where they differ, such as {left_out}" if left_out else ""))
        table = read_table(path)
    if options.json:
        emit({"table": str(path), **table_facts(table)})
    else:
        print(device_table_text(table))
    return DONE
