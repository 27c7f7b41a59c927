"""A study's records as an Optuna study in a database, for optuna-dashboard and whatever else reads one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from analysis.objectives.observed import Observed
from analysis.objectives.problem import Problem
from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from analysis.records.record import FinalRecord, Outcome, TrialRecord
from search_space.errors import SpecError
from trials.machine.redaction import redacted
from trials.study.spec import StudySpec
from trials.trial.task import plain

WRITTEN_BY = "written_by"
"""User attribute of a study that was written here."""
PRUNED = (Outcome.STOPPED, Outcome.OVER_LIMIT, Outcome.TIMED_OUT)
"""Outcomes of trials that were ended on purpose."""


def write_optuna_study(study: StudySpec, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], uri: str) -> str:
    """Write all records into the database at that address, in place of what was written before; return the study's name there.

    Values are the objectives' own, in their own directions, with what was measured again; a trial that did not finish is pruned or
    failed. Proposals have their parameters as the study's space names them, references none. Raises SpecError where another study of
    that name is there, or the database cannot be opened.
    """
    problem = study.problem
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        there = {summary.study_name: summary for summary in optuna.get_all_study_summaries(uri)}
        if study.name in there and there[study.name].user_attrs.get(WRITTEN_BY) != "archfront":
            raise SpecError(
                f"--optuna must name a database without another study of the name {study.name}, found one that archfront did not write; "
                "name another database"
            )
        if study.name in there:
            optuna.delete_study(study_name=study.name, storage=uri)
        ways = {"lower": StudyDirection.MINIMIZE, "higher": StudyDirection.MAXIMIZE}
        directions = [ways[objective.better] for objective in problem.objectives]
        written = optuna.create_study(storage=uri, study_name=study.name, directions=directions)
    except SpecError:
        raise
    except Exception as error:  # whatever the database's driver raises
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise SpecError(f"--optuna must name a database that can be written, found that {redacted(said, uri)}; name another one") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        written.set_metric_names(list(problem.names))
    written.set_user_attr(WRITTEN_BY, "archfront")
    axes = {dimension.name: distribution_of(dimension.choices, dimension.ordered) for dimension in study.search_space.free}
    written.add_trials([_trial(record, finals.get(record.number), problem, axes) for record in records])
    return study.name


def distribution_of(choices: Sequence[Any], ordered: bool) -> BaseDistribution:
    """A dimension's choices in Optuna's words: a range, with its step where that is even, of ordered numbers; else categories."""
    numbers = [choice for choice in choices if isinstance(choice, int | float) and not isinstance(choice, bool)]
    if not ordered or len(numbers) < len(choices):
        return CategoricalDistribution([_plain(choice) for choice in choices])
    low, high = min(numbers), max(numbers)
    if any(isinstance(number, float) for number in numbers):
        return FloatDistribution(float(low), float(high))
    gaps = {after - before for before, after in pairwise(sorted(int(number) for number in numbers))}
    return IntDistribution(int(low), int(high), step=gaps.pop() if len(gaps) == 1 else 1)


def _trial(record: TrialRecord, final: FinalRecord | None, problem: Problem, axes: Mapping[str, BaseDistribution]) -> FrozenTrial:
    values = problem.values(Observed.of(record, final)) if record.finished else None
    state = TrialState.COMPLETE if values is not None else TrialState.PRUNED if record.outcome in PRUNED else TrialState.FAIL
    point = {name: _plain(record.point[name]) for name in axes if name in record.point} if record.point is not None else {}
    trial = create_trial(
        state=state,
        values=values,
        params=point,
        distributions={name: axes[name] for name in point},
        user_attrs=_attributes(record),
    )
    trial.datetime_start = datetime.fromisoformat(record.started_at).astimezone().replace(tzinfo=None)
    trial.datetime_complete = trial.datetime_start + timedelta(seconds=record.wall_seconds)
    return trial


def _attributes(record: TrialRecord) -> dict[str, Any]:
    values = {
        "trial": record.number,
        "kind": record.kind.value,
        "name": record.name,
        "shape": record.architecture.label,
        "outcome": record.outcome.value,
        "reason": record.reason,
        "replicates": record.replicates,
        "seed": record.seed,
        "parameters": record.costs.parameters,
        "architecture": parse_json(json_of(record.architecture.as_dict())),
    }
    return {name: value for name, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    """What Optuna keeps as a category: itself, or its JSON."""
    known = plain(value)
    return known if known is None or isinstance(known, bool | int | float | str) else json_of(known, sort_keys=True)
