"""One law of several studies: whose recipes match, what is said where they do not, and what counts once."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import archfront
from analysis.records.record import Kind, Outcome, TrialRecord, append
from analysis.records.training import Cooldown
from search_space.errors import SpecError
from tests.support import fakes
from tests.trials.trial.test_scaling_grid import VALUES
from trials.reporting.pooled_studies import runs_of_studies
from trials.study.directory import tokenizer_file
from trials.study.load_study import STUDY, parse_study
from trials.trial.scaling_grid import planned_tasks
from trials.trial.task import TrialTask

RECIPE = {**VALUES["proxy"], "learning_rate": 0.02}
GRID = {**VALUES, "proxy": RECIPE, "scaling": {**VALUES["scaling"], "shapes": {"thin": {}}}}
SEARCH = {**fakes.VALUES, "proxy": {**RECIPE, "tokens": 30_000}, "budget": {"parameters": 100_000}, "references": []}


def lossy(record: TrialRecord, tokens: tuple[int, ...], noise: float = 0.0) -> TrialRecord:
    """The record with losses of a planted law at these tokens."""

    def loss(count: int) -> float:
        return float((1.5 + 9 * record.costs.parameters**-0.3 + 11 * count**-0.3) * np.exp(noise))

    assert record.training is not None
    assert record.training.validation is not None
    last = dataclasses.replace(record.training.validation, loss=loss(tokens[-1]))
    cooldowns = tuple(Cooldown(tokens=count, loss=loss(count), bits_per_byte=1.0) for count in tokens[:-1])
    training = dataclasses.replace(
        record.training, tokens=tokens[-1], planned_tokens=tokens[-1], validation=last, cooldowns=cooldowns, corpus_sha256="c" * 64
    )
    return dataclasses.replace(record, training=training)


def write(directory: Path, values: dict[str, Any], records: list[TrialRecord]) -> Path:
    directory.mkdir()
    (directory / STUDY).write_text(yaml.safe_dump(values))
    tokenizer_file(directory, 300).parent.mkdir()
    tokenizer_file(directory, 300).write_bytes(b"tokenizer")
    for record in records:
        append(directory, record)
    return directory


def grid_at(directory: Path, values: dict[str, Any] = GRID) -> Path:
    """A ladder of four sizes and three token counts."""
    tasks = planned_tasks(parse_study(values))
    return write(directory, values, [lossy(fakes.answer(task), (16_384, 32_768, 65_536)) for task in tasks])


def search_at(directory: Path, values: dict[str, Any] = SEARCH) -> Path:
    """Six shapes of one size, at one token count; one of them did not finish."""
    study = parse_study(values)
    shapes = study.search_space.sample(7, 0)
    tasks = [TrialTask(number=number, kind=Kind.SAMPLED, architecture=shape, seed=0) for number, shape in enumerate(shapes)]
    failed = fakes.answer(tasks[6], outcome=Outcome.DIVERGED, reason="the loss was nan", training=None)
    return write(directory, values, [*(lossy(fakes.answer(task), (30_208,)) for task in tasks[:6]), failed])


def test_a_search_and_a_grid_of_one_recipe_are_one_table(tmp_path: Path) -> None:
    grid, search = grid_at(tmp_path / "grid"), search_at(tmp_path / "search")
    runs = runs_of_studies([grid, search])
    assert len(runs) == 4 * 3 + 6
    sizes = [list(runs.groups).count(group) for group in dict.fromkeys(runs.groups.tolist())]
    assert sizes[:4] == [3] * 4
    assert set(sizes[4:]) == {1}
    assert {"params", "tokens", "flops", "width", "depth", "repeats", "kv_heads"} <= runs.variables.keys()
    assert any(str(grid) in note for note in runs.notes)
    assert any(str(search) in note for note in runs.notes)


OTHER: dict[str, tuple[dict[str, Any], str]] = {
    "a rate": ({"proxy": {**RECIPE, "learning_rate": 0.04}}, r"proxy.learning_rate is 0.04 there and 0.02 here"),
    "a batch": ({"proxy": {**RECIPE, "batch_sequences": 16}}, r"proxy.batch_sequences is 16 there and 8 here"),
    "two things": (
        {"proxy": {**RECIPE, "optimizer": "adamw", "weight_decay": 0.0}},
        r"proxy.optimizer is adamw there and muon here.* and proxy.weight_decay is 0.0 there and 0.1 here",
    ),
    "a corpus": ({"corpus": {"files": ["a.txt"]}}, r"corpus is a.txt .* there and python-stdlib"),
}


@pytest.mark.parametrize(("changes", "said"), OTHER.values(), ids=OTHER)
def test_what_differs_between_two_recipes_is_said(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    one, other = grid_at(tmp_path / "one"), grid_at(tmp_path / "other", {**GRID, **changes})
    with pytest.raises(
        SpecError, match=f"other must have the recipe of .*one to be fitted with it, found that .*(?:{said}).*; fit them apart"
    ):
        runs_of_studies([one, other])


def test_a_rate_that_the_optimizer_does_not_read_is_no_difference(tmp_path: Path) -> None:
    plain = {**RECIPE, "optimizer": "adamw"}
    one = grid_at(tmp_path / "one", {**GRID, "proxy": plain})
    other = grid_at(tmp_path / "other", {**GRID, "proxy": {**plain, "muon_learning_rate": 0.5}})
    assert len(runs_of_studies([one, other])) == 12


def test_a_training_that_two_studies_have_counts_once_with_all_its_cooldowns(tmp_path: Path) -> None:
    grid = grid_at(tmp_path / "grid")
    task = planned_tasks(parse_study(GRID))[2]
    search = write(tmp_path / "search", SEARCH, [lossy(fakes.answer(dataclasses.replace(task, number=0)), (65_536,))])
    for order in ([grid, search], [search, grid]):
        runs = runs_of_studies(order)
        assert len(runs) == 12
        assert any("1 training left out, of a shape, seed and length that is there already" in note for note in runs.notes)


def test_another_tokenizer_is_another_recipe(tmp_path: Path) -> None:
    one, other = grid_at(tmp_path / "one"), grid_at(tmp_path / "other")
    tokenizer_file(other, 300).write_bytes(b"another")
    with pytest.raises(SpecError, match=r"tokenizer is .* there and .* here"):
        runs_of_studies([one, other])


def test_the_front_door_fits_studies_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid, search = grid_at(tmp_path / "grid"), search_at(tmp_path / "search")
    assert archfront.main(["fit", str(grid), str(search), "--refits", "200", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["trainings"] == 4 + 6
    assert answer["runs"] == 12 + 6
    assert answer["parameters"]["alpha"] == pytest.approx(0.3, abs=0.03)
    assert archfront.main(["fit", str(grid), "table.csv"]) == 2
    assert "must be studies' directories, found table.csv" in capsys.readouterr().err


def test_studies_without_a_finished_trial_are_refused(tmp_path: Path) -> None:
    study = parse_study(GRID)
    failed = fakes.answer(planned_tasks(study)[0], outcome=Outcome.DIVERGED, reason="the loss was nan", training=None)
    one, other = (write(tmp_path / name, GRID, [failed]) for name in ("one", "other"))
    with pytest.raises(SpecError, match="a law needs finished trials, found none in"):
        runs_of_studies([one, other])
