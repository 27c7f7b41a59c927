"""What every section of a study's YAML is: its keys are known, its values checked, and it never changes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping of the study's file; an unknown key is refused, docstrings under the fields are their documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
