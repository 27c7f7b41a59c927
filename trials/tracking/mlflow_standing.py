"""What a trial's run is told after its own record: what was measured again, how sure its place is, and what it is picked for. Pure data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.fronts.front import Front
from analysis.fronts.membership import Membership
from analysis.fronts.picks import picked
from analysis.objectives.observed import Observed
from analysis.objectives.problem import Problem
from analysis.objectives.registry import OBJECTIVES
from analysis.records.record import FinalRecord, TrialRecord
from trials.tracking.mlflow_trial_content import as_text, is_result, objective_values

ON_FRONT, PICKS_TAG, INTERVAL_TAG = "archfront.on_front", "archfront.picks", "archfront.interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Values that may change while a study goes on; those of a trial that is on no front are few."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def standing_of(record: TrialRecord, final: FinalRecord | None, front: Front, membership: Membership) -> Standing:
    """A trial's standing on this front.

    What was measured again counts in place of the search's under the same name, as in the report; the test split has names of its own.
    """
    measured = objective_values(Observed.of(record, final), "measurement")
    values = {name: value for name, value in measured if is_result(name, front.problem)}
    values |= qualities_on_test(record, final) if final else {}
    words = [word for word, number in picked(front, membership).items() if number == record.number]
    tags = {ON_FRONT: as_text(record.number in front.members), PICKS_TAG: ", ".join(words)}
    posterior = membership.posteriors.get(record.number)
    if posterior is not None:
        values["front_probability"] = posterior.on_front
        said = []
        for objective, interval in zip(front.objectives, posterior.intervals, strict=True):
            if interval is not None:
                values |= {f"{objective.name}_low": interval.low, f"{objective.name}_high": interval.high}
                said.append(objective.between_text(interval.low, interval.high))
        tags[INTERVAL_TAG] = "; ".join(said)
    return Standing(metrics={name: value for name, value in values.items() if math.isfinite(value)}, tags=tags)


def result_names(problem: Problem) -> list[str]:
    """Metrics that a study of this problem may have, but those of named validation sets."""
    split = [objective.name for objective in OBJECTIVES.values() if objective.has_splits]
    results = [name for name in OBJECTIVES if is_result(name, problem)]
    ends = [f"{objective.name}_{end}" for objective in problem.objectives if objective.noise == "seed" for end in ("low", "high")]
    tested = [f"{prefix}_{name}" for prefix in ("test", "fresh_seed_test") for name in split]
    return sorted({*results, *ends, *tested, "front_probability", "parameters"})


def qualities_on_test(record: TrialRecord, final: FinalRecord) -> dict[str, float]:
    """What the test split says of a chosen trial, and of its shape with a fresh seed, under names of their own."""
    values: dict[str, float] = {}
    for prefix, quality in (("test", final.test), ("fresh_seed_test", final.fresh_seed.test if final.fresh_seed else None)):
        values |= {f"{prefix}_{name}": value for name, value in objective_values(Observed.judged_by(record, quality), "seed")}
    return values
