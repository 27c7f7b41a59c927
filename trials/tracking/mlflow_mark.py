"""Whether MLflow's runs say already all that a study's directory does, asked of the directory's own database without importing MLflow."""

from __future__ import annotations

import dataclasses
import filecmp
import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from analysis.fidelity.lr_transfer import RATE_RUNS, check_directories
from analysis.fidelity.rank_validity import PROMOTED, VALIDITY
from analysis.records.choice import Choice, read_choice
from analysis.records.json_writer import json_of
from analysis.records.record import FinalRecord, TrialRecord
from trials.machine.provenance import library_version
from trials.study.own_database import damage
from trials.study.spec import StudySpec
from trials.tracking.mlflow_location import ARTIFACTS, DATABASE, MlflowLocation, follow_move
from trials.tracking.mlflow_trial_content import CONTENT, digest, run_digest
from trials.tracking.mlflow_views import VIEW_FORM

MODEL_FORM = 1
"""Raised with what a registered model is, so that studies of earlier versions get theirs."""
STUDY_FORM = 1
"""Raised with what a study's run is given beside its trials', such as cards of the front and runs beside it."""
MARK, IN_PART = "archfront.written", "in part"
"""Tag of the study's run: the digest of all that its runs and files were written from, and what it is while they are being written."""
PARENT = """
SELECT runs.run_uuid FROM runs
JOIN experiments ON experiments.experiment_id = runs.experiment_id AND experiments.lifecycle_stage = 'active'
JOIN tags AS study ON study.run_uuid = runs.run_uuid AND study.key = 'archfront.study_id' AND study.value = ?
JOIN tags AS mark ON mark.run_uuid = runs.run_uuid AND mark.key = ? AND mark.value = ?
WHERE runs.lifecycle_stage = 'active' AND runs.status != 'RUNNING'
"""
CHILDREN = """
SELECT number.value, digest.value FROM runs
JOIN tags AS parent ON parent.run_uuid = runs.run_uuid AND parent.key = 'mlflow.parentRunId' AND parent.value = ?
JOIN tags AS number ON number.run_uuid = runs.run_uuid AND number.key = 'archfront.number'
JOIN tags AS digest ON digest.run_uuid = runs.run_uuid AND digest.key = 'archfront.digest'
WHERE runs.lifecycle_stage = 'active' AND runs.status != 'RUNNING'
"""

LOST_BESIDE = """
SELECT 1 FROM tags WHERE run_uuid = ? AND key = 'archfront.beside_count' AND CAST(value AS INTEGER) > (
    SELECT count(*) FROM runs
    JOIN tags AS beside ON beside.run_uuid = runs.run_uuid AND beside.key = 'archfront.beside' AND beside.value = ?
    WHERE runs.lifecycle_stage = 'active' AND runs.status = 'FINISHED'
)
"""
"""Whether fewer runs stand beside a study's than its run says."""


def artifact_names(study: StudySpec) -> tuple[str, str, str]:
    """Files of the study's run beside its report: what was found as data, what was asked, and where."""
    return "front.json" if study.scaling is None else "scaling.json", "study.yaml", "environment.json"


def beside_digest(directory: Path, study_name: str) -> str:
    """Changes with the trainings that stand beside a study; empty where none do."""
    rates = (folder / RATE_RUNS for folder in check_directories(directory, study_name))
    files = [file for file in (directory / PROMOTED, directory / VALIDITY, *rates) if file.is_file()]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16] if files else ""


def mark_of(
    digests: Mapping[int, str],
    finals: Mapping[int, FinalRecord],
    study_yaml: str,
    choice: Choice | None,
    tags: Mapping[str, str],
    beside: str,
) -> str:
    """Sixteen hexadecimal digits that change with anything that runs are written from, and with what writes them.

    `digests` are those of the records, by number; `beside` is that of what stands beside the study.
    """
    told = [
        CONTENT,
        VIEW_FORM,
        MODEL_FORM,
        STUDY_FORM,
        library_version("archfront"),
        library_version("mlflow"),
        study_yaml,
        digests,
        {number: digest(final) for number, final in finals.items()},
        *([] if choice is None else [dataclasses.asdict(choice)]),
        dict(tags),
        beside,
    ]
    return hashlib.sha256(json_of(told, sort_keys=True).encode()).hexdigest()[:16]


def is_written(
    directory: Path,
    place: MlflowLocation,
    study: StudySpec,
    study_yaml: str,
    records: Iterable[TrialRecord],
    finals: Mapping[int, FinalRecord],
    page: Path | None = None,
) -> bool:
    """Whether the directory's own database has the whole study, and its page where one is given.

    False where the runs are elsewhere, or that cannot be told.
    """
    database = directory / DATABASE
    if place.tracking_uri is not None or not database.exists() or damage(database) is not None:
        return False
    digests = {record.number: digest(record) for record in records}
    mark = mark_of(digests, finals, study_yaml, read_choice(directory), place.tags, beside_digest(directory, study.name))
    try:
        with closing(sqlite3.connect(database)) as opened:
            found = opened.execute(PARENT, (place.study_id, MARK, mark)).fetchone()
            children = set(opened.execute(CHILDREN, found)) if found else set()
            lost = found and opened.execute(LOST_BESIDE, (*found, place.study_id)).fetchone()
        if not found or lost or not {(str(number), run_digest(each)) for number, each in digests.items()} <= children:
            return False
        follow_move(directory)
    except sqlite3.Error:
        return False
    files = directory / ARTIFACTS / found[0] / "artifacts"
    is_shown = page is None or ((files / page.name).is_file() and filecmp.cmp(page, files / page.name, shallow=False))
    return is_shown and all((files / name).is_file() for name in artifact_names(study))
