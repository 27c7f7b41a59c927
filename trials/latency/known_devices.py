"""Tables of other devices that a study's report is read for: kept in its directory, so that the same directory gives the same page."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.fronts.device_front import DeviceTransfer, transfer_to_device
from analysis.latency.device_table import DeviceTable, read_table
from analysis.objectives.problem import Problem
from analysis.records.files import write_whole
from analysis.records.record import FinalRecord, TrialRecord
from search_space.errors import SpecError
from trials.latency.device_tables import SUFFIX, find_table, table_path

FOLDER = "devices"
MOST_DEVICES = 8
"""Tables of one page, which holds draws and a figure of each."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MeasuredStudy:
    """What a study has measured, for tables to be read against."""

    directory: Path
    records: Sequence[TrialRecord]
    finals: Mapping[int, FinalRecord]
    problem: Problem

    def on(self, table: DeviceTable, *, far: bool) -> DeviceTransfer:
        """The study as the table predicts it; raises SpecError where it says nothing of it, or a shape is too far outside, unless `far`."""
        return transfer_to_device(self.records, table, self.finals, self.problem, far=far)


def keep_devices(measured: MeasuredStudy, names: Sequence[str], *, far: bool = False) -> None:
    """Copy tables, by their files or names, into the study's directory; raises SpecError as `MeasuredStudy.on` does."""
    folder, paths = measured.directory / FOLDER, [table_path(name) for name in names]
    for name, path in zip(names, paths, strict=True):
        if alike := [other for other, one in zip(names, paths, strict=True) if one.stem == path.stem and one.resolve() != path.resolve()]:
            raise SpecError(
                f"--devices must be tables of different names, because a study keeps them by these, found {name} and {alike[0]}; rename one"
            )
    there = {path.stem for path in folder.glob(f"*{SUFFIX}")} | {path.stem for path in paths}
    if len(there) > MOST_DEVICES:
        raise SpecError(f"--devices must come to at most {MOST_DEVICES} tables, found {len(there)} with those in {folder}; take some out")
    for name in names:
        measured.on(find_table(name), far=far)
    folder.mkdir(exist_ok=True)
    for path in paths:
        write_whole(folder / f"{path.stem}{SUFFIX}", path.read_bytes())


def known_devices(measured: MeasuredStudy) -> list[DeviceTransfer]:
    """What the tables that are kept with a study say of it; one that says nothing is left out with a warning.

    Whether a table may be far from the study's shapes was asked when it was kept.
    """
    found = []
    for path in sorted((measured.directory / FOLDER).glob(f"*{SUFFIX}"))[:MOST_DEVICES]:
        try:
            found.append(measured.on(read_table(path), far=True))
        except SpecError as error:
            logger.warning("%s is left out of the report: %s", path, error)
    return found
