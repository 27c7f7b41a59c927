"""Where a study's MLflow runs are, and what joins them to the study's directory."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from analysis.records.checked import from_json
from analysis.records.files import write_whole
from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from search_space.errors import SpecError, quoted, shortened_path
from trials.machine.own_folder import own_folder
from trials.machine.provenance import environment
from trials.machine.redaction import HIDDEN, redacted, without_password
from trials.tracking.mlflow_views import CHECKS_VIEW, CURVES_VIEW, FAILURES_VIEW, FRONT_VIEW, TABLE_VIEW, VIEW_TAG, view_id, view_path
from trials.tracking.tracking_uri import is_database, settled_uri

DATABASE, ARTIFACTS, PLACE = "mlflow.db", "mlflow-artifacts", "tracking.json"

STUDYS_EXPERIMENT = """
SELECT experiments.experiment_id FROM experiments
JOIN runs ON runs.experiment_id = experiments.experiment_id AND runs.lifecycle_stage = 'active'
JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'archfront.study_id' AND tags.value = ?
WHERE experiments.lifecycle_stage = 'active'
"""
"""Where a study's run is."""

UNPLAIN = {"?", "%", "#"}
"""What SQLAlchemy and MLflow do not agree on in a path."""
PLAIN_PLACES = ("/tmp", "/var/tmp", "/dev/shm")
"""Where a link lies that the folder for temporary files cannot have, its own path being such a one."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowLocation:
    """Kept in the study's directory as `tracking.json`, so that a resumed study finds its runs again."""

    study_id: str
    """Tag of the study's run; unique, since studies of one name may share a server."""
    tracking_uri: str | None
    """Address of the server; None for the SQLite database in the directory itself."""
    environment: Mapping[str, str]
    """Environment that the study was begun with; a later catch-up must not pass off its own versions as these."""

    experiment: str | None = None
    """Name of MLflow's experiment; None for the study's."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags that a person gave the study's run."""

    def uri(self, directory: Path) -> str:
        """What MLflow is given."""
        return self.tracking_uri or file_uri(directory, DATABASE)

    @property
    def shown_uri(self) -> str:
        """The address for messages: without a password."""
        return redacted(self.tracking_uri) if self.tracking_uri else DATABASE

    def artifacts_uri(self, directory: Path) -> str | None:
        """Where files go: to the server where there is one (None), else into the directory."""
        served = self.tracking_uri is not None and not is_database(self.tracking_uri)
        return None if served else (directory.resolve() / ARTIFACTS).as_uri()


def file_uri(directory: Path, name: str) -> str:
    """SQLAlchemy's address of a file in a directory."""
    return f"sqlite:///{plain_path(directory.resolve()) / name}"


def plain_path(directory: Path) -> Path:
    """The directory; where no address that SQLAlchemy and MLflow read alike can have its path, the one link to it of this user.

    Every process uses that link, so that one which is killed leaves nothing more than it found. Raises SpecError where it can lie nowhere.
    """
    whole = directory.resolve()
    if not UNPLAIN & set(str(whole)):
        return directory
    places = (tempfile.gettempdir(), *PLAIN_PLACES)
    there = next((place for place in places if not UNPLAIN & set(place) and os.access(place, os.W_OK | os.X_OK)), None)
    if there is None:
        raise SpecError(
            f"a path with ?, % or # must have a folder for a link that MLflow can read, found none that can be written among "
            f"{', '.join(places)} for {shortened_path(whole)}; set TMPDIR to a folder without ?, % and #"
        )
    link = own_folder(Path(there), "links") / hashlib.sha256(os.fsencode(whole)).hexdigest()
    if os.path.lexists(link) and link.readlink() != whole:
        link.unlink()
    with suppress(FileExistsError):  # it was there, or another process has just made it
        link.symlink_to(whole)
    return link


def location_of(
    directory: Path,
    uri: str | None,
    keep: bool = True,
    experiment: str | None = None,
    tags: Mapping[str, str] = {},
    study_name: str | None = None,
) -> MlflowLocation:
    """The place of a study's runs, decided and kept at the first call; a URI given later replaces the one that was kept.

    So do tags, each by its key; the experiment, which is called `study_name` where none was given, stays (SpecError) as long as the URI
    does, for the runs are there.

    Without `keep` the directory goes on with what it has: the URI is that of a copy.

    A password in a URI is not written to the file: without that URI given again, the runs cannot be reached (SpecError). A damaged file
    counts as none, with a warning: records are the only state, and runs can be written once more.
    """
    uri, path = None if uri is None else settled_uri(uri), directory / PLACE
    kept = _kept(path)
    if uri is None and kept and HIDDEN in (kept.tracking_uri or ""):
        raise SpecError(
            f"the tracking URI of this study must be given again because its password was not kept, found "
            f"{kept.tracking_uri}; give it with --tracking-uri"
        )
    stays = kept is not None and (uri is None or without_password(uri) == kept.tracking_uri)
    if experiment is not None and kept is not None and stays and experiment != (kept.experiment or study_name):
        there = "that of the study's name" if kept.experiment is None else kept.experiment
        raise SpecError(
            f"--experiment must be that of the runs that are there, found {quoted(experiment)} for {there}; leave it out, "
            "or give another --tracking-uri too"
        )
    place = kept or MlflowLocation(study_id=uuid4().hex, tracking_uri=None, environment=environment())
    place = replace(place, tracking_uri=uri or (place.tracking_uri and settled_uri(place.tracking_uri)))
    place = replace(place, experiment=experiment or place.experiment, tags={**place.tags, **tags})
    if keep or (kept is None and uri is None):
        _keep(path, place)
    return place


def follow_move(directory: Path) -> None:
    """Tell the directory's own database where its files are now: MLflow keeps absolute paths, and a directory may be moved or copied."""
    now = (directory.resolve() / ARTIFACTS).as_uri()
    with closing(sqlite3.connect(directory / DATABASE)) as database, database:
        for (before,) in database.execute("SELECT artifact_location FROM experiments").fetchall():
            if before and before != now and before.endswith(f"/{ARTIFACTS}"):
                database.execute("UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?", (now, before))
                moved = "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) WHERE substr(artifact_uri, 1, ?) = ?"
                database.execute(moved, (now, len(before) + 1, len(before) + 1, f"{before}/"))
                for column in ("source", "storage_location"):
                    moved = f"UPDATE model_versions SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"
                    database.execute(moved, (now, len(before) + 1, len(before) + 1, f"{before}/"))


def view_paths(database: Path, study_id: str) -> dict[str, str]:
    """The ends of the addresses at which MLflow's page shows a study of that database, by kind.

    Empty where it has none that is active, or is no database of MLflow's yet; nothing is written.
    """
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as opened:
            found = opened.execute(STUDYS_EXPERIMENT, (study_id,)).fetchone()
            tags = {key for (key,) in opened.execute("SELECT key FROM experiment_tags WHERE experiment_id = ?", found or ("",))}
    except sqlite3.Error:
        return {}
    if found is None:
        return {}
    all_kinds = TABLE_VIEW, FRONT_VIEW, CURVES_VIEW, FAILURES_VIEW, CHECKS_VIEW
    kinds = [kind for kind in all_kinds if f"{VIEW_TAG}{view_id(study_id, kind)}" in tags]
    return {kind: view_path(found[0], study_id, kind) for kind in kinds} or {TABLE_VIEW: view_path(found[0], study_id, None)}


def _kept(path: Path) -> MlflowLocation | None:
    if not path.exists():
        return None
    try:
        return from_json(MlflowLocation, parse_json(path.read_bytes()))
    except (ValueError, TypeError):
        logger.warning(
            "%s was damaged, so the study's MLflow runs are written once more, to the default place unless --tracking-uri says", path
        )
        return None


def _keep(path: Path, place: MlflowLocation) -> None:
    uri = without_password(place.tracking_uri) if place.tracking_uri else None
    text = json_of(asdict(replace(place, tracking_uri=uri)), indent=2) + "\n"
    if not path.exists() or path.read_bytes() != text.encode():
        write_whole(path, text.encode())
