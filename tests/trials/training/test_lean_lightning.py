"""Lightning as a worker imports it: cheaper, and the same library."""

from __future__ import annotations

import pytest

from tests.trials.plans.test_check_study import processor_seconds

WHOLE = "import torch, lightning"
LEAN = "import torch, sys; from trials.training.lean_lightning import lightning; "


@pytest.mark.slow
def test_lightning_comes_without_metrics_that_nobody_asks_for_and_with_all_of_them_for_who_does() -> None:
    heavy = "[name for name in ('torchmetrics.functional', 'transformers') if name in sys.modules]"
    said, lean = processor_seconds(f"{LEAN} print({heavy})")
    assert said == "[]"
    assert lean < 0.9 * processor_seconds(WHOLE)[1]
    asked = "import torchmetrics; print(torchmetrics.Accuracy.__name__, torchmetrics.Metric is lightning.pytorch.core.module.Metric)"
    assert processor_seconds(f"{LEAN} {asked}")[0] == "Accuracy True"
