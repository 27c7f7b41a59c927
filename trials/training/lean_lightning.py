"""Lightning without the metrics of torchmetrics, of which it needs two base classes.

The whole package brings scipy.signal, and transformers where that is installed: seconds of a worker's start (docs/findings.md,
2026-11-29: what a worker's import of Lightning is made of). It is read after all where anything else of it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from typing import Any

NEEDED_METRICS = {"Metric": "torchmetrics.metric", "MetricCollection": "torchmetrics.collections"}
"""What Lightning takes of the package, and where that is defined."""


def defer_torchmetrics() -> None:
    """Have `torchmetrics` be no more than what Lightning needs, until another of its names is asked for; as it is where that fails."""
    spec = None if "torchmetrics" in sys.modules else importlib.util.find_spec("torchmetrics")
    if spec is None or spec.loader is None:
        return
    package, loader = importlib.util.module_from_spec(spec), spec.loader
    sys.modules["torchmetrics"] = package
    package.__dict__["_logger"] = logging.getLogger("torchmetrics")  # its files take it from there
    try:
        importlib.import_module("torchmetrics.utilities")  # first, or the two go in a circle
        for name, module in NEEDED_METRICS.items():
            setattr(package, name, getattr(importlib.import_module(module), name))
    except Exception:  # another version of it
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchmetrics"]:
            del sys.modules[name]
        return

    def ask(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        del package.__dict__["__getattr__"]
        loader.exec_module(package)
        return getattr(package, name)

    package.__dict__["__getattr__"] = ask


def _imported() -> Any:
    defer_torchmetrics()
    import lightning.pytorch.plugins.environments

    return lightning


lightning: Any = _imported()
"""The library; not typed for mypy's strict mode."""
