"""What every section of a study's YAML is: its keys are known, its values checked, and it never changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from search_space.errors import SpecError, quoted, shortened, unknown_key

SpecModel = TypeVar("SpecModel", bound=BaseModel)


class Section(BaseModel):
    """A mapping of the study's file; an unknown key is refused, docstrings under the fields are their documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


def _number(value: object) -> object:
    """YAML 1.1 reads ``1e6`` as text, which is a number here; and pydantic takes ``true`` for 1, which is none."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number, found {quoted(value)}")
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return int(number) if number.is_integer() else number
    return value


@dataclass(frozen=True, slots=True)
class OneOf:
    """Text that must be one of these names, refused as pydantic refuses what a `Literal` does not have; for names that a table has."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(list(self.names))


Number = BeforeValidator(_number)
Positive = Annotated[int, Number, Field(ge=1)]
AboveZero = Annotated[float, Number, Field(gt=0)]
Share = Annotated[float, Number, Field(ge=0, le=1)]


def parsed(model: type[SpecModel], values: object, source: str, document: str) -> SpecModel:
    """A file's values as what they stand for; raises SpecError with the file, what was found and the cure.

    `document` says what such a file looks like.
    """
    if not isinstance(values, Mapping):
        raise SpecError(f"{source} must be a mapping with {', '.join(model.model_fields)}, found {type(values).__name__}; see {document}")
    try:
        return model.model_validate(dict(values))
    except ValidationError as errors:
        raise SpecError(f"{source}: {error_sentence(errors, model)}") from None


YAML_TYPES = {"dictionary": "a mapping", "tuple": "a list", "string": "text"}
"""What people who write YAML call pydantic's types."""
WRONG_KIND = re.compile(r"a valid (dictionary|tuple|string)( or instance of \w+)?")
MEMBER = re.compile(r"(literal|function-before|function-after)\[.*\]|bool")
"""How pydantic names a member of a union, in the place of what did not fit it."""


def error_sentence(errors: ValidationError, model: type[BaseModel]) -> str:
    """The first error in a model's values as one sentence with its cure."""
    error = errors.errors()[0]
    where = _place(error)
    path = shortened(".".join(where) or "the study")
    if error["type"] == "extra_forbidden":
        return str(unknown_key(path, where[-1], _fields_at(where[:-1], model)))
    if error["type"] == "missing":
        return f"{path} is missing; add it"
    if error["type"] == "value_error":
        return f"{path} {error['ctx']['error']}" if where else str(error["ctx"]["error"])
    if error["type"] == "invalid_key":
        return (
            f"{shortened('.'.join(where[:-1]) or 'the study')} must have text for keys, found {quoted(error['input'])}; write it in quotes"
        )
    messages = dict.fromkeys(_message(each) for each in errors.errors() if _place(each) == where)
    return f"{path} {' or '.join(messages)}, found {quoted(error['input'])}"


def _place(error: ErrorDetails) -> list[str]:
    """The keys that lead to what is wrong."""
    return [str(part) for part in error["loc"] if not MEMBER.fullmatch(str(part))]


def _message(error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"]).partition(", found")[0]
    message = error["msg"].replace("Input should be", "must be").replace("String should", "must")
    return WRONG_KIND.sub(lambda found: YAML_TYPES[found[1]], message)


def _fields_at(where: list[str], model: type[BaseModel]) -> list[str]:
    for name in where:
        annotation = model.model_fields[name].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
