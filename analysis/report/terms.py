"""What the words of a page or a terminal mean: the glossary with the objectives, health checks and parts of a label, found in texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

from analysis.objectives.registry import explained_objectives, find_objective, task_of, validation_set_of
from analysis.records.health_checks import HEALTH_CHECKS
from analysis.text.glossary import COLUMNS, HEADINGS, TERMS, Entry
from search_space.errors import SpecError
from search_space.label import example_words, read_label


@cache
def objective_entries() -> tuple[Entry, ...]:
    """Every objective: its name in a study, what it is, and how headings say it."""
    said = ((objective, objective.words) for objective in explained_objectives())
    return tuple(Entry(objective.name, words.meaning, tuple(filter(None, (words.label, words.short)))) for objective, words in said)


@cache
def label_entries() -> tuple[Entry, ...]:
    """Every part of a shape's label, by the words of an example."""
    return tuple(Entry(words, f"In a shape's label: {meaning}.") for words, meaning in example_words())


@cache
def check_entries() -> tuple[Entry, ...]:
    """Every health check: what is measured, and what it means where it fails."""
    return tuple(Entry(check.name, f"Health check of {check.measure}; fails {check.rule}. {check.meaning}") for check in HEALTH_CHECKS)


def groups() -> dict[str, tuple[Entry, ...]]:
    """Every entry, by what it explains."""
    return {
        "Terms": TERMS,
        "Objectives": objective_entries(),
        "The label of a shape": label_entries(),
        "Health checks": check_entries(),
        "Columns": COLUMNS,
        "Sections of a page": HEADINGS,
    }


def meanings(heading: str) -> list[Entry]:
    """What explains a heading, by the words that it is made of, as `latency after, ms`; nothing where a word of it has no entry."""
    known = _by_spelling()
    if heading.casefold() in known:
        return known[heading.casefold()]
    if validation_set_of(heading) or task_of(heading):
        return [Entry(heading, find_objective(heading).words.meaning)]
    found = [entry for word in _pattern().findall(heading) for entry in known[word.casefold()]]
    return [] if re.search(r"\w", _pattern().sub("", heading)) else found


def hover(heading: str) -> dict[str, str]:
    """The attribute of an element that shows what its heading means; empty where that is not known."""
    found = meanings(heading)
    return {"title": " ".join(entry.text for entry in found).replace("`", "")} if found else {}


def spelled_terms() -> dict[str, str]:
    """What each term and objective means, by every way in which it is written, for a script that finds them in sentences."""
    return {word: entry.text.replace("`", "") for entry in (*objective_entries(), *TERMS) for word in entry.spelled}


def meanings_on_page(text: str, headings: Iterable[str], labels: Iterable[str]) -> dict[str, str]:
    """Meanings by word of what a page uses: terms of its text, what its headings are made of, and each part of its shapes' labels once."""
    known = _by_spelling()
    found = [entry for word in _pattern().findall(text) for entry in known[word.casefold()] if entry in TERMS]
    found += [entry for heading in headings for entry in meanings(heading)]
    by_name = {entry.name: entry.text for entry in sorted(found, key=lambda entry: entry.name.casefold())}
    parts: dict[str, tuple[str, str]] = {}
    for label in labels:
        with suppress(SpecError):  # other code than a label
            parts = read_label(label) | parts
    return by_name | {words: f"In a shape's label: {meaning}." for words, meaning in parts.values()}


@cache
def _by_spelling() -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entries in groups().values():
        for entry in entries:
            for word in {spelling.casefold() for spelling in entry.spelled}:
                found.setdefault(word, []).append(entry)
    return found


@cache
def _pattern() -> re.Pattern[str]:
    """Any word that has an entry, the longest first; headings of sections are found whole or not at all."""
    headings = {entry.name.casefold() for entry in HEADINGS}
    words = sorted((word for word in _by_spelling() if word not in headings), key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, words))})(?![\w-])", re.IGNORECASE)
