"""What every section of a study's YAML is: its keys are known, its values checked, and it never changes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A mapping of the study's file; an unknown key is refused, docstrings under the fields are their documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


def _number(value: object) -> object:
    """YAML 1.1 reads ``1e6`` as text, which is a number here; and pydantic takes ``true`` for 1, which is none."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number, found {value!r}")
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return int(number) if number.is_integer() else number
    return value


Number = BeforeValidator(_number)
Positive = Annotated[int, Number, Field(ge=1)]
AboveZero = Annotated[float, Number, Field(gt=0)]
Share = Annotated[float, Number, Field(ge=0, le=1)]
