"""The tiny trained study that those who train further share."""

from __future__ import annotations

from tests.trials.experiments.conftest import _trained, trained

__all__ = ["_trained", "trained"]
