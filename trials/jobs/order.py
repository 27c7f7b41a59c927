"""What a job of a cluster is to do: one verb of the command line, with the files that it reads and the directory that it works in."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from search_space.errors import SpecError, quoted
from trials.jobs.shipment import STUDY_FOLDER
from trials.machine.redaction import redacted
from trials.tracking.tracking_uri import is_relative

SEALED = "sealed"
"""File of a job's package that has its sealed variables."""
TABLE = "latency.jsonl"
"""The table of `profile-device` in its job's directory."""
TRACKING_URI = "--tracking-uri"
LASTING = ("/", "~/")
"""What paths begin with that lie outside of a job's own folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One verb of the command line, to be run on a cluster's head."""

    verb: str
    study: str
    """What the job is called by: the study's name."""
    files: tuple[Path, ...]
    """The YAML files of studies or ablations that the verb reads, shipped with what they name; of one folder, or none."""
    directory: str
    """Where it works on the cluster: absolute or below `~/`, for a job's own folder is deleted after it."""
    study_directory: str | None = None
    """Where on the cluster the study lies that the verb reads and leaves as it is; None where it works in that directory, or reads none."""
    beside: Mapping[str, Path] = field(default_factory=dict)
    """Further files, by their names in the job's folder."""
    words: tuple[str, ...] = ()
    """Further arguments, as a person types them."""

    def require_lasting(self) -> None:
        """Raise SpecError for what would be lost on the cluster, or seen there."""
        if self.study_directory is not None and not self.study_directory.startswith(LASTING):
            raise SpecError(
                f"--study-directory must be absolute or begin with ~/ because it is read on the cluster, found "
                f"{quoted(self.study_directory)}; name where the study lies there"
            )
        if not self.directory.startswith(LASTING):
            raise SpecError(
                f"a job's directory must be absolute or begin with ~/ because the job's own folder is deleted, found "
                f"{quoted(self.directory)}; name such a one"
            )
        tracking_uri = next((after for word, after in zip(self.words, self.words[1:], strict=False) if word == TRACKING_URI), None)
        if tracking_uri and redacted(tracking_uri) != tracking_uri:
            raise SpecError(
                "a job's command is seen by everybody who sees the cluster's dashboard, so its tracking URI must have no password; "
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD here, and carry them by --env"
            )
        if tracking_uri and is_relative(tracking_uri):
            raise SpecError(
                f"a job's tracking URI must be absolute because the job's own folder is deleted, found {quoted(tracking_uri)}; "
                "give an absolute one"
            )

    def command(self, unsealing: str | None = None) -> str:
        """The shell command of the job, run in the shipped folder; raises SpecError as `require_lasting` does.

        `unsealing` is the job's id where it has sealed variables.
        """
        self.require_lasting()
        opening = [] if unsealing is None else ["python", "-P", "-m", "trials.jobs.unseal", f"../{SEALED}", unsealing]
        words = [*opening, "python", "-m", "archfront", self.verb, *self._places(), *map(shlex.quote, self.words)]
        return f'cd {STUDY_FOLDER} && PYTHONPATH="$OLDPWD:$PYTHONPATH" {" ".join(words)}'

    def _places(self) -> Sequence[str]:
        """The verb's files and directory, each in its place and quoted."""
        files, kept = [shlex.quote(file.name) for file in self.files], _path_there(self.directory)
        if self.verb == "promote":
            return [kept, "--study", *files]
        if self.verb == "train":
            return [*([] if self.study_directory is None else [_path_there(self.study_directory)]), "--output", kept]
        read = [] if self.study_directory is None else ["--study-directory", _path_there(self.study_directory)]
        if self.verb == "profile-device":
            return [*files, "--output", f"{kept}/{TABLE}", *read]
        return [*files, "--directory", kept, *read]


def _path_there(path: str) -> str:
    """A path of the cluster as its shell takes it: quoted, but for the home folder's sign."""
    return "~/" + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)
