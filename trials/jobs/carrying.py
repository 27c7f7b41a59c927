"""Which variables of the submitter's environment a job may have too; nothing heavy is imported."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from search_space.errors import SpecError, quoted

VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
JOBS_OWN = re.compile(r"(?:RAY_|ARCHFRONT_|PYTHON|LD_).*|PATH|HOME")
"""Names of variables that decide how the job itself runs."""
MOST_CARRIED_BYTES = 64 << 10


def carried(names: Sequence[str], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of these names; SpecError for one that is not set, is no name, or is the job's own, or where they are too large."""
    found = {}
    for name in names:
        if not VARIABLE_NAME.fullmatch(name):
            shown = quoted(name.partition("=")[0])  # what follows may be a secret
            raise SpecError(f"--env must be a variable's name without its value, found {shown} with more; export it, and give the name")
        if JOBS_OWN.fullmatch(name):
            raise SpecError(f"--env must not be a variable by which the job itself runs, found {name}; leave it out")
        if name not in environment:
            raise SpecError(f"--env {name} must be set in this environment, found no such variable; export it, or leave it out")
        found[name] = environment[name]
    size = sum(len(os.fsencode(value)) for value in found.values())
    if size > MOST_CARRIED_BYTES:
        raise SpecError(f"--env must carry at most {MOST_CARRIED_BYTES:,} bytes, found {size:,}; put what is large into a file on the head")
    return found
