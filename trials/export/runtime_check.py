"""An export run by the runtime that its file is for, and held against the trained network, token by token and in one pass."""

from __future__ import annotations

from pathlib import Path

import torch

from search_space.errors import WorkError
from trials.catalogue.formats import MODEL_FORMATS
from trials.export.check import POSITIONS, Check, Original, judged
from trials.export.subprocess_reading import both_ways, read_in_subprocess
from trials.latency.runtimes import find_runtime


def check_in_runtime(name: str, path: Path, original: Original) -> Check:
    """The check of a file that was just written, in this process."""
    module = find_runtime(MODEL_FORMATS[name])
    session = module.load(path.parent, original.architecture, POSITIONS, threads=1)
    found = both_ways(session, original.tokens[0].tolist())
    session.close()
    return judged(name, f"{MODEL_FORMATS[name]} {module.version()}", original.logits_both_ways, torch.from_numpy(found))


def check_in_subprocess(name: str, path: Path, original: Original) -> Check:
    """Makes the check in a process of its own: a file that is wrong may end the process that runs it."""
    runtime = MODEL_FORMATS[name]
    loaded_by = f"{runtime} {find_runtime(runtime).version()}"
    try:
        found = read_in_subprocess(runtime, path, original.architecture, original.tokens[0].tolist()).logits
    except WorkError as failure:
        return Check(format=name, loaded_by=loaded_by, passed=False, failure=str(failure))
    return judged(name, loaded_by, original.logits_both_ways, torch.from_numpy(found))
