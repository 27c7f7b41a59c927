"""Lightning as a worker imports it: cheaper, and the same library."""

from __future__ import annotations

import pytest

from tests.trials.plans.test_check_study import processor_seconds

WHOLE = "import torch, lightning"
LEAN = "import torch, sys; from trials.training.lean_lightning import lightning; "


READ_WHOLE = """
import importlib.metadata, threading, torchmetrics
assert torchmetrics.Metric is lightning.pytorch.core.module.Metric
assert torchmetrics.__version__ == importlib.metadata.version("torchmetrics")
assert not hasattr(torchmetrics, "__wrapped__") and "torchmetrics.functional" not in sys.modules
from lightning_utilities.core import imports
real, imports.package_available = imports.package_available, None
try:
    torchmetrics.Accuracy
except TypeError:
    imports.package_available = real
found = []
names = ("Accuracy", "functional", "MeanMetric", "Accuracy")
threads = [threading.Thread(target=lambda name=name: found.append(getattr(torchmetrics, name).__name__)) for name in names]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
from torchmetrics import *
print(sorted(found), set(torchmetrics.__all__) <= set(globals()), hasattr(torchmetrics, "Acuracy"))
"""
"""A first reading that fails, then several threads at once, then all names."""


@pytest.mark.more
@pytest.mark.slow
def test_lightning_comes_without_metrics_that_nobody_asks_for_and_with_all_of_them_for_who_does() -> None:
    heavy = "[name for name in ('torchmetrics.functional', 'transformers') if name in sys.modules]"
    said, lean = processor_seconds(f"{LEAN} print({heavy})")
    assert said == "[]"
    assert lean < 0.9 * processor_seconds(WHOLE)[1]
    said = processor_seconds(f"{LEAN}{READ_WHOLE}")[0]
    assert said == "['Accuracy', 'Accuracy', 'MeanMetric', 'torchmetrics.functional'] True False"
