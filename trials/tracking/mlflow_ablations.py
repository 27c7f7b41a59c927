"""What ablations have found, kept in their directory and shown in MLflow, each in an experiment of its own name.

An ablation is of no study: its answer is kept as it was said, for the records of its trainings alone do not say what was asked.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from analysis.records.checked import from_json
from analysis.records.files import write_whole
from analysis.records.json_text import read_json
from analysis.records.json_writer import json_of
from search_space.errors import SpecError
from trials.machine.redaction import redacted
from trials.reporting.beside_run import BesideRun
from trials.study.sole_writer import sole_writer
from trials.tracking.mlflow_location import location_of

ANSWERS = "answers"
"""Folder of a directory of ablations with what they have found, a file for each and its scale."""

logger = logging.getLogger(__name__)


def keep_answers(directory: Path, runs: Iterable[BesideRun]) -> bool:
    """Keep what ablations found in their directory; whether any of it is another answer than the one that was there."""
    is_new = False
    for run in runs:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", run.name)
        file, content = directory / ANSWERS / f"{name}.json", f"{json_of(asdict(run), indent=2)}\n".encode()
        if not file.is_file() or file.read_bytes() != content:
            write_whole(file, content)
            is_new = True
    return is_new


def read_answers(directory: Path) -> list[BesideRun]:
    """What ablations have found in a directory, none where it holds no answer; SpecError where a file says anything else."""
    found = []
    for file in sorted((directory / ANSWERS).glob("*.json")):
        cure = "delete it, and ablate again"
        try:
            found.append(from_json(BesideRun, read_json(file, "what an ablation found", cure)))
        except ValueError as error:
            raise SpecError(f"{file} must hold what an ablation found: {error}; {cure}") from None
    return found


def track_answers(directory: Path, uri: str | None = None) -> str | None:
    """Write all of them into MLflow, a copy where `uri` says where to; where they are then, None after a warning where that failed."""
    answers, place = read_answers(directory), location_of(directory, None)  # whose runs they are, wherever they are written
    place = place if uri is None else location_of(directory, uri, keep=False)
    try:
        from trials.tracking.mlflow_beside_runs import BesideRuns
        from trials.tracking.mlflow_store import MlflowStore

        with sole_writer(directory):
            for answer in answers:
                store = MlflowStore(directory.absolute(), place, answer.study)
                BesideRuns(store, place.study_id).write([answer])
    except Exception as error:
        said = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        logger.warning(
            "MLflow's runs at %s cannot be written (%s); what was found is safe, and `archfront track %s` writes it once that is mended",
            place.shown_uri, redacted(said, place.tracking_uri or ""), directory,
        )  # fmt: skip
        return None
    return place.shown_uri if place.tracking_uri else str(directory / place.shown_uri)
