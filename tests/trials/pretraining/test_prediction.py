"""What a study's records foresee of a long training, and what is said when it is over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.records.checked import from_json
from analysis.records.record import append
from analysis.records.training import Quality, Training
from search_space.cost import parameters
from tests.support.fakes import small_study
from tests.support.planted_forecast import WHOLE, planted
from tests.support.sample_scaling import planted as planted_loss
from tests.support.sample_scaling import sample_scaling, scaling_records, write_scaling
from trials.pretraining.prediction import LossPrediction, predicted
from trials.pretraining.recipes import TrainingRecipe, recipe_of_study
from trials.pretraining.statement import Statement
from trials.pretraining.subject import Subject, subject_of


def search(directory: Path) -> Path:
    _, text = small_study(proxy={"tokens": WHOLE, "cooldowns": [0.25, 0.5]})
    directory.mkdir()
    (directory / "study.yaml").write_text(text)
    for record in planted(3)[0]:
        append(directory, record)
    return directory


def asked(subject: Subject, tokens: int, recipe: TrainingRecipe | None = None) -> Statement:
    assert subject.stored is not None
    recipe = recipe or recipe_of_study(subject.stored.study.name, subject.stored.study.proxy)
    return Statement(
        title=subject.title, shape=subject.shape, proxy=recipe.of(subject.shape, tokens).plain(), recipe=recipe.name,
        recipe_source=recipe.source, corpus=subject.corpus, seed=1000, threads=1, device="cpu",
    )  # fmt: skip


def training(bits: float, loss: float) -> Training:
    there = planted(3)[0][0].training
    assert there is not None
    return replace(there, validation=Quality(loss=loss, bits_per_byte=bits, next_token_accuracy=0.3, tokens=2_048))


@pytest.mark.parametrize("times", [1.5, 2, 4, 8])
def test_a_search_foresees_members_of_its_front(times: float, tmp_path: Path) -> None:
    subject = subject_of(search(tmp_path / "study"), None, "most-accurate", None, None)
    found = predicted(subject, asked(subject, round(times * WHOLE)))
    assert isinstance(found, LossPrediction), found
    assert subject.record is not None
    assert subject.record.training is not None
    before = subject.record.training.validation
    assert before is not None
    assert found.low < found.expected < found.high
    assert found.expected < before.bits_per_byte
    assert f"{times:.3g} times its tokens" in found.basis
    assert "inside the 90 % interval" in found.judged(training(found.expected, 3.0))
    assert "above the 90 % interval" in found.judged(training(found.high + 0.001, 3.0))
    assert "below the 90 % interval" in found.judged(training(found.low - 0.001, 3.0))
    assert from_json(LossPrediction, found.as_dict()) == found


def test_a_scaling_study_foresees_by_its_law(tmp_path: Path) -> None:
    study, text = sample_scaling()
    records = scaling_records(study)
    directory = write_scaling(tmp_path / "study", text, records)
    largest = max(records, key=lambda record: parameters(record.architecture))
    assert largest.training is not None
    subject = subject_of(directory, largest.number, None, None, None)
    tokens = 2 * largest.training.tokens
    found = predicted(subject, asked(subject, tokens))
    assert isinstance(found, LossPrediction), found
    assert found.unit == "nats"
    assert found.low < planted_loss(parameters(largest.architecture), tokens) < found.high
    assert "nats per token measured, inside" in found.judged(training(1.0, found.expected))
    assert "outside the runs" in str(predicted(subject, asked(subject, 100_000 * tokens)))


def test_what_cannot_be_foreseen_says_why(tmp_path: Path) -> None:
    subject = subject_of(search(tmp_path / "study"), None, "most-accurate", None, None)
    said: dict[str, Any] = {
        "is not between 1 and 8 times": predicted(subject, asked(subject, 9 * WHOLE)),
        "0.5 times the study's length is not between": predicted(subject, asked(subject, WHOLE // 2)),
        "another than the study's in batch_sequences, learning_rate": predicted(
            subject,
            asked(
                subject,
                2 * WHOLE,
                TrainingRecipe(
                    "x", "x", {**small_study()[0].proxy.model_dump(), "batch_sequences": 2, "learning_rate": 0.5, "tokens": None}
                ),
            ),
        ),
        "the text is another than the study's": predicted(replace(subject, is_studys_text=False), asked(subject, 2 * WHOLE)),
        "a configuration has no records": predicted(replace(subject, stored=None), asked(subject, 2 * WHOLE)),
    }
    for wanted, found in said.items():
        assert isinstance(found, str)
        assert wanted in found
    assert subject.stored is not None
    off = next(record for record in subject.stored.records if record.number not in subject.stored.front.members)
    outside = subject_of(tmp_path / "study", off.number, None, None, None)
    answer = predicted(outside, asked(outside, 2 * WHOLE))
    assert isinstance(answer, LossPrediction) or "neither on the front nor near it" in answer
