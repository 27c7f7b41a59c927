"""Lightning without the metrics of torchmetrics, of which it needs two base classes.

The whole package brings scipy.signal, and transformers where that is installed: seconds of a worker's start (docs/findings.md,
2026-11-29: what a worker's import of Lightning is made of). It is read after all where anything else of it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import threading
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
        about = importlib.import_module("torchmetrics.__about__")
        package.__dict__.update({name: getattr(about, name) for name in about.__all__})
    except Exception:  # another version of it
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchmetrics"]:
            del sys.modules[name]
        return

    lock, is_loading = threading.RLock(), False

    def ask(name: str) -> Any:
        nonlocal is_loading
        with lock:  # another thread waits until all of it is there
            is_asked_of_any_module = name.startswith("__") and name.endswith("__") and name != "__all__"
            if is_loading or is_asked_of_any_module:
                raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}")
            if package.__dict__.get("__getattr__") is ask:
                is_loading = True
                try:
                    loader.exec_module(package)
                finally:
                    is_loading = False
                if package.__dict__["__getattr__"] is ask:  # where it failed it stays, and the next one to ask tries again
                    del package.__dict__["__getattr__"]
        return getattr(package, name)

    package.__dict__["__getattr__"] = ask


def _imported() -> Any:
    defer_torchmetrics()
    import lightning.pytorch.plugins.environments

    return lightning


lightning: Any = _imported()
"""The library; not typed for mypy's strict mode."""
