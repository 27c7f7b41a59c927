"""What every section of a study's YAML is: its keys are known, its values checked, and it never changes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, ValidationError, ValidationInfo
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from search_space.errors import SpecError, quoted, shortened, unknown_key, value_kind
from search_space.parse import LEAST_REAL, MOST_REAL
from search_space.sizes import written_number

SpecModel = TypeVar("SpecModel", bound=BaseModel)
LONGEST_NAME = 100
"""Letters of a name of a person's; names of files are made with it, and may have 255."""


class Section(BaseModel):
    """A mapping of the study's file; an unknown key is refused, docstrings under the fields are their documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


def _number(value: object, of: ValidationInfo) -> object:
    """Text such as ``1e6`` or ``32k``, which YAML 1.1 takes for no number, as one; and ``true``, which pydantic takes for 1, is none."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number, found {quoted(value)}")
    if isinstance(value, str):
        found = written_number(value, of.field_name or "")
        return value if found is None else found
    if isinstance(value, float) and abs(value) >= MOST_COUNTED and value.is_integer():
        return int(value)  # which pydantic compares with a bound, where it does not read such a float as a count
    return value


def _no_smaller(value: float) -> float:
    if value < LEAST_REAL:
        raise ValueError(f"must be at least {LEAST_REAL:g}, found {value:g}; raise it")
    return value


@dataclass(frozen=True, slots=True)
class OneOf:
    """Text that must be one of these names, refused as pydantic refuses what a `Literal` does not have; for names that a table has."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(list(self.names))


def plain_name(name: str, *, also: str = "", must: str = "be") -> str:
    """The name, where every file system, page and store takes it as it is.

    `also` has further letters that may stand within, `must` is the verb of the sentence. Raises ValueError, with a name like it that is
    taken, for letters beyond a to z, digits, dots, dashes and underscores, for one that begins with a dot, dash or underscore, and for one
    of more than `LONGEST_NAME` letters.
    """
    others = f"[^A-Za-z0-9._{re.escape(also)}-]+"
    if not re.search(others, name) and name[:1].isalnum() and len(name) <= LONGEST_NAME:
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    like = re.sub(others, "-", plain).strip(f"._- {also}")[:LONGEST_NAME] or "mine"
    raise ValueError(
        f"must {must} 1 to {LONGEST_NAME} letters a to z, digits, dots, dashes and underscores, a letter or digit first, "
        f"found {quoted(name)}; write {quoted(like)}, say"
    )


def _class_path(value: str) -> str:
    if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", value) is None:
        raise ValueError(f"must be MODULE:CLASS, such as optuna.samplers:GPSampler, found {quoted(value)}")
    return value


ClassPath = Annotated[str, AfterValidator(_class_path)]
"""A class by its module, with a colon between."""
PlainName = Annotated[str, AfterValidator(plain_name)]
"""What a study is called, and everything that is named after it."""
Number = BeforeValidator(_number)
MOST_COUNTED, LARGEST_SEED = 10**15, 2**32 - 1
MOST_LISTED = 64
"""Entries of a list whose every entry is a training, a shape or a file."""
Positive = Annotated[int, Number, Field(ge=1, le=MOST_COUNTED)]
Few = Annotated[int, Number, Field(ge=1, le=1024)]
"""A count of threads, workers or repeats: each is made."""
Size = Annotated[int, Number, Field(ge=1, le=1 << 20)]
"""A size of a network or of a text that is measured."""
AboveZero = Annotated[float, Number, Field(gt=0, le=MOST_REAL), AfterValidator(_no_smaller)]
Seconds = Annotated[float, Number, Field(gt=0, le=1e9), AfterValidator(_no_smaller)]
Share = Annotated[float, Number, Field(ge=0, le=1)]


def parsed(model: type[SpecModel], values: object, source: str, document: str) -> SpecModel:
    """A file's values as what they stand for; raises SpecError with the file, what was found and the cure.

    `document` says what such a file looks like.
    """
    if not isinstance(values, Mapping):
        raise SpecError(f"{source} must be a mapping with {', '.join(model.model_fields)}, found {value_kind(values)}; see {document}")
    try:
        return model.model_validate(dict(values))
    except ValidationError as errors:
        raise SpecError(f"{source}: {error_sentence(errors, model)}") from None


YAML_TYPES = {"dictionary": "a mapping", "tuple": "a list", "string": "text"}
"""What people who write YAML call pydantic's types."""
WRONG_KIND = re.compile(r"a valid (dictionary|tuple|string)( or instance of \w+)?")
SAID_OF = re.compile(r"^(Input|String|Tuple|Dictionary|Value) should")
COUNTED_ITEMS = re.compile(r" after validation, not \d+$")
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
        said = str(error["ctx"]["error"])
        cure = "" if "; " in said else "; correct it"
        return f"{path} {said}{cure}" if where else f"{said}{cure}"
    if error["type"] == "invalid_key":
        return (
            f"{shortened('.'.join(where[:-1]) or 'the study')} must have text for keys, found {quoted(error['input'])}; write it in quotes"
        )
    messages = dict.fromkeys(_message(each) for each in errors.errors() if _place(each) == where)
    return f"{path} {' or '.join(messages)}, found {quoted(error['input'])}; {_cure(error)}"


def _place(error: ErrorDetails) -> list[str]:
    """The keys that lead to what is wrong."""
    return [str(part) for part in error["loc"] if not MEMBER.fullmatch(str(part))]


def _message(error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"]).partition(", found")[0]
    message = SAID_OF.sub("must", error["msg"])
    message = COUNTED_ITEMS.sub("", message)
    return WRONG_KIND.sub(lambda found: YAML_TYPES[found[1]], message)


def _cure(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind.startswith("greater_than"):
        return "raise it"
    if kind.startswith("less_than"):
        return "lower it"
    return {"too_long": "leave some out", "tuple_type": "put it into brackets", "string_type": "put it into quotes"}.get(kind, "correct it")


def _fields_at(where: list[str], model: type[BaseModel]) -> list[str]:
    for name in where:
        annotation = model.model_fields[name].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
