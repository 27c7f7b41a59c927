"""The database in a study's directory: what is wrong with one, and what is done with it, since records can write it once more."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from analysis.records.files import free_name
from search_space.errors import SpecError, shortened_path

TABLES = {"experiments", "runs", "metrics", "params", "tags", "alembic_version"}
"""Tables that every database of MLflow has."""
LONGEST_DATABASE_BYTES = 503
"""Longest whole path of a database: SQLite opens 504, and ours is made under a name of one letter more (docs/findings.md, 2026-12-01: files
changed at random, and studies under odd names)."""


def require_short(database: Path, cure: str) -> None:
    """Raise SpecError where a database has a path longer than SQLite opens, links followed as it follows them."""
    found = len(os.fsencode(database.resolve()))
    if found > LONGEST_DATABASE_BYTES:
        raise SpecError(
            f"the path of a SQLite database must have at most {LONGEST_DATABASE_BYTES} bytes, found {found} in "
            f"{shortened_path(database)}; {cure}"
        )


def damage(database: Path) -> str | None:
    """What keeps a file from being a database of MLflow's, in words; None where nothing does, or nothing is there."""
    if not database.exists():
        return None
    if not database.is_file():
        return "it is no file"
    if database.stat().st_size == 0:
        return "it is empty"
    try:
        with closing(sqlite3.connect(database, timeout=60)) as opened:
            there = {name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            missing = sorted(TABLES - there)
            if missing:
                return f"it has no table {missing[0]}"
            (found,) = opened.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:  # locked, say: it is there, and MLflow says what it thinks of it
        return None
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else "its pages are damaged"


def set_aside(database: Path) -> str | None:
    """Move a file that is no database of MLflow's out of the way; a sentence where that was done, None where there is no need."""
    found = damage(database)
    if found is None:
        return None
    aside = free_name(database.with_name(f"{database.name}.damaged"))
    database.rename(aside)
    for suffix in ("-journal", "-wal", "-shm"):  # of the one that was moved: SQLite would apply them to the next
        beside = database.with_name(database.name + suffix)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + suffix))
    return f"{database} was no database of MLflow's ({found}); it is {aside.name} now, and the runs are written once more from the records"
