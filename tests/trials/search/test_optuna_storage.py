"""A study of known trials copies none of them; and the private members of Optuna that this needs, by name."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from trials.search.optuna_storage import PRIVATE, KnownTrials

SEARCH = Path(__file__).resolve().parents[3] / "trials" / "search"
SPACE: dict[str, BaseDistribution] = {"width": IntDistribution(0, 9)}


def a_trial(state: TrialState = TrialState.COMPLETE, width: int = 3) -> FrozenTrial:
    values = [1.0, 2.0] if state is TrialState.COMPLETE else None
    return create_trial(state=state, values=values, params={"width": width}, distributions=SPACE)


@pytest.mark.parametrize(("owner", "member"), [(owner, member) for owner, members in PRIVATE.items() for member in members])
def test_optuna_has_the_private_member(owner: str, member: str) -> None:
    storage: Any = InMemoryStorage()
    place = storage.create_new_study([StudyDirection.MINIMIZE], "one")
    owners = {"storage": storage, "study": storage._studies.get(place) if hasattr(storage, "_studies") else None, "trial": a_trial()}
    assert hasattr(owners[owner], member), (
        f"this Optuna has no {member} of a {owner}: lower its bound in pyproject.toml, or change KnownTrials"
    )


def test_no_other_file_uses_a_private_member_of_another_object() -> None:
    used = []
    for path in SEARCH.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                used += [] if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls") else [(path.name, node.attr)]
    assert {name for name, _ in used} <= {"optuna_storage.py"}, used
    assert {member for _, member in used} <= {member for members in PRIVATE.values() for member in members}


def test_a_known_trial_is_not_copied_and_what_a_study_changes_leaves_it_as_it_was() -> None:
    trial, open_trial = a_trial(), a_trial(TrialState.RUNNING)
    study = KnownTrials().study([trial, open_trial], RandomSampler(0))
    assert study.get_trials(deepcopy=False) == [trial, open_trial]
    assert study.get_trials(deepcopy=False)[0] is trial
    study.tell(1, [3.0, 4.0])
    assert study.get_trials()[1].values == [3.0, 4.0]
    assert open_trial.values is None
    assert study.ask(SPACE).number == 2


def test_a_study_takes_the_place_of_the_one_before_with_its_own_trials_and_numbers() -> None:
    storage, trials = KnownTrials(), [a_trial(width=width) for width in range(5)]
    for chosen in (trials[:3], trials, [*trials[:2], a_trial(width=7)], trials[:1], []):
        study = storage.study(chosen, RandomSampler(0))
        assert [trial.params["width"] for trial in study.trials] == [trial.params["width"] for trial in chosen]
        assert [trial.number for trial in study.trials] == list(range(len(chosen)))
        assert study.ask(SPACE).number == len(chosen)
        assert len(study.trials) == len(chosen) + 1
