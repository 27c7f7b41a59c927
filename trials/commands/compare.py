"""The verb that holds models, rounded and pruned, against each other."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from search_space.errors import SpecError
from trials.catalogue.ways import ROUNDING_WORDS, USUAL_WAYS, read_way
from trials.commands.arguments import add_json, counted, names, positive
from trials.commands.evaluate import USUAL_PICK, add_tasks, asked_trial, is_study, require_a_study, require_models, trial_model
from trials.commands.paths import given
from trials.commands.talk import DONE, at_width, emit, output_width, say

if TYPE_CHECKING:
    from trials.comparison.compare import Candidate
    from trials.rounding.ways import Way

TEXT_BYTES = 65_536
WITHIN = 0.1
"""Share by which what is compared at equal bytes may be smaller."""


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """What `compare` reads."""
    add = parser.add_argument
    text = "a study's directory, a Hugging Face folder or a GGUF file; the first one in the first way is what all others are held against"
    add("models", type=given("MODEL"), metavar="MODEL", nargs="+", help=text)
    ways = (
        f"ways of keeping each model, with commas: {', '.join(ROUNDING_WORDS)}, pruneN (the smallest N %% of the blocks' weights left "
        f"out), or two with a plus, such as prune50+int8 (default {','.join(USUAL_WAYS)})"
    )
    add("--ways", type=names, default=[*USUAL_WAYS], metavar="LIST", help=ways)
    files = "text that every model reads, .txt or any format of a corpus; may be given again (default: a study's own validation text)"
    add("--text", type=given("--text"), metavar="FILE", action="append", help=files)
    most = "how much of --text is read (default %(default)s)"
    add("--text-bytes", type=positive, default=TEXT_BYTES, metavar="N", help=most)
    more = "train a study's trials on for so many tokens where a way leaves weights out, which stay 0 (default: not at all)"
    add("--retrain", type=positive, metavar="TOKENS", help=more)
    add_tasks(parser, is_required=False)
    equal = (
        "in place of one trial of each study, of each kind of shape in each way the best trial that takes so many bytes at most and at "
        "least nine tenths of them, judged on the test split"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--stored-bytes", type=positive, metavar="N", help=equal)
    which.add_argument("--trial", type=counted(10**9, least=0), metavar="N", help="of a study's directory, the trial of that number")
    pick = f"of a study's directory, a member of the front as for export (default {USUAL_PICK})"
    which.add_argument("--pick", metavar="WORD", help=pick)
    add_json(parser, "print a JSON list with an object for each model in each way")


def compare_models(options: argparse.Namespace) -> int:
    """Round and prune models, and say what that costs on text and on tasks, and what it saves in bytes, with intervals."""
    require_a_study(options)
    named = [read_way(name) for name in options.ways]
    paths = [Path(path) for path in options.models]
    if options.stored_bytes is not None and not is_study(paths[0]):
        raise SpecError(f"--stored-bytes must go with a study's directory, found {paths[0]}, which has no records.jsonl; leave it out")
    if options.text is None and options.tasks is None and not is_study(paths[0]):
        raise SpecError("a comparison must have something to read, found neither --text nor --tasks; name a file of one of them")
    if (options.data is not None or options.limit is not None) and options.tasks is None:
        raise SpecError("--data and --limit must go with --tasks, found none; name a task, or leave them out")
    if options.retrain is not None and not any(is_study(path) and any(each.left_out for each in named) for path in paths):
        raise SpecError(
            "--retrain must go with a study's directory and a way such as prune50, found no such pair; name both, or leave it out"
        )
    from trials.tasks.task_files import read_tasks

    data = None if options.data is None else Path(options.data)
    tasks = [] if options.tasks is None else read_tasks(options.tasks, data, options.limit)
    require_models(options.models)
    from analysis.terminal.comparison_text import comparison_text
    from trials.comparison.compare import compare
    from trials.rounding.ways import way_of

    rows = []
    try:
        for row in compare(_candidates(paths, [way_of(each) for each in named], options), tasks):
            say(f"archfront: {row.model}, {row.way}")
            rows.append(row)
    finally:  # rows that were found before something failed may have taken hours
        if rows and options.json:
            emit([asdict(row) for row in rows])
        elif rows:
            print(at_width(comparison_text(rows, width := output_width()), width, indent=2))
    return DONE


def _candidates(paths: list[Path], ways: list[Way], options: argparse.Namespace) -> Iterator[Candidate]:
    """Every model with its ways and with what it reads, one at a time in memory."""
    from trials.comparison.candidates import ReadFiles, ReadStudy, at_equal_bytes, fitting, is_of_text, mending_of
    from trials.comparison.compare import Candidate
    from trials.models.load_model import load_model
    from trials.reporting.stored_study import read_study

    files = None if options.text is None else [Path(file) for file in options.text]
    reads: ReadFiles | ReadStudy | None = None if files is None else ReadFiles.of(files, options.text_bytes)
    studies = {path: read_study(path) for path in paths if is_study(path)}
    wanted, first = options.stored_bytes, studies.get(paths[0])
    equal = [] if wanted is None else at_equal_bytes(list(studies.values()), ways, wanted, WITHIN)
    for place, path in enumerate(paths):
        if path not in studies:
            model = load_model(path)
            yield Candidate(model, ways if wanted is None else fitting(model, ways, wanted, WITHIN), reads, trained_here=False)
            continue
        stored = studies[path]
        asked = [(stored, asked_trial(stored, options), ways)] if wanted is None else []
        chosen = asked or (equal if place == 0 else [])
        for stored, record, some in chosen:
            model = trial_model(stored, record)
            if reads is None and first is not None:
                reads = ReadStudy.of(first, "validation" if wanted is None else "test", model)
            more = None if options.retrain is None else mending_of(stored, record, options.retrain)
            yield Candidate(model, some, reads, is_of_text(record, first), more)
