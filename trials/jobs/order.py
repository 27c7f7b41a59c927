"""What a job of a cluster is to do: one verb of the command line, with the files that it reads and the directory that it works in."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One verb of the command line, to be run on a cluster's head."""

    verb: str
    study: str
    """What the job is called by: the study's name."""
    files: tuple[Path, ...]
    """The YAML files that the verb reads, which are shipped; of one folder."""
    directory: str
    """Where it works on the cluster: absolute or below `~/`, for a job's own folder is deleted after it."""
    words: tuple[str, ...] = ()
    """Further arguments, as a person types them."""

    def require_lasting(self) -> None:
        """Raise SpecError for what would be lost on the cluster, or seen there."""
        if not self.directory.startswith(("/", "~/")):
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
        opening = [] if unsealing is None else ["python", "-m", "trials.jobs.unseal", f"../{SEALED}", unsealing]
        words = [*opening, "python", "-m", "archfront", self.verb, *self._places(), *map(shlex.quote, self.words)]
        return f'cd {STUDY_FOLDER} && PYTHONPATH="$OLDPWD:$PYTHONPATH" {" ".join(words)}'

    def _places(self) -> Sequence[str]:
        """The verb's files and directory, each in its place and quoted."""
        files, kept = [shlex.quote(file.name) for file in self.files], self.directory
        kept = "~/" + shlex.quote(kept[2:]) if kept.startswith("~/") else shlex.quote(kept)
        if self.verb == "promote":
            return [kept, "--study", *files]
        if self.verb == "profile-device":
            return [*files, "--output", f"{kept}/{TABLE}"]
        return [*files, "--directory", kept]
