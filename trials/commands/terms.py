"""The verb that says what a word of a page or a terminal means."""

from __future__ import annotations

import argparse
import re

from trials.commands.talk import DONE


def add_explain_arguments(parser: argparse.ArgumentParser) -> None:
    """What `explain` reads."""
    text = "a term, an objective, a column's heading or a shape's label as it is shown; all terms by name where absent"
    parser.add_argument("words", nargs="*", metavar="WORD", help=text)


def explain(options: argparse.Namespace) -> int:
    """Say what a term, an objective or a shape's label means."""
    from analysis.report.terms import groups, meanings
    from search_space.errors import unknown_key
    from search_space.label import read_label

    asked = " ".join(options.words)
    found = meanings(asked)
    if not asked:
        for title, entries in groups().items():
            print(f"{title}: {'; '.join(entry.name for entry in entries)}")
    elif found:
        print("\n".join(f"{entry.name}: {entry.text}" for entry in found))
    elif re.match(r"\d+x\d+", asked):
        print("\n".join(f"{words:<16} {meaning}" for words, meaning in read_label(asked).values()))
    else:
        known = [word for entries in groups().values() for entry in entries for word in entry.spelled]
        raise unknown_key(f"the term {asked}", asked, known)
    return DONE
