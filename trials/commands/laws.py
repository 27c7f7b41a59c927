"""The verb on scaling laws."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.laws.options import CHECKPOINT_ROWS, FORMS, LOSS_FUNCTIONS, VARIABLES, options_from
from search_space.errors import SpecError
from trials.commands.arguments import add_json, counted, seed
from trials.commands.paths import Use, given
from trials.commands.talk import DONE, emit, say

if TYPE_CHECKING:
    from analysis.laws.options import FitOptions
    from analysis.laws.runs import Runs


def add_fit_arguments(parser: argparse.ArgumentParser) -> None:
    """What `fit` reads; what is not given is None and takes its default in `options_from`."""
    add = parser.add_argument
    add(
        "runs",
        nargs="+",
        type=given("RUNS.csv|DIR"),
        metavar="RUNS.csv|DIR",
        help="a table with a row for each run, or a study's directory; several directories are fitted together where their recipe is one",
    )
    add("--params", metavar="COLUMN", help="parameters N, as you count them; of a study: non_embedding_parameters and the like")
    add("--tokens", metavar="COLUMN", help="training tokens D")
    add("--loss", metavar="COLUMN", help="loss, nats per token")
    add("--perplexity", action="store_true", default=None, help="that column holds perplexities: their logarithms are fitted")
    add("--flops", metavar="COLUMN", help="training FLOPs; 6 N D where there are none")
    add("--width", metavar="COLUMN", help="hidden size, for --form shape (default: by its heading)")
    add("--depth", metavar="COLUMN", help="blocks stored, for --form shape (default: by its heading)")
    add(
        "--executed-depth",
        metavar="COLUMN",
        help="blocks executed, where blocks are shared (default: by its heading, or `repeats`)",
    )
    add("--group", metavar="COLUMN", help="tells trainings of one size apart (a seed, a name): rows of one are resampled together")
    add("--accuracy", metavar="COLUMN", help="accuracy on a task, 0 to 1: its curve over the loss is fitted and predicted, too")
    add("--exclude", metavar="COLUMN", help="rows that say true here are left out (default: excluded, where there is one)")
    add("--effect", metavar="COLUMN", action="append", dest="effects", help="does it matter at equal N? may be repeated")
    add("--form", choices=FORMS, help="the law (default: chinchilla)")
    add("--against", choices=VARIABLES, help="variable of the power forms (default: flops)")
    add("--loss-function", choices=LOSS_FUNCTIONS, help="huber: delta 1e-3 on log loss; lad: least absolute deviations")
    add("--checkpoints", choices=CHECKPOINT_ROWS, help="rows that enter: all, the last of each training, or the lower hull against FLOPs")
    add("--predict", metavar="N,D", action="append", help="predict the loss there, with a 90 %% band; may be repeated")
    add("--far", action="store_true", help="predict far outside the runs, too")
    add("--refits", type=counted(10**6), metavar="COUNT", help="refits behind every interval (default: 4000)")
    add("--html", type=given("--html", Use.PAGE), metavar="FILE", help="write a page with pictures and tables that opens without a network")
    add("--seed", type=seed, help="of the refits (default: 0); the same seed gives the same bits")
    add_json(parser)


def fit(options: argparse.Namespace) -> int:
    """Fit a scaling law to runs, with intervals and a backtest."""
    paths, asked = [Path(runs) for runs in options.runs], options_from(vars(options))
    runs = runs_from(paths, asked)  # before what is heavy is imported

    from analysis.law_report.law_text import fit_text
    from analysis.laws.fit_result import fit_runs

    answered = fit_runs(runs, asked)
    if options.json:
        emit(answered.data)
    else:
        print(fit_text(answered.data))
    if options.html is not None:
        from analysis.law_report.law_page import fit_page, write_page

        name = " and ".join(path.resolve().name for path in paths)
        say(f"\npage     {write_page(Path(options.html), fit_page(name, answered))}")
    return DONE


def runs_from(paths: list[Path], asked: FitOptions) -> Runs:
    """The runs of a table or of a study, or those of several studies together."""
    if len(paths) == 1:
        from analysis.laws.fit_law import load_runs

        return load_runs(paths[0], asked)
    tables = [path for path in paths if not path.is_dir()]
    if tables:
        raise SpecError(f"runs that are fitted together must be studies' directories, found {tables[0]}; fit a table alone")
    from trials.reporting.pooled_studies import runs_of_studies

    return runs_of_studies(paths, asked.columns.params or "parameters")
