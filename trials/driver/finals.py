"""After the search: the front's members and the references measured again in quiet, and judged once on the test split."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from analysis.fronts.front import front_of
from analysis.objectives.problem import STANDARD, Problem
from analysis.records.latency import Latency
from analysis.records.record import FinalRecord, Kind, TrialRecord, WrittenText, append
from analysis.records.training import Quality
from trials.trial.task import DeviceEnded

MeasureFinal = Callable[[TrialRecord], Latency]
JudgeFinal = Callable[[TrialRecord], Quality]
WriteFinal = Callable[[TrialRecord], WrittenText | None]
Measured = TypeVar("Measured")

logger = logging.getLogger(__name__)


def missing_finals(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], problem: Problem = STANDARD) -> list[TrialRecord]:
    """The finished references and members of the front that have no final record."""
    members = front_of(records, finals, problem).members
    wanted = [record for record in records if record.finished and (record.kind is Kind.REFERENCE or record.number in members)]
    return [record for record in wanted if record.number not in finals]


def measure_finals(
    directory: Path,
    records: Sequence[TrialRecord],
    finals: Mapping[int, FinalRecord],
    measure: MeasureFinal,
    judge: JudgeFinal,
    problem: Problem = STANDARD,
    write: WriteFinal | None = None,
) -> dict[int, FinalRecord]:
    """All final records, those that were missing measured one at a time and written to the directory.

    A second latency may move a member off the front and another trial onto it, so this goes on until every member has its final.
    What `measure` or `judge` raises leaves that number out, with a warning; a trial without either number gets no record, so that
    the next run tries again. `write` adds a text of those that were judged. DeviceEnded, which says nothing of a shape, is raised.
    """
    known, tried = dict(finals), set[int]()
    while todo := [record for record in missing_finals(records, known, problem) if record.number not in tried]:
        for record in todo:
            tried.add(record.number)
            test, latency = _told("quality", judge, record), _told("latency", measure, record)
            if test is None and latency is None:
                continue
            known[record.number] = FinalRecord(
                number=record.number,
                latency=latency,
                test=test,
                written=_told("text", write, record) if write is not None and test is not None else None,
                measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            )
            append(directory, known[record.number])
    return known


def _told(what: str, ask: Callable[[TrialRecord], Measured], record: TrialRecord) -> Measured | None:
    try:
        return ask(record)
    except DeviceEnded:  # a record without a latency would never get one
        raise
    except Exception as error:
        logger.warning("the final %s of %s is missing: %s", what, record.title, error)
        return None
