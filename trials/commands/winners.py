"""Verbs on a winner: keep which one a team takes, and take it away as files."""

from __future__ import annotations

import argparse
import getpass
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.text.typed import typed
from search_space.errors import SpecError
from search_space.sizes import written_number
from trials.catalogue.formats import FORMATS
from trials.commands.arguments import LONGEST_CONTEXT, above_zero_ms, add_directory, counted, names
from trials.commands.paths import Use, given
from trials.commands.talk import DONE, say

if TYPE_CHECKING:
    from analysis.records.record import TrialRecord
    from trials.reporting.stored_study import StoredStudy

MOST_PARAMETERS = 10**12
OF_A_CONFIGURATION = {"--vocab-size": "vocab_size", "--head-dim": "head_dim", "--latency-ms": "latency_ms"}
"""Options that go with `--parameters` alone, and their names."""
OF_A_MODEL = {"--format": "format", "--license": "license", "--keep-sharing": "keep_sharing"}
"""Options that go with weights alone."""
USUAL_FORMATS = ",".join(name for name, row in FORMATS.items() if row.usual)


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
    say(f"export   archfront export {typed(options.directory)} --pick chosen")
    return DONE


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        raise SpecError("--by must be given where this user has no name; name who decides") from None


OF_SEVERAL_PRECISIONS = {name: row for name, row in FORMATS.items() if len(row.export_precisions) > 1}
"""Formats for which the precision of an export is an option."""


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """What `export` reads."""
    add = parser.add_argument
    add_directory(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--trial", type=counted(10**9, least=0), metavar="N", help="the trial of that number")
    pick = (
        "a member of the front: recommended, knee, or the best in an objective, such as most-accurate or fastest; or chosen, by "
        "`archfront choose`"
    )
    which.add_argument("--pick", metavar="WORD", help=pick)
    add("--format", type=names, metavar="LIST", help=f"formats, with commas: {', '.join(FORMATS)} (default {USUAL_FORMATS})")
    for name, row in OF_SEVERAL_PRECISIONS.items():
        choices = [precision for precision in row.precisions if precision in row.export_precisions]
        text = f"{row.precision_help} (default {row.export_precisions[0]})"
        add(f"--{name}-precision", choices=choices, help=text)
    shared = (
        "of hf, store a block that runs several times once, with a modelling file of its own (trust_remote_code), so that it can be tuned"
    )
    add("--keep-sharing", action="store_true", help=shared)
    add("--output", type=given("--output", Use.FOLDER), metavar="PATH", help="where to (default DIR/exports/NUMBER)")
    context = "tokens of a text that the files state, where not the training's; quality there is measured beside that at the training's"
    add("--context", type=counted(LONGEST_CONTEXT), metavar="N", help=context)
    stated = "what the card states for the Hugging Face hub, such as apache-2.0 (default: unknown)"
    add("--license", metavar="NAME", help=stated)
    add("--force", action="store_true", help="replace files of the same names that no export wrote; others stay")
    size = "write no weights, but a configuration of so many parameters (125M) with the trial's proportions and sharing"
    add("--parameters", type=counted(MOST_PARAMETERS), metavar="N", help=size)
    add("--vocab-size", type=counted(1 << 20), metavar="N", help="with --parameters, the vocabulary there (default: the trial's)")
    add("--head-dim", type=counted(1024), metavar="N", help="with --parameters, the width of a head there (default: the trial's)")
    allowed = (
        "with --parameters, what the study's workload may take there, measured here; a shape of fewer blocks is taken where it must be"
    )
    add("--latency-ms", type=above_zero_ms, metavar="L", help=allowed)


def export(options: argparse.Namespace) -> int:
    """Write a trial's model in formats that other tools load, or its shape at another size as a configuration."""
    _require_one_kind(options)
    from trials.export.export_trial import export_trial, pick
    from trials.export.front_matter import require_license
    from trials.reporting.stored_study import read_study

    license_name = None if options.license is None else require_license(options.license)
    stored = read_study(Path(options.directory))
    record = stored.record(options.trial) if options.trial is not None else pick(stored, options.pick)
    if options.parameters is not None:
        return _export_configuration(stored, record, options)
    formats = options.format or USUAL_FORMATS.split(",")
    output = Path(options.output or stored.directory / "exports" / f"{record.number:04d}")
    precisions = {name: getattr(options, f"{name}_precision") or row.export_precisions[0] for name, row in OF_SEVERAL_PRECISIONS.items()}
    stated = options.force, options.context, license_name, options.keep_sharing
    export = export_trial(stored, record, formats, output, precisions, *stated)
    from trials.export.check import verified_text  # torch, which is there by now

    say(f"{record.title} is in {output}")
    for file in export.files:
        print(file, flush=True)
    if export.context is not None:
        say(export.context.sentence)
    say(verified_text(export.checks))
    return DONE


def _require_one_kind(options: argparse.Namespace) -> None:
    """Raise SpecError where options of a model stand beside those of a configuration, or the other way about."""
    sized = [flag for flag, name in OF_A_CONFIGURATION.items() if getattr(options, name) is not None]
    if options.parameters is None and sized:
        raise SpecError(f"{sized[0]} must go with --parameters, the size of the configuration, found it alone; add that, or leave it out")
    precise = {f"--{name}-precision": f"{name}_precision" for name in OF_SEVERAL_PRECISIONS}
    stated = [flag for flag, name in precise.items() if getattr(options, name) is not None]
    if options.parameters is not None and stated:
        raise SpecError(f"{stated[0]} must be left out beside --parameters, which writes a configuration without weights; leave one out")
    weighty = [flag for flag, name in OF_A_MODEL.items() if getattr(options, name)]
    if options.parameters is not None and weighty:
        raise SpecError(f"{weighty[0]} must be left out beside --parameters, which writes a configuration without weights; leave one out")


def _export_configuration(stored: StoredStudy, record: TrialRecord, options: argparse.Namespace) -> int:
    """Write the shape at another size; no torch but where a latency is measured."""
    from analysis.text.words import short
    from trials.export.configuration import export_configuration, summary_lines
    from trials.export.folder import require_own
    from trials.export.resizing import resized

    size = short(options.parameters)
    if written_number(size) != options.parameters:  # two sizes are two folders
        size = str(options.parameters)
    output = Path(options.output or stored.directory / "exports" / f"{record.number:04d}-{size}")
    require_own(output, options.force)
    sizes = record.architecture, options.parameters, options.vocab_size, options.head_dim
    if options.latency_ms is None:
        made = resized(*sizes)
    else:
        from trials.latency.process import LatencyProcess
        from trials.study.origin import folders_of

        say(f"archfront: measuring shapes of {short(options.parameters)} on the study's workload")
        workload = stored.study.latency.beside(*folders_of(stored.directory))
        with closing(LatencyProcess(workload)) as process:
            made = resized(*sizes, within=(options.latency_ms, lambda shape: process.measure(shape).total_ms.median))
    context = options.context or stored.study.proxy.context_tokens
    found = export_configuration(made, record, stored.study.name, output, context, options.force)
    say("\n".join(summary_lines(made)))
    for file in found.files:
        print(file, flush=True)
    for sentence in (*found.left_out, found.ranks):
        say(sentence)
    return DONE
