"""Every verb of the command line has its help, its row in the table and one function that does the work."""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import archfront
from trials import commands
from trials.commands.verbs import VERBS, parser


def levels(made: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every parser: of the door itself, of each verb, and of each group with the verbs under it."""
    yield words
    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from levels(inner, (*words, word))


def test_every_verb_stands_in_the_parser_under_its_own_words() -> None:
    words = {" ".join(level) for level in levels(parser())}
    assert words == {"", *VERBS, *(name.rpartition(" ")[0] for name in VERBS)}
    assert all(verb.sentence.endswith(".") for verb in VERBS.values()), "a verb's docstring is its help: write one"


@pytest.mark.parametrize("words", [*levels(parser())], ids=lambda words: " ".join(words) or "archfront")
def test_help_is_printed(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        archfront.main([*words, "--help"])
    printed = capsys.readouterr().out
    assert ended.value.code == 0
    assert printed.startswith(" ".join(["usage: archfront", *words]))
    assert "%(" not in printed
    assert "%%" not in printed


def test_no_verb_was_left_out_of_the_table() -> None:
    """Each function of `trials.commands` that takes the options alone and returns an exit code is a verb."""
    found = set()
    for module in pkgutil.iter_modules(commands.__path__):
        for name, function in inspect.getmembers(importlib.import_module(f"{commands.__name__}.{module.name}"), inspect.isfunction):
            signature = inspect.signature(function)
            takes = [str(parameter.annotation) for parameter in signature.parameters.values()]
            if not name.startswith("_") and takes == ["argparse.Namespace"] and signature.return_annotation == "int":
                found.add(function)
    assert found == {verb.run for verb in VERBS.values()}, "give the verb a row in trials/commands/verbs.py"
