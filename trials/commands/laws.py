"""The verb on scaling laws."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.laws.options import options_from
from search_space.errors import SpecError
from trials.commands.talk import DONE, emit, say

if TYPE_CHECKING:
    from analysis.laws.options import FitOptions
    from analysis.laws.runs import Runs


def fit(options: argparse.Namespace) -> int:
    """Fit a scaling law to a table of runs, or to studies' records, and print it with its intervals and its backtest."""
    from analysis.laws.answer import answer_runs
    from analysis.report.terminal import answer_text

    paths, asked = [Path(runs) for runs in options.runs], options_from(vars(options))
    answered = answer_runs(read_runs(paths, asked), asked)
    if options.json:
        emit(answered.answer)
    else:
        print(answer_text(answered.answer))
    if options.html is not None:
        from analysis.report.law_page import fit_page, write_page

        name = " and ".join(path.resolve().name for path in paths)
        say(f"\npage     {write_page(Path(options.html), fit_page(name, answered))}")
    return DONE


def read_runs(paths: list[Path], asked: FitOptions) -> Runs:
    """The runs of a table or of a study, or those of several studies together."""
    from analysis.laws.fit_law import load_runs
    from trials.reporting.pooled_studies import runs_of_studies

    if len(paths) == 1:
        return load_runs(paths[0], asked)
    tables = [path for path in paths if not path.is_dir()]
    if tables:
        raise SpecError(f"runs that are fitted together must be studies' directories, found {tables[0]}; fit a table alone")
    return runs_of_studies(paths, "parameters" if asked.columns.params == "params" else asked.columns.params)
