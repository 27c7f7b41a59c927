"""The verb that says what a word of a page or a terminal means."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from trials.commands.talk import DONE, at_width, output_width

if TYPE_CHECKING:
    from analysis.text.glossary import Entry


def add_explain_arguments(parser: argparse.ArgumentParser) -> None:
    """What `explain` reads."""
    text = (
        "a term, an objective, a column's heading, a shape's label, study.KEY, recipe.KEY of a recipe's file for train, record.FIELD, or "
        "result.FIELD of what evaluate, compare, judge, tune and train give as JSON; all terms by name where absent"
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help=text)


def explain(options: argparse.Namespace) -> int:
    """Say what a term, a shape's label, a key (study.proxy.tokens, recipe.steps) or a field (record.wall_seconds, result.way) means."""
    from analysis.report.terms import groups, meanings
    from search_space.errors import unknown_key
    from search_space.label import read_label

    asked = " ".join(options.words)
    kind, _, path = asked.partition(".")
    if path and (say_of := {"study": _study_key, "recipe": _recipe_key, "record": _record_field, "result": _result_field}.get(kind)):
        print(at_width("\n".join(say_of(path)), output_width(), indent=9))
        return DONE
    found = meanings(asked) or _way(asked)
    if not asked:
        for title, entries in groups().items():
            print(at_width(f"{title}: {'; '.join(entry.name for entry in entries)}", output_width(), indent=2))
    elif found:
        print(at_width("\n".join(f"{entry.name}: {entry.text}" for entry in found), output_width(), indent=2))
    elif re.match(r"\d+x\d+", asked):
        said = "\n".join(f"{words:<16} {meaning}" for words, meaning in read_label(asked).values())
        print(at_width(said, output_width(), indent=17))
    else:
        known = [word for entries in groups().values() for entry in entries for word in entry.spelled]
        raise unknown_key(f"the term {asked}", asked, known)
    return DONE


def _way(asked: str) -> list[Entry]:
    """What the words of a way of `compare` mean, such as `prune30+onnxruntime-int8`; nothing where one of them is none."""
    from analysis.report.terms import meanings
    from analysis.text.glossary import Entry
    from trials.catalogue.ways import PRUNE_WORD, ROUNDING_WORDS

    found: list[Entry] = []
    for word in asked.split("+"):
        known = meanings("prune50" if PRUNE_WORD.fullmatch(word) else word)
        if (rounding := ROUNDING_WORDS.get(word)) is not None and not known:
            known = [Entry(word, f"Weights and activations as {rounding[0]} rounds them to {rounding[1]}.")]
        if not known:
            return []
        found += known
    return found


UNITS = {"_ms": "milliseconds", "seconds": "seconds", "bytes": "bytes", "tokens": "tokens", "_flops": "FLOPs", "parameters": "parameters"}
"""Unit of what ends so."""


def _study_key(path: str) -> list[str]:
    from trials.study.explained import study_keys

    return _key("study", path, study_keys())


def _recipe_key(path: str) -> list[str]:
    """The lines on a key of a recipe's file, which has those of a study's `proxy` and a few beside them."""
    from trials.pretraining.recipes import OF_A_RECIPE
    from trials.study.explained import study_keys

    proxy = {name.removeprefix("proxy."): told for name, told in study_keys().items() if name.startswith("proxy.")}
    return _key("recipe", path, {**proxy, **{name: (kind, "none", text) for name, (kind, text) in OF_A_RECIPE.items()}})


def _key(kind_of_file: str, path: str, keys: Mapping[str, tuple[str, str, str]]) -> list[str]:
    """What a key of a file takes, its unit, default and meaning; for a section the keys in it."""
    from search_space.errors import unknown_key

    if path not in keys:
        raise unknown_key(f"{kind_of_file}.{path}", path, keys)
    kind, default, text = keys[path]
    inner = [name for name in keys if name.startswith(f"{path}.")]
    facts = [f"{kind_of_file}.{path}: {text}", f"takes    {kind}{_unit(path)}", *([f"default  {default}"] if default else [])]
    return [*facts, *([f"keys     {', '.join(inner)}"] if inner else [])]


def _record_field(path: str) -> list[str]:
    from analysis.records.explained import record_fields

    return _field("record", path, record_fields())


def _result_field(path: str) -> list[str]:
    return _field("result", path, result_fields())


def result_fields() -> dict[str, tuple[str, str]]:
    """Type and meaning of each field of what is printed as JSON after a search, by its class and its name."""
    from analysis.records.explained import fields_of_classes
    from analysis.tasks.api_calling import ApiScores, PublishedScores
    from analysis.tasks.comparison import ComparedModel, TextEstimate
    from analysis.tasks.pairwise import Preference
    from analysis.tasks.published import PublishedFigure
    from analysis.tasks.task_result import Estimate, HarnessFigure, TaskResult
    from trials.pretraining.statement import Statement

    asked = (TaskResult, Estimate, HarnessFigure, PublishedFigure)
    return fields_of_classes([*asked, ComparedModel, TextEstimate, Preference, ApiScores, PublishedScores, Statement])


def _field(kind_of_file: str, path: str, fields: Mapping[str, tuple[str, str]]) -> list[str]:
    """Type, unit and meaning of every field that has this name, with or without its class."""
    from search_space.errors import unknown_key

    name = path.rpartition(".")[2]
    found = {key: told for key, told in fields.items() if key.casefold() == path.casefold()}
    found = found or {key: told for key, told in fields.items() if key.rpartition(".")[2] == name}
    if not found:
        raise unknown_key(f"{kind_of_file}.{path}", name, {key.rpartition(".")[2] for key in fields})
    return [f"{key}: {text or 'see its type.'} ({kind}{_unit(key)})" for key, (kind, text) in found.items()]


def _unit(name: str) -> str:
    return next((f", in {unit}" for ending, unit in UNITS.items() if name.endswith(ending)), "")
