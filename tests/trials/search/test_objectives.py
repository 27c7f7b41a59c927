"""What proposals follow where a study names other objectives, or limits: closed forms exactly, limits before and after."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.fronts.front import front_of
from analysis.objectives.observed import Observed
from analysis.records.record import Kind, Outcome, TrialRecord
from search_space import cost
from search_space.errors import SpecError
from tests.support.fakes import answer, small_study
from trials.plans.plan_study import _objectives
from trials.search.proposer import Proposer
from trials.search.samplers import SAMPLERS
from trials.study.spec import StudySpec
from trials.trial.known_before import exact_objectives, passed_limit, require_within_limits
from trials.trial.task import TrialTask, plain, shape_observed

THREE = {"objectives": ["bits_per_byte", "total_ms", "kv_cache_bytes"]}


def proposer(study: StudySpec, sampler: str) -> Proposer:
    return Proposer(
        study.search_space,
        0,
        sampler,
        study.problem,
        exact=exact_objectives(study, None),
        accepts=lambda shape: passed_limit(study, shape) is None,
    )


def search(study: StudySpec, sampler: str, count: int) -> list[TrialRecord]:
    made, records = proposer(study, sampler), list[TrialRecord]()
    for number in range(count):
        proposal = made.propose(number, records, [])
        if proposal is None:
            break
        records.append(answer(TrialTask(number=number, kind=Kind.SAMPLED, point=plain(proposal[0]), architecture=proposal[1], seed=0)))
    return records


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_proposes_for_three_objectives(sampler: str) -> None:
    study, _ = small_study(**THREE)
    records = search(study, sampler, 16)
    assert len({record.architecture for record in records}) == 16
    assert [r.architecture for r in search(study, sampler, 16)] == [r.architecture for r in records], "a pure function"
    assert len(front_of(records, problem=study.problem).members) >= 2


def test_a_third_objective_changes_what_the_front_sampler_looks_for() -> None:
    two, three = (search(small_study(**changes)[0], "front", 20) for changes in ({}, THREE))
    assert [record.architecture for record in two] != [record.architecture for record in three]
    smallest = min(record.costs.kv_cache_bytes for record in three)
    assert smallest <= min(record.costs.kv_cache_bytes for record in two)


def test_closed_forms_are_exact_before_and_afterwards() -> None:
    study, _ = small_study(objectives=["bits_per_byte", "kv_cache_bytes", "weight_bytes"])
    exact = exact_objectives(study, None)
    assert list(exact) == ["kv_cache_bytes", "weight_bytes"]
    record = search(study, "random", 1)[0]
    for name, values in exact.items():
        objective = next(each for each in study.problem.objectives if each.name == name)
        assert list(values([record.architecture])) == [objective.value(Observed.of(record))]
    assert shape_observed(record.architecture, study.latency, study.proxy).costs == record.costs
    assert list(exact_objectives(small_study()[0], None)) == []


def test_training_flops_are_exact_where_the_tokens_are_stated() -> None:
    objectives = ["bits_per_byte", "training_flops"]
    stated, _ = small_study(objectives=objectives)
    timed, _ = small_study(objectives=objectives, proxy={"tokens": None, "seconds": 3})
    assert list(exact_objectives(stated, None)) == ["training_flops"]
    assert list(exact_objectives(timed, None)) == [], "how many tokens fit into seconds is learnt"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_shape_over_a_limit_of_a_closed_form_is_proposed(sampler: str) -> None:
    study, _ = small_study()
    sizes = sorted(cost.kv_cache_bytes(shape, 128) for _, shape in study.search_space.table())
    limit = sizes[len(sizes) // 4]
    bounded, _ = small_study(limits={"kv_cache_bytes": limit})
    assert all(record.costs.kv_cache_bytes <= limit for record in search(bounded, sampler, 14))
    assert any(record.costs.kv_cache_bytes > limit for record in search(study, sampler, 14))
    shapes = [shape for _, shape in study.search_space.table()][:50]
    kept = sum(passed_limit(bounded, shape) is None for shape in shapes)
    assert f"KV cache at most {limit / 1e3:#.3g} kB, kept by {kept} of 50 shapes looked at" in _objectives(bounded, shapes)
    assert _objectives(study, shapes) == "bits per byte (after the training) and latency (once measured)"
    later, _ = small_study(limits={"total_ms": 40, "bits_per_byte": 3})
    assert _objectives(later, shapes).endswith(
        "; latency at most 40.0 ms, which is asked once measured; bits per byte at most 3.000, which is asked after the training"
    )


def test_limits_that_no_shape_keeps_are_said_before_anything_runs() -> None:
    study, _ = small_study(limits={"weight_bytes": 1000})
    with pytest.raises(SpecError, match=r"limits: no shape of the space keeps them, such as .*is above limits\.weight_bytes"):
        require_within_limits(study)
    require_within_limits(small_study(limits={"total_ms": 1e-9})[0])  # only a measurement tells


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_limit_of_the_training_is_told_and_the_search_turns_away(sampler: str) -> None:
    study, _ = small_study(limits={"bits_per_byte": 2.2})
    records = search(study, sampler, 24)
    assert all(record.outcome is Outcome.FINISHED for record in records)
    if sampler in ("front", "nsga2"):
        kept = [record for record in records[14:] if value(record) <= 2.2]
        free = [record for record in search(small_study()[0], sampler, 24)[14:] if value(record) <= 2.2]
        assert len(kept) > len(free)


def value(record: TrialRecord) -> float:
    assert record.training is not None
    assert record.training.validation is not None
    return record.training.validation.bits_per_byte


def test_a_trial_that_was_stopped_is_told_with_what_is_known_of_it() -> None:
    study, _ = small_study(**THREE)
    made = proposer(study, "front")
    records = search(study, "random", 8)
    told: Any = made._told(records[0])
    assert told.values == pytest.approx([value(records[0]), records[0].latency.total_ms.median, records[0].costs.kv_cache_bytes])  # type: ignore[union-attr]
