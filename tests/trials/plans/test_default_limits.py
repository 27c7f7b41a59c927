"""How many shapes the default limits leave out: what the plan says is what lifting them brings, and lifted limits say nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from trials.plans.default_limits import limits_notice
from trials.study.load_study import load_study
from trials.study.spec import StudySpec


def load(folder: Path, budget: int, space: dict[str, Any]) -> StudySpec:
    path = folder / "study.yaml"
    values = {"name": "bare", "corpus": {"name": "python-stdlib"}, "search": {"trials": 4}, "budget": {"parameters": budget}}
    path.write_text(yaml.safe_dump({**values, "space": space}))
    return load_study(path)


@pytest.mark.parametrize(
    ("budget", "space"),
    [
        (250_000, {}),
        (1_000_000, {}),
        (250_000, {"num_attention_heads": {"ratio_of_hidden": [0.25, 1.0]}}),
    ],
)
def test_what_the_plan_says_is_left_out_is_what_its_cure_lets_in(budget: int, space: dict[str, Any], tmp_path: Path) -> None:
    study = load(tmp_path, budget, space)
    said = limits_notice(study)
    assert said is not None
    found = re.search(r"leave out ([\d,]+) shapes? of the budget, beside the (\d+) that are in; to let them in, write (.*)", said)
    assert found is not None, said
    cure = yaml.safe_load("\n".join(re.sub(r"^ *(and )?space\.", "", each) for each in re.split(r"(?:, | and )(?=space\.)", found[3])))
    lifted = load(tmp_path, budget, {**space, **cure})
    assert len(study.search_space.table()) == int(found[2])
    assert len(lifted.search_space.table()) == int(found[1].replace(",", "")) + int(found[2])
    assert limits_notice(lifted) is None


def test_limits_that_leave_nothing_out_are_no_news(tmp_path: Path) -> None:
    space = {"intermediate_size": {"solve": True, "multiple_of": 8, "ratio": [2, 4]}}
    study = load(tmp_path, 1_000_000, space)
    heads = {**study.space["num_attention_heads"], "from": 1}
    assert study.defaults["space"]["num_attention_heads"]["from"] > 1
    assert len(load(tmp_path, 1_000_000, {**space, "num_attention_heads": heads}).search_space.table()) == len(study.search_space.table())
    assert limits_notice(study) is None


def test_of_a_space_too_large_to_be_listed_a_share_is_told(tmp_path: Path) -> None:
    wide = {
        "hidden_size": {"from": 32, "to": 256, "step": 1},
        "num_unique_layers": {"from": 1, "to": 12},
        "vocab_size": [512, 600, 700, 800],
    }
    said = limits_notice(load(tmp_path, 1_000_000, wide))
    assert said is not None
    assert re.search(r"leave out about \d+% of the shapes of the budget; to let them in, write space", said)
