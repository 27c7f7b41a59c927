"""A YAML or JSON file of a person's: its values, or one sentence that says why it has none."""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from search_space.errors import SpecError


class _Loader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; here the second is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"`{key.value}` stands there twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, missing: str, wrong: str) -> Any:
    """The values in a file, of YAML's own types only; a file whose name ends in .json is JSON and nothing else.

    Raises SpecError where it is not a file, with `missing` as the cure, or not YAML or JSON, with `wrong` as the cure.
    """
    if not path.is_file():
        raise SpecError(f"{path} is not a file; {missing}")
    try:
        text = path.read_text(encoding="utf-8")
        return _read_json(path, text, wrong) if path.suffix == ".json" else yaml.load(text, Loader=_Loader)
    except OSError as error:
        raise SpecError(f"{path} must be readable, found: {error.strerror}; check its permissions") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} cannot be read as YAML{_place(error)}; {wrong}") from None


def _read_json(path: Path, text: str, wrong: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_each_once)
    except json.JSONDecodeError as error:
        found = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except ValueError as error:
        found = str(error)
    except RecursionError:
        found = "brackets within brackets without end"
    raise SpecError(f"{path} cannot be read as JSON ({found}); {wrong}")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Values by their keys; `json` would keep the last of two equal keys without a word."""
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"`{key}` stands there twice")
        values[key] = value
    return values


def _place(error: Exception) -> str:
    """Line and problem, where they are known."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return ""
    return f" (line {error.problem_mark.line + 1}: {error.problem})"
