"""What the words of a page or a terminal mean: the glossary with the objectives, health checks and parts of a label, found in texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

from analysis.objectives.registry import explained_objectives, find_objective, task_of, validation_set_of
from analysis.records.health_checks import HEALTH_CHECKS
from analysis.text.glossary import COLUMNS, HEADINGS, TERMS, Entry
from analysis.text.winner_words import WINNER_COLUMNS, WINNER_TERMS
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
    return {**page_groups(), "After a search": WINNER_TERMS, "Columns after a search": WINNER_COLUMNS}


def page_groups() -> dict[str, tuple[Entry, ...]]:
    """The entries of what stands on pages, where a word of what comes after a search may mean something else."""
    return {
        "Terms": TERMS,
        "Objectives": objective_entries(),
        "The label of a shape": label_entries(),
        "Health checks": check_entries(),
        "Columns": COLUMNS,
        "Sections of a page": HEADINGS,
    }


def meanings(heading: str, *, on_page: bool = False) -> list[Entry]:
    """What explains a heading, by the words that it is made of, as `latency after, ms`; nothing where a word of it has no entry.

    With `on_page` by the entries of pages alone.
    """
    known, pattern = _by_spelling(on_page), _pattern(on_page)
    if heading.casefold() in known:
        alike = known[heading.casefold()]
        return [entry for entry in alike if heading in entry.spelled] or alike  # `Question` and `question` are two headings
    if validation_set_of(heading) or task_of(heading):
        return [Entry(heading, find_objective(heading).words.meaning)]
    found = [entry for word in pattern.findall(heading) for entry in known[word.casefold()]]
    return [] if re.search(r"\w", pattern.sub("", heading)) else found


def hover(heading: str) -> dict[str, str]:
    """The attribute of an element that shows what its heading means; empty where that is not known."""
    found = meanings(heading, on_page=True)
    return {"title": " ".join(entry.text for entry in found).replace("`", "")} if found else {}


def spelled_terms() -> dict[str, str]:
    """What each term and objective means, by every way in which it is written, for a script that finds them in sentences."""
    return {word: entry.text.replace("`", "") for entry in (*objective_entries(), *TERMS) for word in entry.spelled}


def meanings_on_page(text: str, headings: Iterable[str], labels: Iterable[str]) -> dict[str, str]:
    """Meanings by word of what a page uses: terms of its text, what its headings are made of, and each part of its shapes' labels once."""
    known = _by_spelling(on_page=True)
    found = [entry for word in _pattern(on_page=True).findall(text) for entry in known[word.casefold()] if entry in TERMS]
    found += [entry for heading in headings for entry in meanings(heading, on_page=True)]
    by_name = {entry.name: entry.text for entry in sorted(found, key=lambda entry: entry.name.casefold())}
    parts: dict[str, tuple[str, str]] = {}
    for label in labels:
        with suppress(SpecError):  # other code than a label
            parts = read_label(label) | parts
    return by_name | {words: f"In a shape's label: {meaning}." for words, meaning in parts.values()}


@cache
def _by_spelling(on_page: bool) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entries in (page_groups() if on_page else groups()).values():
        for entry in entries:
            for word in {spelling.casefold() for spelling in entry.spelled}:
                found.setdefault(word, []).append(entry)
    return found


@cache
def _pattern(on_page: bool) -> re.Pattern[str]:
    """Any word that has an entry, the longest first; headings of sections are found whole or not at all."""
    headings = {entry.name.casefold() for entry in HEADINGS}
    words = sorted((word for word in _by_spelling(on_page) if word not in headings), key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, words))})(?![\w-])", re.IGNORECASE)
