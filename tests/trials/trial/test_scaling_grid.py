"""A study of kind scaling: its YAML, its grid, and the order of its trainings; no training here."""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Container
from typing import Any

import numpy as np
import pytest

from analysis.laws.identifiability import resolution, rows_of
from analysis.records.record import Kind, TrialRecord
from search_space import cost
from search_space.errors import SpecError
from search_space.proportions import Proportions
from tests.support import fakes
from trials.driver.agenda import Agenda, NoTask
from trials.plans.plan_scaling import loss_tokens, plan_rows
from trials.study.load_study import parse_study
from trials.study.scaling_spec import ShapeSpec
from trials.study.spec import StudySpec
from trials.training.schedules import RunLength, paid_tokens
from trials.trial.scaling_grid import largest_first, planned_tasks, proportions
from trials.trial.task import TrialTask

STEP = 8 * 32
VALUES: dict[str, Any] = {
    "name": "ladder",
    "corpus": {"name": "python-stdlib"},
    "scaling": {
        "budgets": {"parameters": [50_000, 100_000, 200_000, 400_000]},
        "shapes": {"thin": {"like": "deep-thin"}, "wide": {"like": "wide-shallow"}},
        "tokens": [64 * STEP, 128 * STEP, 256 * STEP],
    },
    "space": {"vocab_size": 300, "head_dim": 8, "intermediate_size": {"solve": True, "multiple_of": 4}},
    "proxy": {"context_tokens": 32, "batch_sequences": 8, "evaluation_tokens": 1_024, "precision": "float32", "compile": False},
    "workers": {"count": 2, "threads": 1},
}


def ladder(**changes: Any) -> StudySpec:
    """The study with changes to its sections; a change of `scaling` replaces keys of it, None takes them away."""
    values = copy.deepcopy(VALUES)
    for name, change in changes.items():
        merged = {**values.get(name, {}), **change} if isinstance(change, dict) else change
        values[name] = {key: value for key, value in merged.items() if value is not None} if isinstance(merged, dict) else merged
    return parse_study(values)


SHARED = {"shared": {"sharing": {"strategy": "immediate", "repeats": 2}, "aspect_ratio": 24}}
ISOFLOP = {"budgets": {"flops": [2e11, 4e11, 8e11]}, "tokens": [250_000, 500_000, 1_000_000, 2_000_000]}


@pytest.mark.parametrize("quantity", ["parameters", "non_embedding_parameters"])
def test_every_size_spends_its_budget(quantity: str) -> None:
    sizes = [50_000, 100_000, 200_000, 400_000]
    tasks = planned_tasks(ladder(scaling={"budgets": {quantity: sizes}}))
    assert len(tasks) == 8
    spent = sorted(getattr(cost, quantity)(task.architecture) for task in tasks)
    for found, size in zip(spent, sorted(sizes * 2), strict=True):
        assert found == pytest.approx(size, rel=0.01)


@pytest.mark.parametrize("lengths", [{"tokens": [250_000, 500_000, 1_000_000]}, {"tokens": None, "tokens_per_parameter": [5, 10, 20, 40]}])
def test_isoflop_grids_spend_equal_flops_at_sizes_that_differ(lengths: dict[str, Any]) -> None:
    study = ladder(scaling={**ISOFLOP, **lengths, "shapes": {"thin": {}}})
    assert study.scaling is not None
    assert not study.proxy.cooldowns
    count = len(study.scaling.lengths)
    tasks = planned_tasks(study)
    assert len(tasks) == 3 * count
    steps = [RunLength.of(task.recipe(study.proxy), task.architecture) for task in tasks]
    flops = [
        plan.steps * plan.tokens_per_step * cost.training_flops_per_token(task.architecture, 32)
        for plan, task in zip(steps, tasks, strict=True)
        if plan.steps
    ]
    for place, budget in enumerate(study.scaling.budgets.values):
        assert flops[place * count : (place + 1) * count] == pytest.approx([budget] * count, rel=0.005)
        sizes = {cost.parameters(task.architecture) for task in tasks[place * count : (place + 1) * count]}
        assert len(sizes) == count
    asked = sorted(study.scaling.lengths)
    reached = sorted((task.tokens or 0) / (1 if study.scaling.tokens else cost.parameters(task.architecture)) for task in tasks[-count:])
    assert reached == pytest.approx(asked, rel=0.05)


def test_one_training_serves_all_token_counts_of_its_size() -> None:
    study = ladder()
    assert study.proxy.tokens == 256 * STEP
    assert study.proxy.cooldowns == (0.25, 0.5)
    for task in planned_tasks(study):
        assert loss_tokens(task.recipe(study.proxy), task) == (64 * STEP, 128 * STEP, 256 * STEP)
        paid = paid_tokens(task.architecture, task.recipe(study.proxy))
        assert paid == STEP * (256 + math.ceil(0.3 * 64) + math.ceil(0.3 * 128))
        assert paid < sum((64, 128, 256)) * STEP


def test_tokens_per_parameter_follow_each_size() -> None:
    study = ladder(scaling={"tokens": None, "tokens_per_parameter": [1, 2, 4]})
    for task in planned_tasks(study):
        sizes = cost.parameters(task.architecture)
        found = loss_tokens(task.recipe(study.proxy), task)
        assert found == pytest.approx([sizes, 2 * sizes, 4 * sizes], abs=STEP)


def test_numbers_are_places_by_flops_and_later_seeds_come_after_all_others() -> None:
    study = ladder(scaling={"seeds": 2}, search={"seed": 5})
    tasks = planned_tasks(study)
    assert tasks == planned_tasks(study)
    assert [task.number for task in tasks] == list(range(16))
    assert [task.kind for task in tasks] == [Kind.GRID] * 8 + [Kind.REPLICATE] * 8
    assert [task.seed for task in tasks] == [5] * 8 + [6] * 8
    assert [task.replicates for task in tasks[8:]] == list(range(8))
    assert [task.architecture for task in tasks[8:]] == [task.architecture for task in tasks[:8]]
    flops = [(task.tokens or 0) * cost.training_flops_per_token(task.architecture, 32) for task in tasks[:8]]
    assert flops == sorted(flops)
    handed_out = largest_first(tasks, study)
    assert {task.number for task in handed_out[:4]} == {6, 7, 14, 15}
    assert [task.number for task in handed_out[-2:]] == [0, 8]


def test_shapes_that_come_out_equal_are_one_training_under_both_names() -> None:
    tasks = planned_tasks(ladder(scaling={"shapes": {"one": {}, "two": {"like": "deep-thin"}}}))
    assert [task.name for task in tasks] == ["one and two"] * 4


def test_a_shape_keeps_its_proportions_where_sizes_let_it() -> None:
    study = ladder(scaling={"budgets": {"parameters": [4_000_000, 16_000_000]}, "shapes": {"flat": {"num_unique_layers": 6}, **SHARED}})
    shapes = {(task.name, cost.parameters(task.architecture) > 8e6): task.architecture for task in planned_tasks(study)}
    assert all(shapes["flat", large].num_unique_layers == 6 for large in (False, True))
    for large in (False, True):
        shared = shapes["shared", large]
        assert shared.sharing.repeats == 2
        assert shared.num_hidden_layers == 2 * shared.num_unique_layers
        assert shared.hidden_size / shared.num_unique_layers == pytest.approx(24, rel=0.15)
    kept = Proportions.of(shapes["flat", True])
    assert kept.mlp_ratio == pytest.approx(proportions(ShapeSpec()).mlp_ratio, rel=0.1)


SAID: dict[str, tuple[dict[str, Any], str]] = {
    "no budget": ({"scaling": {"budgets": {}}}, "exactly one of `parameters`, `non_embedding_parameters` and `flops`, found none"),
    "two budgets": (
        {"scaling": {"budgets": {"parameters": [1], "flops": [1e9]}}},
        "exactly one of .*, found parameters, flops",
    ),
    "falling": ({"scaling": {"budgets": {"parameters": [200_000, 100_000]}}}, "parameters must ascend, found 200000, 100000"),
    "no tokens": ({"scaling": {"tokens": None}}, "either `tokens` or `tokens_per_parameter`"),
    "both": ({"scaling": {"tokens_per_parameter": [20]}}, "either `tokens` or `tokens_per_parameter`"),
    "falling tokens": ({"scaling": {"tokens": [2_000, 1_000]}}, "tokens must ascend, found 2000, 1000"),
    "two depths": (
        {"scaling": {"shapes": {"a": {"aspect_ratio": 9, "num_unique_layers": 3}}}},
        "one of `aspect_ratio` and `num_unique_layers`, found both",
    ),
    "no shape": ({"scaling": {"shapes": {}}}, "shapes"),
    "a form": ({"scaling": {"form": "chinchila"}}, "form"),
    "tokens twice": ({"proxy": {"tokens": 9_999}}, "must not state tokens beside `scaling`"),
    "cooldowns": ({"proxy": {"cooldowns": [0.5]}}, "must not state cooldowns beside `scaling`"),
    "a budget beside": ({"budget": {"parameters": 100_000}}, "neither budget nor search.trials"),
    "trials": ({"search": {"trials": 3}}, "neither budget nor search.trials"),
    "dimensions": ({"space": {"hidden_size": [32, 64]}}, "space must state only .*, found hidden_size; write proportions in scaling"),
    "two constants": ({"space": {"rope_theta": [100, 1_000]}}, "space.rope_theta must be one value beside `scaling`, .*; choose one"),
    "vocabularies": ({"space": {"vocab_size": [300, 512]}}, "space.vocab_size must be one number beside `scaling`"),
    "cosine": ({"proxy": {"schedule": "cosine"}}, "cooldowns need the schedule wsd"),
    "too short": ({"scaling": {"tokens": [STEP, 256 * STEP]}}, "the first cooldown must not begin to decay within the warm-up"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), SAID.values(), ids=SAID)
def test_a_study_that_cannot_be_is_refused_in_a_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        ladder(**changes)


def test_a_shape_that_cannot_spend_a_budget_or_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SpecError, match=r"scaling\.shapes\.thin has no shape of 900 parameters .* leave that budget or shape out"):
        planned_tasks(ladder(scaling={"budgets": {"parameters": [900]}}))
    with pytest.raises(SpecError, match=r"scaling\.shapes: mobilelm-125m is unknown; did you mean `mobilellm-125m`"):
        planned_tasks(ladder(scaling={"shapes": {"a": {"like": "mobilelm-125m"}}}))


def test_a_study_with_scaling_has_no_space_to_search() -> None:
    with pytest.raises(SpecError, match="ladder must be a search here, found a study with `scaling`"):
        _ = ladder().search_space


def warnings(form: str, **scaling: Any) -> list[str]:
    study = ladder(scaling={"form": form, **scaling})
    return list(resolution(form, rows_of(plan_rows(study, planned_tasks(study)))).warnings)


THIN: dict[str, Any] = {"shapes": {"thin": {}}}


def test_a_grid_that_identifies_its_form_has_no_warning() -> None:
    sizes = {"budgets": {"parameters": [50_000, 100_000, 200_000, 400_000, 800_000]}}
    assert warnings("chinchilla", **sizes, **THIN) == []
    assert warnings("power", **sizes, **THIN) == []
    assert warnings("isoflop", **ISOFLOP, **THIN) == []


WARNED: dict[str, tuple[str, dict[str, Any], str]] = {
    "N and D move together": (
        "chinchilla",
        {"budgets": {"parameters": [50_000, 100_000, 200_000, 400_000]}, "tokens": None, "tokens_per_parameter": [20]},
        r"log params and log tokens move together \(correlation 1.000\).*add other tokens per parameter",
    ),
    "one token count": ("chinchilla", {"tokens": [256 * STEP]}, "all trainings have the same tokens, .*; add to scaling.tokens"),
    "few sizes": ("chinchilla", {"budgets": {"parameters": [100_000, 200_000]}}, "2 sizes are too few for chinchilla, which needs 4"),
    "few token counts": ("chinchilla", {"tokens": [128 * STEP, 256 * STEP]}, "2 token counts are too few for chinchilla"),
    "one depth": (
        "shape",
        {"shapes": {"flat": {"num_unique_layers": 2}}},
        "all trainings have the same depth, .* shape .*; add shapes with another aspect_ratio or num_unique_layers",
    ),
    "no sharing": ("shape", {}, "all trainings have the same repeats, .*; add a shape with sharing"),
    "few losses": ("chinchilla", {"budgets": {"parameters": [100_000]}}, "3 losses cannot fix the 5 unknowns of chinchilla"),
    "no parabolas": ("isoflop", {}, "a budget of FLOPs is spent at"),
}  # fmt: skip


@pytest.mark.parametrize(("form", "scaling", "said"), WARNED.values(), ids=WARNED)
def test_a_grid_that_cannot_identify_its_form_is_warned_of_with_the_cure(form: str, scaling: dict[str, Any], said: str) -> None:
    found = warnings(form, **{**THIN, **scaling} if form != "shape" else scaling)
    assert any(re.search(said, warning) for warning in found), found


def test_depth_is_told_from_width_only_where_shapes_differ_in_more_than_size() -> None:
    sizes = {"budgets": {"parameters": [1_000_000, 4_000_000, 16_000_000, 64_000_000]}}
    alike = warnings("shape", **sizes, shapes={"one": {"aspect_ratio": 24}, **SHARED})
    assert any("would stay open" in warning and "add shapes with other aspect_ratios" in warning for warning in alike), alike
    apart = {f"a{ratio}": {"aspect_ratio": ratio} for ratio in (12, 48, 192)}
    assert warnings("shape", **sizes, shapes={**apart, **SHARED}) == []


def test_the_forecast_of_a_grid_sharpens_as_it_widens() -> None:
    narrow, wide = (
        resolution("chinchilla", {"params": sizes, "tokens": tokens}).exponents
        for sizes, tokens in (
            map(np.array, zip(*itertools.product(10.0 ** np.linspace(6, top, 5), 10.0 ** np.linspace(8, top + 2, 4)), strict=True))
            for top in (7.5, 9)
        )
    )
    assert wide["alpha"] < narrow["alpha"]
    assert wide["beta"] < narrow["beta"]


def handed_out(agenda: Agenda) -> list[int]:
    numbers = []
    while isinstance(task := agenda.next(), TrialTask):
        numbers.append(task.number)
        agenda.add(fakes.plausible(task))
    assert task is NoTask.END
    return numbers


def agenda_of(study: StudySpec, records: list[TrialRecord] | None = None, left_out: Container[int] = ()) -> Agenda:
    def never() -> Any:
        raise AssertionError("nothing is proposed")

    return Agenda(study, (), records or [], never, largest_first(planned_tasks(study), study), left_out)


def test_a_plan_is_handed_out_largest_first_once_and_continues_with_what_has_no_record() -> None:
    study = ladder(scaling={"seeds": 2})
    first = agenda_of(study)
    assert first.count == 16
    order = handed_out(first)
    assert sorted(order) == list(range(16))
    assert first.finished
    done = [first.records[number] for number in order[:5]]
    again = agenda_of(study, done)
    assert not again.finished
    assert handed_out(again) == order[5:]


def test_what_is_out_of_reach_is_not_handed_out_and_its_record_of_before_is_kept() -> None:
    study = ladder()
    whole = agenda_of(study)
    handed_out(whole)
    agenda = agenda_of(study, [whole.records[7]], left_out={6: "too large", 7: "too large"})
    assert agenda.count == 7
    assert handed_out(agenda) == [5, 4, 3, 2, 1, 0]
    assert agenda.finished
    assert 7 in agenda.records
