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
    for place, name in enumerate(names, 1):
        which = f"a text of {len(name):,} characters" + (f" in place {place} of {len(names)}" if len(names) > 1 else "")
        if not VARIABLE_NAME.fullmatch(name):
            before = name.partition("=")[0]  # it may be a value, and what follows is one
            shown = f"{quoted(before)} with more" if before in environment else which
            raise SpecError(f"--env must be a variable's name without its value, found {shown}; export it, and give the name")
        if JOBS_OWN.fullmatch(name):
            raise SpecError(f"--env must not be a variable by which the job itself runs, found {name}; leave it out")
        if name not in environment:
            raise SpecError(
                f"--env must be the name of a variable that is set in this environment, found {which} that names none and is not shown, "
                "for it may be a value; export the variable, and give its name"
            )
        found[name] = environment[name]
    size = sum(len(os.fsencode(value)) for value in found.values())
    if size > MOST_CARRIED_BYTES:
        raise SpecError(f"--env must carry at most {MOST_CARRIED_BYTES:,} bytes, found {size:,}; put what is large into a file on the head")
    return found
