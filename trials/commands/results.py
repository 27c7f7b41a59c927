"""Verbs on what a study has left: its report and its MLflow runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.text.typed import typed
from search_space.errors import SpecError
from trials.commands.arguments import add_directory, add_far, add_json, add_verbose, grams_per_kwh, names, port, price
from trials.commands.paths import Use, given
from trials.commands.talk import DONE, at_width, emit, output_width, say

if TYPE_CHECKING:
    from analysis.laws.fit_result import FitResult
    from analysis.objectives.running_cost import Rates
    from analysis.records.record import TrialRecord
    from trials.reporting.stored_study import StoredStudy

RESULT_JSON = "print the front, or a scaling study's law, as JSON"


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """What `report` reads."""
    text = "a study's directory; of several, one page has their fronts over each other and says in what they differ"
    parser.add_argument("directory", type=given("DIR"), metavar="DIR", nargs="+", help=text)
    parser.add_argument(
        "--device",
        type=given("--device"),
        metavar="TABLE",
        help="draw the front that another device's table predicts instead, as a page of its own: a file or a name of profile-device",
    )
    parser.add_argument(
        "--devices",
        type=names,
        metavar="LIST",
        help="keep these devices' tables with the study, with commas: the page then lets its reader choose among them",
    )
    parser.add_argument(
        "--objectives",
        type=names,
        metavar="LIST",
        help="read the study under these two or three objectives, with commas, as a page of its own; nothing is trained or measured",
    )
    add_far(parser)
    parser.add_argument("--output", type=given("--output", Use.PAGE), metavar="FILE", help="the page (default: report.html in DIR)")
    parser.add_argument(
        "--price-per-hour", type=price, metavar="PRICE", help="price of an hour of the device: what a million tokens, and the study, cost"
    )
    carbon = "grams of CO2 of a kilowatt hour where the device is: what a million tokens, and the study's trainings, come to by estimate"
    parser.add_argument("--grams-per-kwh", type=grams_per_kwh, metavar="GRAMS", help=carbon)
    add_verbose(parser)
    add_json(parser, RESULT_JSON)


def report(options: argparse.Namespace) -> int:
    """Write the report of a study's directory anew, and bring MLflow up to date."""
    from analysis.report.study_page import REPORT
    from trials.reporting.stored_study import read_study, report_again, report_study, under_objectives
    from trials.tracking.mlflow_tracker import Tracker

    _require_one_reading(options)
    if len(options.directory) > 1:
        return _report_several(options)
    [options.directory] = options.directory
    stored = read_study(Path(options.directory), leaves_out=True)
    for said in stored.left_out:
        say(f"archfront: left out: {said}")
    if stored.law is not None and (options.price_per_hour, options.grams_per_kwh) != (None, None):
        raise SpecError(
            "--price-per-hour and --grams-per-kwh must be of a search, whose front has what runs, found a study with `scaling` in "
            f"{stored.directory}; leave them out"
        )
    if options.objectives is not None:
        stored = under_objectives(stored, options.objectives)
    if options.device is not None:
        return _report_for_device(stored, options)
    if options.devices is not None:
        from trials.latency.known_devices import keep_devices

        keep_devices(stored.measured, options.devices, far=options.far)
    print_result(stored, options.json, options.verbose, _rates(options))
    output = Path(options.output) if options.output is not None else None
    if options.objectives is not None:
        _say_page("\nread again: ", stored, output, report_again)
        return DONE
    _say_page("\nreport   ", stored, output, report_study)
    if _is_writable(stored.directory) and not stored.left_out:
        page = stored.directory / REPORT
        Tracker(stored.directory, stored.study, stored.text).bring_up_to_date(stored.records, stored.finals, page)
    say(more_said(stored.directory, options.verbose))
    print_written(stored, options.json)
    return DONE


def _require_one_reading(options: argparse.Namespace) -> None:
    """Raise SpecError where options do not go together: each of them would otherwise be passed over in silence."""
    flags = [f"--{name}" for name in ("device", "devices", "objectives") if getattr(options, name) is not None]
    costs = [f"--{name.replace('_', '-')}" for name in ("price_per_hour", "grams_per_kwh") if getattr(options, name) is not None]
    if costs and (options.device is not None or len(options.directory) > 1):
        raise SpecError(f"{costs[0]} must be of one study and its own device, found another one beside it; leave it out")
    if "--devices" in flags and len(flags) > 1:
        raise SpecError(f"--devices must stand alone, found {flags[flags[0] == '--devices']} beside it; run `archfront report` twice")
    if len(options.directory) > 1 and flags and flags[0] != "--objectives":
        raise SpecError(f"{flags[0]} must be of one study, found several directories; name one of them")
    if options.far and not {"--device", "--devices"} & {*flags}:
        raise SpecError("--far must stand beside --device or --devices, found neither; name a table, or leave --far out")


def _report_several(options: argparse.Namespace) -> int:
    """Write one page of several studies, or print the keys in which they differ as JSON."""
    from trials.reporting.several_studies import differences, report_several

    directories = [Path(directory) for directory in options.directory]
    if options.json:
        emit(differences(directories))
    else:
        for key, values in differences(directories).items():
            print(f"{key}: {', '.join(values)}")
    output = Path(options.output) if options.output is not None else None
    say(f"\nreport   {report_several(directories, options.objectives, output)}")
    return DONE


def _say_page(before: str, stored: StoredStudy, output: Path | None, write: Callable[[StoredStudy, Path | None], Path]) -> None:
    """Write a page and say where it is; where it would lie in a directory that cannot be written, say how to have it elsewhere."""
    if output is None and not _is_writable(stored.directory):
        say(f"\narchfront: {stored.directory} cannot be written, so there is no page; name a file for it with --output")
    else:
        say(f"{before}{write(stored, output)}")


def _is_writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK)


def _report_for_device(stored: StoredStudy, options: argparse.Namespace) -> int:
    """Draw a study's front as another device's table predicts it; trains and measures nothing."""
    from analysis.fronts.device_front import transfer_rows, transfer_to_device
    from analysis.report.device_page import write_transfer
    from analysis.terminal.device_text import transfer_text
    from trials.latency.device_tables import find_table

    moved = transfer_to_device(stored.records, find_table(options.device), stored.finals, stored.study.problem, far=options.far)
    if options.json:
        emit(transfer_rows(moved))
    else:
        print(at_width(transfer_text(moved, width := output_width()), width, indent=0))
    output = Path(options.output) if options.output is not None else None
    write = lambda stored, output: write_transfer(stored.directory, stored.study.name, moved, output)  # noqa: E731
    _say_page("\npredicted, not measured: ", stored, output, write)
    return DONE


def add_ui_arguments(parser: argparse.ArgumentParser) -> None:
    """What `ui` reads."""
    add_directory(parser)
    parser.add_argument("--port", type=port, default=5000, metavar="N", help="port on localhost (default %(default)s)")
    parser.add_argument("--tracking-uri", metavar="URI", help="a database elsewhere that the study was tracked in")


def ui(options: argparse.Namespace) -> int:
    """Open MLflow's own interface on a study's directory, on localhost."""
    from trials.tracking.mlflow_interface import serve_ui

    serve_ui(Path(options.directory), options.port, options.tracking_uri)
    return DONE


def more_said(directory: Path, is_verbose: bool) -> str:
    """The commands that say more, each on a line of its own; all that is known is said already where that was asked for.

    They are not broken at the terminal's width: a path in quotes would be another one.
    """
    verbose = "" if is_verbose else f"more     archfront report {typed(directory)} --verbose\n"
    return f"{verbose}more     archfront explain WORDS"


def _rates(options: argparse.Namespace) -> Rates | None:
    """What an hour and a kilowatt hour stand for; None where nobody asked what a million tokens cost."""
    if options.price_per_hour is None and options.grams_per_kwh is None:
        return None
    from analysis.objectives.running_cost import Rates

    return Rates(price_per_hour=options.price_per_hour, grams_per_kilowatt_hour=options.grams_per_kwh)


def print_result(stored: StoredStudy, as_json: bool, is_verbose: bool = False, rates: Rates | None = None) -> None:
    """A search's front, with what it costs to run where there are `rates`, or a scaling study's losses and their law."""
    if stored.law is None:
        print_front(stored, as_json, is_verbose, rates)
    else:
        print_law(stored.records, stored.law, as_json, is_verbose)


def print_law(records: Sequence[TrialRecord], law: FitResult | str, as_json: bool, is_verbose: bool) -> None:
    """The losses of a scaling study as data or as a table, and their law, or what it lacks, in three sentences or in all that is known."""
    from analysis.law_report.law_text import fit_text, law_last_text, loss_rows, losses_text

    if as_json:
        emit(({"form": None, "missing": law} if isinstance(law, str) else law.data) | {"losses": loss_rows(records)})
    elif not is_verbose:
        print(law_last_text(records, law if isinstance(law, str) else law.data))
    else:
        print(f"{losses_text(records)}\n\n{f'no law yet: {law}' if isinstance(law, str) else fit_text(law.data)}")


def print_front(stored: StoredStudy, as_json: bool, is_verbose: bool, rates: Rates | None = None) -> None:
    """The front as data, or as a table and three sentences; all that is known where more is asked for."""
    from analysis.fronts.rows import front_rows
    from analysis.report.answers import answers_text
    from analysis.terminal.front_text import front_text, last_text

    ahead = stored.forecast
    if as_json:
        rows = front_rows(stored.records, stored.finals, stored.front, stored.membership)
        if rates is not None:
            from analysis.terminal.cost_text import running_costs

            costs = running_costs(stored.records, stored.finals, stored.front, rates)
            rows = [row | {"million_tokens": asdict(costs[row["trial"]]) if row["trial"] in costs else None} for row in rows]
        if ahead is not None:
            forecasts = {} if isinstance(ahead, str) else {forecast.number: asdict(forecast) for forecast in ahead.forecasts}
            experiment = None if isinstance(ahead, str) or ahead.experiment is None else asdict(ahead.experiment)
            rows = [row | {"target": forecasts.get(row["trial"]), "next_experiment": experiment} for row in rows]
        emit(rows)
        return
    shown = front_text if is_verbose else last_text
    print(shown(stored.records, stored.finals, stored.front, stored.membership, output_width()))
    if text := answers_text(stored.records, stored.front, stored.study.corpus.title):
        print(at_width(f"\n{text}", output_width(), indent=4))
    if rates is not None:
        from analysis.records.stages import read_taken
        from analysis.terminal.cost_text import costs_text

        text = costs_text(stored.records, stored.finals, stored.front, rates, read_taken(stored.directory))
        print(at_width(f"\n{text}", output_width(), indent=4))
    if ahead is not None and (is_verbose or isinstance(ahead, str)):
        from analysis.terminal.front_text import forecast_text

        said = ahead if isinstance(ahead, str) else forecast_text(ahead, stored.records, output_width())
        print(f"\n{at_width(said, output_width(), indent=0)}")


def print_written(stored: StoredStudy, as_json: bool) -> None:
    """What the recommended shape of a search writes, as the last lines for people."""
    if stored.law is not None or as_json:
        return
    from analysis.report.written import written_text

    if (text := written_text(stored.records, stored.finals, stored.membership)) is not None:
        heading, _, written = text.partition("\n")
        print(f"\n{at_width(heading, output_width(), indent=4)}\n{written}")
