"""What each key of a study takes, its default and its meaning, read from the schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from trials.study.section import OneOf
from trials.study.spec import StudySpec

BOOLEAN = "`true` or `false`"


@cache
def study_keys() -> dict[str, tuple[str, str, str]]:
    """What each key takes, its default and its meaning, by its dotted path; the default of a key that must be given is `required`."""
    found = {}
    for path, model in study_sections("", StudySpec):
        for name, field in model.model_fields.items():
            nested = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
            text = " ".join((field.description or (field.annotation.__doc__ if nested else "") or "").split())
            default = "required" if field.is_required() else default_text(field.get_default(call_default_factory=True, validated_data={}))
            kind = "section" if nested else kind_text(field.annotation, field.metadata)
            found[f"{path}.{name}".strip(".")] = (kind, "" if nested else default, text)
    return found


def study_sections(path: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """A section and those within it, each with its dotted path."""
    yield path, model
    for name, field in model.model_fields.items():
        inner = _section_of(field.annotation)
        if inner is not None:
            within = ".NAME" if "dict[" in str(field.annotation) else ""
            yield from study_sections(f"{path}.{name}{within}".strip("."), inner)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field is, may be, or is a mapping to."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_of(part)) is not None), None)


def default_text(value: Any) -> str:
    """A default as a person would write it in YAML; `none` where there is none."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value in ({}, ()) or value is PydanticUndefined:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def kind_text(annotation: Any, metadata: list[Any]) -> str:
    """What a key takes, in words."""
    text = str(annotation.__name__ if isinstance(annotation, type) and not hasattr(annotation, "__args__") else annotation)
    text += "".join(str(part) for part in metadata if isinstance(part, OneOf))
    if text.startswith("dict["):
        return "mapping"
    if "Spec |" in text:
        return "section"
    literal = re.search(r"Literal\[(.*?)\]", text) or re.search(r"OneOf\(names=\((.*?)\)\)", text)
    if literal:
        others = [
            name
            for kind, name in (("int", "whole number"), ("bool", BOOLEAN), ("_class_path", "`MODULE:CLASS`"))
            if kind in text.replace(literal[0], "")
        ]
        return " or ".join([*(f"`{word.strip()[1:-1]}`" for word in literal[1].split(",")), *others])
    if "tuple[" in text and "Spec, ...]" in text:
        return "list of sections"
    text = re.sub(r"typing\.Annotated\[(\w+),.*\]", r"\1", text)
    if "tuple[" in text and "int" in text:
        return "list of whole numbers"
    if "tuple[" in text and "float" in text:
        return "list of numbers"
    names = {"int": "whole number", "bool": BOOLEAN, "float": "number", "str": "text", "tuple[str, ...]": "list of text"}
    return next((names[name] for name in sorted(names, key=len, reverse=True) if name in text), text)
