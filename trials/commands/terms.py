"""The verb that says what a word of a page or a terminal means."""

from __future__ import annotations

import argparse
import re

from trials.commands.talk import DONE


def add_explain_arguments(parser: argparse.ArgumentParser) -> None:
    """What `explain` reads."""
    text = "a term, an objective, a column's heading, a shape's label, study.KEY or record.FIELD; all terms by name where absent"
    parser.add_argument("words", nargs="*", metavar="WORD", help=text)


def explain(options: argparse.Namespace) -> int:
    """Say what a term, a shape's label, a study's key (study.proxy.tokens) or a record's field (record.wall_seconds) means."""
    from analysis.report.terms import groups, meanings
    from search_space.errors import unknown_key
    from search_space.label import read_label

    asked = " ".join(options.words)
    kind, _, path = asked.partition(".")
    if path and kind in ("study", "record"):
        print("\n".join(_key(path) if kind == "study" else _field(path)))
        return DONE
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


UNITS = {"_ms": "milliseconds", "seconds": "seconds", "bytes": "bytes", "tokens": "tokens", "_flops": "FLOPs", "parameters": "parameters"}
"""Unit of what ends so."""


def _key(path: str) -> list[str]:
    """What a key of a study takes, its unit, default and meaning; for a section the keys in it."""
    from search_space.errors import unknown_key
    from trials.study.explained import study_keys

    keys = study_keys()
    if path not in keys:
        raise unknown_key(f"study.{path}", path, keys)
    kind, default, text = keys[path]
    inner = [name for name in keys if name.startswith(f"{path}.")]
    facts = [f"study.{path}: {text}", f"takes    {kind}{_unit(path)}", *([f"default  {default}"] if default else [])]
    return [*facts, *([f"keys     {', '.join(inner)}"] if inner else [])]


def _field(path: str) -> list[str]:
    """Type, unit and meaning of every field of a record that has this name, with or without its class."""
    from analysis.records.explained import record_fields
    from search_space.errors import unknown_key

    fields = record_fields()
    name = path.rpartition(".")[2]
    found = {key: told for key, told in fields.items() if key.casefold() == path.casefold()}
    found = found or {key: told for key, told in fields.items() if key.rpartition(".")[2] == name}
    if not found:
        raise unknown_key(f"record.{path}", name, {key.rpartition(".")[2] for key in fields})
    return [f"{key}: {text or 'see its type.'} ({kind}{_unit(key)})" for key, (kind, text) in found.items()]


def _unit(name: str) -> str:
    return next((f", in {unit}" for ending, unit in UNITS.items() if name.endswith(ending)), "")
