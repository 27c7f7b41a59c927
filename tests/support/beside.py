"""What stands beside a study as its verbs leave it, its trainings planted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from analysis.fidelity.lr_transfer import RATE_RUNS, RateRun, check_directory
from analysis.fidelity.rank_validity import PROMOTED, VALIDITY, LongRun
from analysis.records.files import append_line
from analysis.records.record import TrialRecord


def promote(directory: Path, records: Iterable[TrialRecord], times: float, lost: float = 0.0) -> None:
    """Every finished shape was trained so many times longer, and lost so much by it."""
    for record in records:
        _append_long(directory / PROMOTED, record, times, lost)


def validate(directory: Path, records: Iterable[TrialRecord], times: float) -> None:
    """Every finished shape judges the ranking."""
    for record in records:
        _append_long(directory / VALIDITY, record, times, 0.0)


def check_rates_of(directory: Path, records: Iterable[TrialRecord]) -> None:
    """Two of the shapes were trained at three rates, the study's the best, with the directory that `lr-check` takes by itself."""
    folder = check_directory(directory)
    folder.mkdir(exist_ok=True)
    for record in list(records)[:2]:
        for factor, seed in ((1.0, 0), (1.0, 1), (0.5, 0), (2.0, 0)):
            loss = 2.0 + 0.1 * abs(factor - 1) + 0.001 * seed
            run = RateRun(architecture=record.architecture, factor=factor, seed=seed, recipe="0123456789ab", bits_per_byte=loss)
            append_line(folder / RATE_RUNS, run.as_dict())


def _append_long(file: Path, record: TrialRecord, times: float, lost: float) -> None:
    validation = record.training.validation if record.training and record.finished else None
    if validation is not None:
        run = LongRun(
            number=record.number, architecture_key=record.architecture.key, times=times, seed=1000, tokens=1,
            bits_per_byte=validation.bits_per_byte - 0.2 + lost * (record.number % 2),
        )  # fmt: skip
        append_line(file, asdict(run))
