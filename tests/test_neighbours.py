"""The comparison with other searches: all have the same task."""

import yaml

from benchmarks.peers.archfront_program import STUDY
from benchmarks.peers.task import CHOICES, FIXED, all_points, losses, no_number, spends
from search_space.budget import Budget
from trials.study.load_study import parse_study


def test_our_study_is_the_task_of_the_others() -> None:
    study = parse_study(yaml.safe_load(STUDY.read_text(encoding="utf-8")))
    space = study.search_space
    assert {name: list(space.choices(name)) for name in CHOICES} == CHOICES
    assert {name: space.choices(name)[0] for name in FIXED} == FIXED
    assert space.budget == Budget.parse({"parameters": {"target": 50_000_000, "tolerance": 0.1}})


def test_a_tenth_of_the_space_spends_the_budget_and_a_third_of_the_losses_is_no_number() -> None:
    points = all_points()
    assert len(points) == 1458
    assert 0.09 < sum(map(spends, points)) / len(points) < 0.11
    assert 0.3 < sum(no_number(str(point)) for point in points) / len(points) < 0.37
    assert len({losses(point) for point in points}) > 1
