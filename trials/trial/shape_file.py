"""A shape in a file of a person's: an architecture as archfront writes it, or the config.json of a published model."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from search_space.architecture import Architecture
from search_space.errors import SpecError
from search_space.sizes import written_number
from trials.catalogue.published_config import Published, is_published, read_published
from trials.study.yaml_file import read_yaml


def shape_text(shape: Architecture) -> str:
    """A shape as the YAML that `read_shape` reads, by its Hugging Face names in the order of `search_space.architecture.KEYS`."""
    return f"# {shape.label}\n{yaml.safe_dump(shape.as_dict(), sort_keys=False, default_flow_style=None, width=120)}"


def read_shape_file(path: Path) -> Published:
    """What a YAML or JSON file says: `archfront describe` prints it, a trial's record holds it, or a model was published with it.

    Raises SpecError, with the file, where it is no shape, or its weights cannot be counted.
    """
    values = _with_numbers(read_yaml(path, "name a file that is, or a family such as mobilellm-125m", "name an architecture's file"))
    try:
        if is_published(values):
            return read_published(values)
        shape = Architecture.from_dict(_with_numbers(values.get("architecture", values)) if isinstance(values, dict) else values)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
    return Published(shape=shape, parts=(), passed_over=())


def _with_numbers(values: Any) -> Any:
    """A person's mapping with its sizes as numbers, `32k` for one, which a record says as they are."""
    if not isinstance(values, dict):
        return values
    said = {key: written_number(value, str(key)) for key, value in values.items() if isinstance(value, str)}
    return {**values, **{key: number for key, number in said.items() if number is not None and isfinite(number)}}


def read_shape(path: Path) -> tuple[Architecture, str | None]:
    """The shape that a file's blocks are built to, and which keys change neither count nor cost and are not followed, in a sentence.

    The sentence is None where there are none. Raises SpecError where our blocks are others, see `Published.require_blocks`.
    """
    found = read_shape_file(path)
    try:
        found.require_blocks()
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
    if not found.passed_over:
        return found.shape, None
    keys = ", ".join(found.passed_over)
    return found.shape, f"{path.name}: its blocks are built anew, so what changes neither count nor cost is passed over ({keys})"
