"""What a plan says of states, against states that a training leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fakes import small_study
from tests.trials.trial.test_checkpoint import LONGER, place
from tests.trials.trial.test_run_trial import TASK, blocks
from trials.corpus.blocks import TokenBlocks
from trials.plans.shape_cost import StatesPlan, states_text
from trials.training.footprint import state_bytes
from trials.training.proxy_run import ProxyRun

__all__ = ["blocks"]


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_state_has_the_size_that_was_planned(tmp_path: Path, blocks: TokenBlocks, optimizer: str) -> None:
    recipe = LONGER.model_copy(update={"optimizer": optimizer})
    run, checkpoint = ProxyRun(TASK.architecture, blocks, recipe, seed=0), place(tmp_path / "0003.safetensors", blocks, recipe)
    run.run(until_tokens=1_024)
    checkpoint.write(run.state(), None)
    facts = 20_000
    assert 0 <= checkpoint.path.stat().st_size - state_bytes(TASK.architecture, recipe) < facts


def test_a_plan_says_how_large_how_often_and_how_many() -> None:
    study, _ = small_study(workers={"count": 3})
    shapes = [shape for _, shape in study.search_space.table()]
    states = StatesPlan.of(study, shapes)
    assert states is not None
    assert states.largest_bytes == max(state_bytes(shape, study.proxy) for shape in shapes)
    assert str(states).startswith("up to 917 kB for each of 3 trials under way, ")
    seconds, _ = small_study(proxy={"tokens": None, "seconds": 10})
    assert StatesPlan.of(seconds, shapes) is None
    assert states_text(None) == "none: a training that is to last seconds begins anew where its worker is lost"
