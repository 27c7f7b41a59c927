"""What a model's card says to programs, such as the Hugging Face hub: YAML before its title."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from search_space.errors import SpecError, quoted
from trials.catalogue.formats import FORMATS

UNKNOWN_LICENSE = "unknown"
"""The hub's word where nobody said; a training's text and whoever trained decide."""
LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")
BOUND = "---"
HUB_TAG = "archfront"


def front_matter(formats: Sequence[str], license_name: str | None) -> list[str]:
    """Lines that say license, library and task of a model, between two lines of dashes."""
    known = (FORMATS[name].hub_library for name in formats)
    values = {
        "license": license_name or UNKNOWN_LICENSE,
        "library_name": next((name for name in known if name is not None), None),
        "pipeline_tag": "text-generation",
        "tags": [HUB_TAG],
    }
    text = yaml.safe_dump({key: value for key, value in values.items() if value is not None}, sort_keys=False)
    return [BOUND, *text.splitlines(), BOUND, ""]


def is_ours(card: str) -> bool:
    """Whether a card has front matter as `front_matter` writes it."""
    lines = card.splitlines()
    return bool(lines) and lines[0] == BOUND and BOUND in lines[1:] and f"- {HUB_TAG}" in lines[: lines.index(BOUND, 1)]


def first_heading(card: str) -> str:
    """The title of a card: the first line after its front matter."""
    lines = card.splitlines()
    if lines and lines[0] == BOUND and BOUND in lines[1:]:
        lines = lines[lines.index(BOUND, 1) + 1 :]
    return next((line for line in lines if line.strip()), "")


def require_license(name: str) -> str:
    """The name of a license as the hub writes them; raises SpecError for anything else."""
    if LICENSE.fullmatch(name) is None:
        raise SpecError(
            f"--license must be a name as the Hugging Face hub has them, such as apache-2.0 or cc-by-4.0, found {quoted(name)}; write it so"
        )
    return name
