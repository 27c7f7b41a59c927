"""Fronts of three objectives, and of others than the usual two: what stands on them, how sure that is, and how it is said and drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from analysis.fronts.findings import compare_with_reference, findings
from analysis.fronts.front import REFERENCE_MARGIN, Front, front_of
from analysis.fronts.membership import estimate_membership, picks
from analysis.fronts.rows import front_rows
from analysis.objectives.observed import Observed
from analysis.objectives.problem import STANDARD, Problem, problem_of
from analysis.objectives.quality import ROUNDING_LOSS
from analysis.objectives.registry import OBJECTIVES
from analysis.records.record import Kind, TrialRecord
from analysis.records.task_score import TaskFigures, TaskScore
from analysis.report.figures import LABELLED, front_figures
from analysis.report.study_page import report_page
from analysis.report.tables import front_table
from analysis.terminal.front_text import front_text
from tests.support.sample_study import as_rounded, sample_finals, sample_records, sample_summary

RECORDS = sample_records(40)
FINALS = sample_finals(RECORDS)
NAMES = ("bits_per_byte", "total_ms", "kv_cache_bytes")
THREE = problem_of(NAMES)


def front() -> Front:
    return front_of(RECORDS, FINALS, THREE)


def brute_members(found: Front) -> set[int]:
    costs = {number: found.costs(number) for number in found.points}
    return {n for n, b in costs.items() if not any(a != b and all(x <= y for x, y in zip(a, b, strict=True)) for a in costs.values())}


def test_a_shape_is_on_the_front_of_three_where_nothing_beats_it_in_all_of_them() -> None:
    found = front()
    assert set(found.members) == brute_members(found)
    assert set(front_of(RECORDS, FINALS).members) <= set(found.members), "a third objective takes nothing off a front without ties"
    assert len(found.members) > len(front_of(RECORDS, FINALS).members)
    latencies = [found.points[number].values[1] for number in found.members]
    assert latencies == sorted(latencies), "listed by what is known first"


NAMED = ("bits_per_byte.code", "accuracy.piqa", "normalised_accuracy.piqa", "answer_bits_per_byte.piqa")


@pytest.mark.parametrize("name", [*OBJECTIVES, *NAMED])
def test_a_column_of_the_test_split_is_there_where_that_split_tells_the_objective(name: str) -> None:
    """A named validation set or task has no other part, so that such a column would stay empty, in the report and in MLflow."""
    records = [_judged_by_names(as_rounded(record, 0.01)) for record in RECORDS]
    problem = problem_of([name, "kv_cache_bytes" if name == "weight_bytes" else "weight_bytes"])
    found = front_of(records, FINALS, problem)
    membership = estimate_membership(found)
    row = front_rows(records, FINALS, found, membership)[0]
    tested = {key for key in row if key.endswith(f"test_{name}")}
    of_a_split = name in ("bits_per_byte", "next_token_accuracy", ROUNDING_LOSS)
    assert tested == ({f"test_{name}", f"fresh_seed_test_{name}"} if of_a_split else set())
    heading = found.objectives[problem.names.index(name)].heading(", test")
    assert (f"{heading}<" in front_table(records, FINALS, found, membership)) == of_a_split


def _judged_by_names(record: TrialRecord) -> TrialRecord:
    """The record with a named validation set and a task."""
    training = record.training
    if training is None or training.validation is None:
        return record
    right = training.validation.next_token_accuracy
    figures = TaskFigures(accuracy=right, normalised_accuracy=right, answer_bits_per_byte=training.validation.bits_per_byte)
    score = TaskScore(questions=100, questions_sha256="0" * 64, chance=0.1, in_float32=figures)
    judged = dataclasses.replace(training, validations={"code": training.validation}, tasks={"piqa": score})
    return dataclasses.replace(record, training=judged)


@pytest.mark.parametrize("names", [*combinations(OBJECTIVES, 2), NAMES, ("weight_bytes", "training_flops", "next_token_accuracy")])
def test_any_objectives_make_a_front(names: tuple[str, ...]) -> None:
    records = [as_rounded(record, 0.01 + 1e-4 * record.number) for record in RECORDS] if ROUNDING_LOSS in names else RECORDS
    found = front_of(records, FINALS, problem_of(names))
    assert set(found.members) == brute_members(found)
    assert found.knee in found.members
    assert 0 < found.hypervolume < 1
    for place, objective in enumerate(found.objectives):
        best = found.best(place)
        assert best is not None
        assert found.costs(best)[place] == min(found.costs(number)[place] for number in found.members)
        assert found.points[best].values[place] == pytest.approx(objective.cost(found.costs(best)[place]))


def test_the_corner_of_three_lies_beyond_the_worst_reference_in_each() -> None:
    found = front()
    references = [point.values for point in found.points.values() if point.kind is Kind.REFERENCE]
    assert found.reference_point == pytest.approx(REFERENCE_MARGIN * np.max(references, axis=0))


def test_a_closed_form_is_in_no_doubt_and_a_seed_moves_the_others() -> None:
    found = front()
    membership = estimate_membership(found)
    assert [noise is None for noise in membership.noises] == [False, True, True]
    for number, posterior in membership.posteriors.items():
        assert [interval is None for interval in posterior.intervals] == [False, True, True]
        assert 0 <= posterior.on_front <= 1
        assert membership.interval(number, 0) == posterior.intervals[0]
    smallest = min(found.points, key=lambda number: (found.costs(number)[2], found.costs(number)[0]))
    alone = [n for n in found.points if found.costs(n)[2] == found.costs(smallest)[2]]
    if len(alone) == 1:
        assert membership.posteriors[smallest].on_front == 1.0, "nothing has as small a cache, and a cache is counted"
    two = estimate_membership(front_of(RECORDS, FINALS))
    assert two.noises[0] == membership.noises[0]
    assert {n: p.intervals[0] for n, p in two.posteriors.items()} == {n: p.intervals[0] for n, p in membership.posteriors.items()}
    assert all(membership.posteriors[n].on_front >= two.posteriors[n].on_front - 1e-9 for n in found.points), "more ways not to be beaten"


def test_objectives_of_closed_forms_alone_make_a_front_without_doubt() -> None:
    found = front_of(RECORDS, FINALS, problem_of(["kv_cache_bytes", "weight_bytes"]))
    membership = estimate_membership(found)
    assert {n for n, posterior in membership.posteriors.items() if posterior.on_front == 1.0} == set(found.members)
    assert {n for n, posterior in membership.posteriors.items() if posterior.on_front == 0.0} == set(found.points) - set(found.members)
    assert findings(RECORDS, FINALS, found, estimate_membership(found))


def test_a_measured_objective_is_drawn_from_second_measurements_and_replicates() -> None:
    found = front_of(RECORDS, FINALS, problem_of(["bits_per_byte", "load_ms"]))
    readings = [point.readings[1] for point in found.points.values()]
    assert all(
        reading.spread is None and reading.remeasured == (point.number in FINALS)
        for point, reading in zip(found.points.values(), readings, strict=True)
    )
    assert {len(reading.trials) for reading in readings} == {1, 2}, "a replicate measures again too"


def test_the_order_of_a_studys_objectives_says_which_shape_is_recommended() -> None:
    by_quality, by_speed = (
        front_of(RECORDS, FINALS, problem_of(names)) for names in (NAMES, ("total_ms", "bits_per_byte", "kv_cache_bytes"))
    )
    assert by_quality.members == by_speed.members
    fastest = by_speed.best(0)
    assert fastest == by_quality.best(1)
    recommended = [estimate_membership(found).recommended for found in (by_quality, by_speed)]
    assert recommended[0] is not None
    ties = estimate_membership(by_speed).posteriors[fastest or 0].ties
    assert ties is not None
    assert recommended[1] == fastest or recommended[1] in ties


def test_the_picks_are_the_recommended_the_knee_and_the_best_in_each() -> None:
    found = front()
    chosen = picks(found, estimate_membership(found))
    titles = [title for titles in chosen.values() for title in titles]
    assert sorted(titles) == sorted(["recommended", "most accurate", "knee", "fastest", "smallest in its KV cache"])
    assert set(chosen) <= set(found.members)


def test_a_reference_is_beaten_in_one_objective_at_no_price_in_the_others() -> None:
    found = front()
    reference = next(n for n, point in found.points.items() if point.kind is Kind.REFERENCE)
    held = compare_with_reference(found, reference)
    for place, number in enumerate(held.better):
        if number is not None:
            assert found.costs(number)[place] < found.costs(reference)[place]
            assert all(ours <= theirs for ours, theirs in zip(found.costs(number), found.costs(reference), strict=True))
    text = "\n".join(findings(RECORDS, FINALS, found, estimate_membership(found)))
    assert "on the front of latency, bits per byte and KV cache." in text
    assert "memory for the KV cache" in text


def test_a_limit_that_a_training_passes_is_infeasible_and_said() -> None:
    free = front_of(RECORDS, FINALS, THREE)
    limit = sorted(point.values[0] for point in free.points.values())[len(free.points) // 2]
    bounded = front_of(RECORDS, FINALS, problem_of(NAMES, {"bits_per_byte": limit}))
    assert bounded.points.keys() == free.points.keys()
    assert all(bounded.points[number].values[0] <= limit for number in bounded.members)
    over = [number for number, point in bounded.points.items() if point.infeasible is not None]
    assert over
    assert all(bounded.points[number].values[0] > limit for number in over)
    assert all(estimate_membership(bounded).posteriors[number].on_front == 0 for number in over)
    assert bounded.reference_point == free.reference_point
    text = "\n".join(findings(RECORDS, FINALS, bounded, estimate_membership(bounded)))
    assert f"{len(over)} shapes finished and are infeasible, such as #{over[0]}: its bits per byte of" in text
    assert "infeasible" in report_page(sample_summary(), RECORDS, FINALS, problem=bounded.problem)
    assert "are infeasible" not in "\n".join(findings(RECORDS, FINALS, free, estimate_membership(free)))


def test_a_limit_that_nothing_keeps_leaves_no_front_and_a_page_all_the_same() -> None:
    nothing = front_of(RECORDS, FINALS, problem_of(NAMES, {"bits_per_byte": 0.1}))
    assert (nothing.members, nothing.knee, nothing.hypervolume) == ((), None, 0.0)
    assert "There is no front: no trial finished with latency, bits per byte and KV cache within all limits." in front_text(
        RECORDS, FINALS, nothing
    )
    assert "There is no front" in report_page(sample_summary(), RECORDS, FINALS, problem=nothing.problem)


def test_a_limit_known_before_the_training_judges_no_finished_trial_again() -> None:
    assert front_of(RECORDS, FINALS, problem_of(NAMES, {"total_ms": 1.0})).members == front().members


def test_a_shape_without_one_of_the_numbers_is_no_place() -> None:
    blind = [dataclasses.replace(r, latency=r.latency and dataclasses.replace(r.latency, load_ms=None)) for r in RECORDS]
    assert not front_of(blind, {}, problem_of(["bits_per_byte", "load_ms"])).points
    assert front_of(blind, FINALS, problem_of(["bits_per_byte", "total_ms"])).members == front_of(RECORDS, FINALS).members


def test_rows_have_a_column_for_each_objective_and_what_is_known_beside_it() -> None:
    found = front()
    rows = front_rows(RECORDS, FINALS, found, estimate_membership(found))
    assert [row["trial"] for row in rows][: len(found.members)] == [*found.members]
    for row in rows:
        point = found.points[row["trial"]]
        assert tuple(row[name] for name in NAMES) == pytest.approx(point.values)
        assert row["credible_bits_per_byte_low"] < row["credible_bits_per_byte_high"]
        assert "credible_total_ms_low" not in row
        assert row["kv_cache_bytes"] == point.values[2]
        assert row["next_token_accuracy"] is not None, "shown beside"
        assert (row["final_total_ms"] is None) == (row["trial"] not in FINALS)


def drawn(figure: Any) -> list[tuple[float, float]]:
    return [point for trace in figure.data if "markers" in trace.mode for point in zip(trace.x, trace.y, strict=True)]


def test_every_pair_has_a_figure_and_the_third_is_its_colour() -> None:
    found = front()
    figures = front_figures(RECORDS, found)
    assert list(figures) == ["bits_per_byte-total_ms", "kv_cache_bytes-total_ms", "bits_per_byte-kv_cache_bytes"]
    for name, figure in figures.items():
        y, x = (NAMES.index(each) for each in name.split("-"))
        assert sorted(drawn(figure)) == sorted((point.values[x], point.values[y]) for point in found.points.values())
        third = OBJECTIVES[next(each for each in NAMES if each not in name.split("-"))]
        assert third.words.label in figure.layout.title.subtitle.text
        assert figure.layout.coloraxis.colorbar.title.text.startswith(third.words.title)
        assert figure.layout.coloraxis.reversescale, "the best is yellow, and all three are better where smaller"
        [members] = [trace for trace in figure.data if trace.name == "on the front"]
        place = NAMES.index(third.name)
        values = [found.points[n].values[place] for n in found.members if found.points[n].kind is not Kind.REFERENCE]
        shown = np.power(10.0, members.marker.color) if third.scale == "log" else np.array(members.marker.color)
        assert sorted(shown) == pytest.approx(sorted(values))
        [line] = [trace for trace in figure.data if trace.name == "front of these two alone"]
        pair = front_of(RECORDS, FINALS, problem_of([NAMES[y], NAMES[x]]))
        assert sorted(zip(line.x, line.y, strict=True)) == sorted(
            (pair.points[n].values[1], pair.points[n].values[0]) for n in pair.members
        )


def test_a_crowded_front_has_the_numbers_of_its_picks_alone() -> None:
    found = front()
    assert len(found.members) > LABELLED
    for figure in front_figures(RECORDS, found).values():
        [members] = [trace for trace in figure.data if trace.name == "on the front"]
        named = {text for text in members.text if text}
        assert named <= {f"#{number}" for number in picks(found, estimate_membership(found))}


@pytest.mark.parametrize("problem", [STANDARD, THREE, problem_of(["next_token_accuracy", "decode_ms_per_token", "cold_start_ms"])], ids=str)
def test_the_page_and_the_terminal_name_every_objective(problem: Problem) -> None:
    page = report_page(sample_summary(), RECORDS, FINALS, problem=problem)
    text = front_text(RECORDS, FINALS, front_of(RECORDS, FINALS, problem))
    for objective in problem.objectives:
        assert objective.words.label in page
        assert (objective.words.short or objective.words.label) in text
        assert objective.words.best in text
    pairs = combinations(problem.names, 2)
    assert all(f'id="plot-{a}-{b}"'.replace("_", "-") in page or f'id="plot-{b}-{a}"'.replace("_", "-") in page for a, b in pairs)


def test_the_mean_of_the_seeds_counts_on_named_validation_sets_too() -> None:
    def with_code(records: Iterable[TrialRecord]) -> list[TrialRecord]:
        return [
            dataclasses.replace(r, training=dataclasses.replace(r.training, validations={"code": r.training.validation}))
            if r.training and r.training.validation
            else r
            for r in records
        ]

    found = front_of(with_code(RECORDS), FINALS, problem_of(["bits_per_byte.code", "total_ms", "bits_per_byte"]))
    assert all(point.values[0] == point.values[2] for point in found.points.values())
    repeated = next(point for point in found.points.values() if len(point.readings[0].trials) == 2)
    assert repeated.values[0] == pytest.approx(np.mean(repeated.readings[0].trials))
    assert Observed.of(RECORDS[0]).validations == {}
    assert [noise is None for noise in estimate_membership(found).noises] == [False, True, False]
    assert "bits per byte of code" in "\n".join(findings(with_code(RECORDS), FINALS, found, estimate_membership(found)))
