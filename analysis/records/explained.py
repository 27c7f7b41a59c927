"""What a field of a record is, read from the docstring that stands under it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from types import ModuleType

from analysis.records import latency, record, training

MODULES: tuple[ModuleType, ...] = (record, training, latency)


@cache
def record_fields() -> dict[str, tuple[str, str]]:
    """Type and meaning of each field of each part of a record, by its class and its name, such as `Training.tokens`."""
    return {f"{node.name}.{name}": told for module in MODULES for node in _classes(module) for name, told in fields_of(node)}


def fields_of_classes(classes: Iterable[type]) -> dict[str, tuple[str, str]]:
    """Type and meaning of each field of these, by class and name; each stands at the top of its module."""
    nodes = (node for each in classes for node in ast.parse(inspect.getsource(each)).body if isinstance(node, ast.ClassDef))
    return {f"{node.name}.{name}": told for node in nodes for name, told in fields_of(node)}


def fields_of(node: ast.ClassDef) -> Iterator[tuple[str, tuple[str, str]]]:
    """Name, type and meaning of the fields of a class, or of the members of an enumeration."""
    for place, item in enumerate(node.body):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            name, kind = item.target.id, ast.unparse(item.annotation)
        elif isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            name, kind = item.targets[0].id, ast.unparse(item.value)
        else:
            continue
        after = node.body[place + 1] if place + 1 < len(node.body) else None
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
        text = after.value.value if is_text and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
        yield name, (kind, " ".join(str(text).split()))


def _classes(module: ModuleType) -> list[ast.ClassDef]:
    return [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ClassDef)]
