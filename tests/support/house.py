"""The house as data: its folders from the front door down, and which file imports which."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOOR = "archfront.py"
FLOORS: tuple[tuple[str, ...], ...] = (
    (DOOR,),
    ("trials/commands",),
    ("trials/pretraining",),
    ("trials/comparison", "trials/driver", "trials/export", "trials/jobs"),
    ("trials/tracking",),
    ("trials/reporting",),
    ("trials/cluster", "trials/experiments", "trials/plans", "trials/progress"),
    ("trials/search",),
    ("trials/trial", "trials/latency"),
    ("trials/latency/runtimes", "trials/tuning"),
    ("trials/models",),
    ("trials/training", "trials/formats"),
    ("trials/corpus", "trials/machine", "trials/rounding"),
    ("trials/study", "trials/tasks"),
    ("trials/network", "trials/catalogue", "trials"),
    ("analysis/law_report", "analysis/terminal"),
    ("analysis/report",),
    ("analysis/fidelity", "analysis/search"),
    ("analysis/fronts", "analysis/laws"),
    ("analysis/objectives",),
    ("analysis/latency", "analysis/text", "analysis/tasks"),
    ("analysis/tables",),
    ("analysis/records", "analysis/statistics", "analysis"),
    ("search_space",),
)
"""Folders from top to bottom. What stands on a floor may import from the floors below, and from its own folder."""
MOST_FILES = 20
"""In one folder, beside its `__init__`."""

Graph = Mapping[str, Iterable[str]]
"""File -> the files that it imports, by their paths from the root."""


def files() -> list[str]:
    """Every file of the product."""
    return [
        DOOR,
        *(
            path.relative_to(ROOT).as_posix()
            for top in ("trials", "analysis", "search_space")
            for path in sorted((ROOT / top).rglob("*.py"))
        ),
    ]


def folder(file: str) -> str:
    """The folder of a file; the door is its own."""
    return file.rpartition("/")[0] or file


def imported(file: str) -> set[str]:
    """Every module that a file imports, at its top, inside functions and for types; `a.b.c` of `from a.b import c` too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def graph() -> dict[str, set[str]]:
    """The imports between the files of the product; a package that is named only for a module in it does not count."""
    modules = {file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): file for file in files()}
    found = {}
    for file in files():
        names = imported(file) & modules.keys()
        packages = {name for name in names if any(other.startswith(f"{name}.") for other in names)}
        found[file] = {modules[name] for name in names - packages} - {file}
    return found


def upward(imports: Graph) -> list[str]:
    """A sentence for each import from a folder that does not stand below, the two named."""
    level = {name: floor for floor, names in enumerate(FLOORS) for name in names}
    return [
        f"{file} imports {other}, and {folder(other)} does not stand below {folder(file)}"
        for file, others in imports.items()
        for other in sorted(others)
        if folder(file) != folder(other) and level[folder(file)] >= level[folder(other)]
    ]


def circle(imports: Graph) -> str | None:
    """One circle of files as `a -> b -> a`; None where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return " -> ".join(reversed(error.args[1]))
    return None


def crowded(paths: Iterable[str]) -> list[str]:
    """A sentence for each folder with too many files."""
    counts: dict[str, int] = {}
    for path in paths:
        if not path.endswith("__init__.py"):
            counts[folder(path)] = counts.get(folder(path), 0) + 1
    return [f"{name} has {count} files; {MOST_FILES} are the most" for name, count in sorted(counts.items()) if count > MOST_FILES]
