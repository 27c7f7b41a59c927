"""What holds for every test."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_training_is_taken_over(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No study of a test finds a finished training, or leaves one in the cache of whoever runs it: each has an index of its own.

    Those who test the index itself put one in its place. A test that starts a driver as a program gives it a cache folder.
    """

    def another() -> Path:
        return tmp_path_factory.mktemp("trainings")

    monkeypatch.setattr("trials.trial.reuse.trainings_folder", another)
