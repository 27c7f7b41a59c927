"""One file an engine, each with the functions of `interface.RuntimeModule`, and what finds one by its name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from search_space.errors import SpecError, unknown_key
from trials.catalogue.runtimes import RUNTIMES

if TYPE_CHECKING:
    from trials.latency.runtimes.interface import RuntimeModule


def find_runtime(name: str) -> RuntimeModule:
    """The runtime of that name; SpecError names the nearest one that exists, or how to install its library."""
    require_runtime(name)
    return cast("RuntimeModule", importlib.import_module(RUNTIMES[name].module))


def require_runtime(name: str) -> None:
    """Raise SpecError, before its module is imported, where there is no such runtime, or its library or its GPU is not there."""
    if name not in RUNTIMES:
        raise unknown_key(f"the runtime {name}", name, RUNTIMES)
    row = RUNTIMES[name]
    if row.device == "cuda":
        _require_gpu(name)
    if not row.installed:
        raise SpecError(f"the runtime {name} needs {row.library}, which is not installed; pip install {row.install}")


def _require_gpu(name: str) -> None:
    import torch  # seconds, for those who measure on GPUs

    if not torch.cuda.is_available():
        raise SpecError(f"the runtime {name} must have an NVIDIA GPU that torch can use, found none; take the runtime torch or onnxruntime")
