"""Trials as flat rows of plain values: one form for the report's tables, MLflow's tables and the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.fronts.front import Front
from analysis.fronts.membership import Membership
from analysis.fronts.rounding import rounding_interval
from analysis.objectives.objective import Objective
from analysis.objectives.observed import Observed
from analysis.objectives.quality import ROUNDING_LOSS
from analysis.records.health_checks import check_results, failed_checks
from analysis.records.record import FinalRecord, Kind, TrialRecord
from analysis.records.replicates import averaged
from search_space.fields import FIELDS


def front_rows(
    records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership
) -> list[dict[str, Any]]:
    """One row per member of the front, in the order in which it is listed, then the finished references that are not members.

    The validation numbers of a shape with replicates are the means of its seeds.
    """
    by_number = {record.number: record for record in averaged(records)}
    beaten = [n for n, point in sorted(front.points.items()) if point.kind is Kind.REFERENCE and n not in front.members]
    return [trial_row(by_number[number], finals.get(number), front, membership) for number in (*front.members, *beaten)]


def trial_row(record: TrialRecord, final: FinalRecord | None, front: Front, membership: Membership) -> dict[str, Any]:
    """One trial; what was not measured is None. `failed_checks` names the health checks that fail, nothing where all is well.

    Every objective has a column of its name, and beside it what is known of it: `searched_` and `final_` before what was measured in the
    search and after it, `credible_` before what a seed moves, `test_` and `fresh_seed_test_` before what the test split tells.
    """
    a, training, point = record.architecture, record.training, front.points.get(record.number)
    posterior = membership.posteriors.get(record.number)
    shown = [pair for objective in front.problem.shown for pair in _columns(objective, record, final, front, membership)]
    return {
        "trial": record.number,
        "kind": record.kind.value,
        "name": record.name,
        "shape": a.label,
        "outcome": record.outcome.value,
        "replicates": record.replicates,
        "reused_from": training.reused_from if training else None,
        "seeds": _seeds(front, record.number),
        "on_front": record.number in front.members,
        "infeasible": point.infeasible if point else None,
        "front_probability": posterior and posterior.on_front,
        "ties": list(posterior.ties) if posterior and posterior.ties is not None else None,
        "recommended": record.number == membership.recommended,
        **dict(shown),
        **_rounding(record),
        "parameters": record.costs.parameters,
        "num_hidden_layers": a.num_hidden_layers,
        **{field.name: field.cell(a) for field in FIELDS if field.column},
        "failed_checks": ", ".join(result.check.name for result in failed_checks(record)) if check_results(record) else None,
    }


def _columns(
    objective: Objective, record: TrialRecord, final: FinalRecord | None, front: Front, membership: Membership
) -> Iterator[tuple[str, float | None]]:
    """An objective's own column and those beside it."""
    name, searched = objective.name, objective.value(Observed.of(record))
    if objective.noise != "measurement":
        yield name, searched
    else:
        after = objective.value(Observed.of(record, final)) if final and final.latency else None
        yield name, searched if after is None else after
        yield f"searched_{name}", searched
        yield f"final_{name}", after
    if objective.noise == "seed" and objective in front.objectives:
        known = record.number in membership.posteriors
        interval = membership.interval(record.number, front.objectives.index(objective)) if known else None
        yield f"credible_{name}_low", None if interval is None else interval.low
        yield f"credible_{name}_high", None if interval is None else interval.high
    if objective.has_splits:
        yield f"test_{name}", objective.value(Observed.judged_by(record, final.test if final else None))
        fresh = final.fresh_seed if final else None
        yield f"fresh_seed_test_{name}", objective.value(Observed.judged_by(record, fresh.test if fresh else None))


def _rounding(record: TrialRecord) -> dict[str, float | None]:
    """What rounding costs the shape, with the ends of its 90 % interval."""
    quality = record.training.validation if record.training else None
    low, high = rounding_interval(quality) or (None, None)
    return {
        ROUNDING_LOSS: None if quality is None else quality.rounding_loss,
        f"{ROUNDING_LOSS}_low": low,
        f"{ROUNDING_LOSS}_high": high,
    }


def _seeds(front: Front, number: int) -> int | None:
    """The number of seeds that the shape was trained with; None where it did not finish."""
    if number not in front.points:
        return None
    return max(len(result.trials) for result in front.points[number].readings)
