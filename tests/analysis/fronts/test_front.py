from __future__ import annotations

import dataclasses

import pytest
from hypothesis import strategies as st

from analysis.fronts.findings import compare_with_reference, findings
from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership, picks
from analysis.objectives.problem import problem_of
from analysis.records.latency import Latency
from analysis.records.record import FinalRecord, Kind, Outcome, TrialRecord
from analysis.records.training import Quality
from tests.support.sample_study import sample_finals, sample_records

Point = tuple[float, float]
GRID = st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), max_size=20)
"""A coarse grid, so that ties and equal points are common."""
BITS, MS = 0, 1
"""Places of the usual objectives."""
RECORDS = sample_records()
FINALS = sample_finals(RECORDS)


def dominates(a: Point, b: Point) -> bool:
    return a[0] <= b[0] and a[1] <= b[1] and a != b


def with_numbers(record: TrialRecord, latency_ms: float, bits_per_byte: float, **changes: object) -> TrialRecord:
    """The record as if it had measured these."""
    assert record.training is not None
    quality = Quality(loss=bits_per_byte, bits_per_byte=bits_per_byte, next_token_accuracy=0.5 - bits_per_byte / 10, tokens=1)
    training = dataclasses.replace(record.training, validation=quality)
    changed: dict[str, object] = {"latency": with_latency(record, latency_ms), "training": training, **changes}
    return dataclasses.replace(record, **changed)  # type: ignore[arg-type]


def with_latency(record: TrialRecord, latency_ms: float) -> Latency:
    assert record.latency is not None
    spread = dataclasses.replace(record.latency.total_ms, median=latency_ms, p10=0.99 * latency_ms, p90=1.01 * latency_ms)
    return dataclasses.replace(record.latency, total_ms=spread)


def study(references: list[Point], sampled: list[Point]) -> list[TrialRecord]:
    """Finished trials at these places, the references first."""
    shapes = sample_records(7)[2:]
    records = [with_numbers(shapes[0], *point, number=n, kind=Kind.REFERENCE, name=f"ref-{n}") for n, point in enumerate(references)]
    return records + [with_numbers(shapes[n % 5], *point, number=len(references) + n) for n, point in enumerate(sampled)]


def test_only_finished_trials_with_both_numbers_stand_on_a_front() -> None:
    records = [with_numbers(RECORDS[2], 1.0, 0.1, outcome=outcome) for outcome in Outcome if outcome is not Outcome.FINISHED]
    records.append(dataclasses.replace(RECORDS[3], latency=None))
    records.append(dataclasses.replace(RECORDS[4], training=None))
    found = front_of(records)
    assert not found.points
    assert found.members == ()
    assert (found.knee, found.best(MS), found.best(BITS), found.reference_point) == (None, None, None, None)
    assert found.hypervolume == 0.0


def test_the_front_of_a_study_names_its_ends() -> None:
    found = front_of(study([(30, 2.4)], [(10, 2.5), (20, 2.2), (21, 2.2), (40, 2.1)]))
    assert found.members == (1, 2, 4)
    assert (found.best(MS), found.knee, found.best(BITS)) == (1, 2, 4)
    assert picks(found) == {4: ["most accurate"], 2: ["knee"], 1: ["fastest"]}


def test_both_qualities_are_better_on_the_same_side() -> None:
    accuracy = front_of(RECORDS, FINALS, problem_of(["next_token_accuracy", "total_ms"]))
    assert accuracy.members == front_of(RECORDS, FINALS).members  # the sample's accuracy is a function of its loss
    best = accuracy.best(0)
    assert best is not None
    assert accuracy.points[best].values[0] == max(point.values[0] for point in accuracy.points.values())
    assert 0 < accuracy.hypervolume < 1


def test_a_second_measurement_counts_and_the_first_is_kept() -> None:
    records = study([], [(10, 2.2), (20, 2.3)])
    again = {0: FinalRecord(number=0, latency=with_latency(records[0], 30.0), measured_at="2026-01-01T00:00:00+00:00")}
    found = front_of(records, again)
    assert found.points[0].values[MS] == 30.0
    assert (found.points[0].readings[MS].searched, found.points[0].readings[MS].remeasured) == (10.0, True)
    assert front_of(records).members == (0,)
    assert found.members == (1, 0), "the other trial was beaten only by a time that did not hold"


def test_a_final_record_without_latency_leaves_the_first_one() -> None:
    records = study([], [(10, 2.2)])
    assert front_of(records, {0: FinalRecord(number=0, measured_at="2026-01-01T00:00:00+00:00")}).points[0].values[MS] == 10


def test_the_hypervolume_grows_with_a_study_because_its_corner_stands_still() -> None:
    sizes = [front_of(RECORDS[:count]).hypervolume for count in range(2, len(RECORDS) + 1)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    assert front_of(RECORDS).reference_point == front_of(RECORDS[:2]).reference_point


def test_without_references_the_corner_lies_beyond_every_trial() -> None:
    corner = front_of(study([], [(10, 2.5), (20, 2.0)])).reference_point
    assert corner == pytest.approx((2.75, 22))


def test_a_reference_is_compared_with_sampled_shapes_only() -> None:
    found = front_of(study([(30, 2.4), (10, 2.3)], [(20, 2.4), (25, 2.2), (30, 2.1)]))
    held = compare_with_reference(found, 0)
    assert (held.better[MS], held.better[BITS]) == (2, 4)
    held = compare_with_reference(found, 1)
    assert held.better == (None, None)


def said(records: list[TrialRecord], finals: dict[int, FinalRecord] | None = None) -> str:
    front = front_of(records, finals)
    return "\n".join(findings(records, finals or {}, front, estimate_membership(front)))


def test_findings_say_by_how_much_a_reference_is_beaten() -> None:
    text = said(study([(30, 2.4)], [(15, 2.35), (29, 2.1)]))
    assert "Against ref-0 (30.0 ms, 2.400 bits per byte): #1 takes 50% less time at no worse bits per byte (15.0 ms, 2.350" in text
    assert "#2 has 0.300 fewer bits per byte in no more time (29.0 ms, 2.100" in text


def test_findings_call_a_time_within_the_spread_a_tie() -> None:
    assert "a tie" in said(study([(30, 2.4)], [(29.9, 2.4)]))
    assert "a tie" not in said(study([(30, 2.4)], [(25, 2.4)]))


def test_findings_say_that_a_reference_is_not_beaten() -> None:
    assert "No sampled shape beats ref-0 (30.0 ms, 2.400 bits per byte)" in said(study([(30, 2.4)], [(15, 2.5), (45, 2.1)]))


def test_findings_say_what_the_test_split_does_not_confirm() -> None:
    records = study([(30, 2.4)], [(15, 2.35)])
    tests = {
        number: FinalRecord(
            number=number,
            test=Quality(loss=1.0, bits_per_byte=bits, next_token_accuracy=0.4, tokens=1),
            measured_at="2026-01-01T00:00:00+00:00",
        )
        for number, bits in ((0, 2.41), (1, 2.42))
    }
    assert "On the test split #1 has 2.420 against 2.410, which does not confirm #1." in said(records, tests)


def test_findings_do_not_call_small_differences_significant() -> None:
    different_shapes = [record for record in RECORDS if record.kind is not Kind.REPLICATE]
    assert "trained with one seed" in said(different_shapes)
    noise = estimate_membership(front_of(RECORDS)).noises[BITS]
    assert noise is not None
    assert noise.freedom == 1
    assert f"Another seed moves a shape by {noise.size:.3f} bits per byte (standard deviation, from 1 replicate and a prior)" in said(
        RECORDS
    )


def test_findings_of_a_study_in_which_little_or_nothing_finished() -> None:
    assert said([]) == "No trial has ended yet."
    assert said([RECORDS[11], RECORDS[13]]).startswith("0 of 2 trials finished; 1 diverged and 1 failed.\nThere is no front")
    assert "No sampled shape has finished, so nothing is compared with deep-thin." in said(RECORDS[:1])
    lost = dataclasses.replace(RECORDS[0], outcome=Outcome.LOST, reason="gone")
    assert "deep-thin was lost, so nothing is compared with it." in said([lost, *RECORDS[2:6]])
