"""A tiny study with real trainings, which the tests run once and share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.fakes import small_study
from trials.driver.run_study import StudyResult, run_study

WORDS = ("the", "shape", "of", "a", "small", "model", "matters", "more", "than", "its", "size")
TEXT = "\n".join(" ".join(WORDS[(line * place + place * place) % len(WORDS)] for place in range(12)) for line in range(4_000))
CHANGES: dict[str, Any] = {
    "budget": {"parameters": 20_000, "tolerance": 0.05},
    "space": {
        "vocab_size": 280,
        "num_unique_layers": [1, 2, 3],
        "hidden_size": [24, 32],
        "head_dim": 8,
        "intermediate_size": {"solve": True, "ratio": [0.25, 12]},
    },
    "latency": {"prompt_tokens": 8, "new_tokens": 8, "repeats": 2},
    "proxy": {"tokens": 4_096, "context_tokens": 32, "evaluation_tokens": 1_024},
    "search": {"trials": 2, "sampler": "random"},
    "workers": {"count": 2},
    "references": ["deep-thin"],
}
"""What it changes of `fakes.small_study`, its corpus aside."""


@dataclass(frozen=True)
class RealStudy:
    """The study as it was run, for tests that read it; who changes a directory copies it."""

    directory: Path
    text: Path
    """The file of its corpus."""
    trainings: Path
    """The index of finished trainings that it filled."""
    tracking: str

    def run(self, directory: Path, **search: Any) -> StudyResult:
        """The same study in another directory, or in a copy of its own."""
        corpus = {"name": None, "files": [str(self.text)]}
        study, text = small_study(**CHANGES | {"corpus": corpus, "search": CHANGES["search"] | search})
        return run_study(study, directory, study_text=text, tracking_uri=self.tracking)


@contextmanager
def trainings_in(folder: Path) -> Iterator[None]:
    """Have studies find and leave finished trainings in this folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trials.trial.reuse.trainings_folder", lambda: folder)
        yield
