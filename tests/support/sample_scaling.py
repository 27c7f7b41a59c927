"""A synthetic scaling study: a ladder of real shapes whose losses follow a planted law; nothing here was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from analysis.records.record import Outcome, TrialRecord, append
from analysis.records.training import Cooldown, Quality
from search_space import cost
from tests.support.fakes import answer
from trials.plans.plan_scaling import loss_tokens
from trials.study.load_study import parse_study
from trials.study.spec import StudySpec
from trials.trial.scaling_grid import planned_tasks

PLANTED = {"E": 1.6, "A": 60.0, "B": 110.0, "alpha": 0.35, "beta": 0.37}
SEED_NOISE, RESIDUAL = 0.0015, 0.003
"""Of log loss: a training's own, and each loss's."""
TOKENS = [300_000, 600_000, 1_200_000]


def sample_scaling(**changes: Any) -> tuple[StudySpec, str]:
    """The shapes of `studies/scaling-quick.yaml` at `TOKENS`, or with these keys of `scaling`, and its YAML."""
    values = yaml.safe_load((Path(__file__).resolve().parents[2] / "studies" / "scaling-quick.yaml").read_text(encoding="utf-8"))
    values["scaling"] = {**values["scaling"], "tokens": TOKENS, **changes}
    return parse_study(values), yaml.safe_dump(values)


def scaling_records(study: StudySpec, seed: int = 0) -> list[TrialRecord]:
    """A finished record of every training of the grid, with the planted losses."""
    generator = np.random.default_rng(seed)
    found = []
    for task in planned_tasks(study):
        tokens = loss_tokens(task.recipe(study.proxy), task)
        luck = SEED_NOISE * generator.standard_normal()
        losses = [planted(cost.parameters(task.architecture), count) for count in tokens]
        losses = [float(loss * np.exp(luck + RESIDUAL * generator.standard_normal())) for loss in losses]
        record = answer(task)
        assert record.training is not None
        quality = Quality(loss=losses[-1], bits_per_byte=losses[-1] / 1.45, next_token_accuracy=0.3, tokens=32_768)
        cooldowns = tuple(
            Cooldown(tokens=count, loss=loss, bits_per_byte=loss / 1.45) for count, loss in zip(tokens[:-1], losses[:-1], strict=True)
        )
        training = replace(record.training, tokens=tokens[-1], planned_tokens=tokens[-1], validation=quality, cooldowns=cooldowns)
        found.append(replace(record, training=training))
    return found


def planted(params: float, tokens: float) -> float:
    """The law without noise."""
    return float(PLANTED["E"] + PLANTED["A"] / params ** PLANTED["alpha"] + PLANTED["B"] / tokens ** PLANTED["beta"])


def unfinished(record: TrialRecord) -> TrialRecord:
    """The same training, had it diverged."""
    return replace(record, outcome=Outcome.DIVERGED, reason="the training loss became NaN at step 212; lower proxy.learning_rate")


def write_scaling(directory: Path, text: str, records: Sequence[TrialRecord]) -> Path:
    """A study's directory as its driver leaves it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "study.yaml").write_text(text, encoding="utf-8")
    for record in records:
        append(directory, record)
    return directory
