"""Trials as flat rows of plain values: one form for the report's tables, MLflow's tables and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.fronts.front import Front
from analysis.fronts.membership import Membership, ShapePosterior
from analysis.records.health_checks import check_results, failed_checks
from analysis.records.record import FinalRecord, Kind, TrialRecord
from analysis.records.replicates import averaged
from analysis.records.training import Quality
from search_space.fields import FIELDS


def front_rows(
    records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership
) -> list[dict[str, Any]]:
    """One row per member of the front, fastest first, then the finished references that are not members.

    The validation numbers of a shape with replicates are the means of its seeds.
    """
    by_number = {record.number: record for record in averaged(records)}
    beaten = [n for n, place in sorted(front.places.items()) if place.kind is Kind.REFERENCE and n not in front.members]
    return [trial_row(by_number[number], finals.get(number), front, membership) for number in (*front.members, *beaten)]


def trial_row(record: TrialRecord, final: FinalRecord | None, front: Front, membership: Membership) -> dict[str, Any]:
    """One trial; what was not measured is None. `failed_checks` names the health checks that fail, nothing where all is well."""
    a, training = record.architecture, record.training
    searched, again = record.latency, final.latency if final else None
    return {
        "trial": record.number,
        "kind": record.kind.value,
        "name": record.name,
        "shape": a.label,
        "outcome": record.outcome.value,
        "replicates": record.replicates,
        "reused_from": training.reused_from if training else None,
        "seeds": len(front.places[record.number].qualities) if record.number in front.places else None,
        "on_front": record.number in front.members,
        **_standing(membership.posteriors.get(record.number), front),
        "recommended": record.number == membership.recommended,
        "latency_ms": again.total_ms.median if again else searched.total_ms.median if searched else None,
        "searched_latency_ms": searched.total_ms.median if searched else None,
        "final_latency_ms": again.total_ms.median if again else None,
        **_quality("validation", training.validation if training else None),
        **_quality("test", final.test if final else None),
        "fresh_seed_test_bits_per_byte": final.fresh.test.bits_per_byte if final and final.fresh and final.fresh.test else None,
        "parameters": record.costs.parameters,
        "num_hidden_layers": a.num_hidden_layers,
        **{field.name: field.cell(a) for field in FIELDS if field.column},
        "failed_checks": ", ".join(result.check.name for result in failed_checks(record)) if check_results(record) else None,
    }


def _standing(posterior: ShapePosterior | None, front: Front) -> dict[str, Any]:
    """The 90 % interval of the true quality, the probability of being on the front, and the shapes that tie."""
    return {
        "front_probability": posterior and posterior.on_front,
        f"credible_{front.quality}_low": posterior and posterior.low,
        f"credible_{front.quality}_high": posterior and posterior.high,
        "ties": posterior and list(posterior.ties),
    }


def _quality(split: str, quality: Quality | None) -> dict[str, float | None]:
    names = ("bits_per_byte", "next_token_accuracy")
    return {f"{split}_{name}": getattr(quality, name) if quality else None for name in names}
