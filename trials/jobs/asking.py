"""Asks a cluster for what lies in a study's directory there, through the Jobs API alone: a small job on the head prints the answer."""

from __future__ import annotations

import base64
import secrets
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobSubmissionClient

from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from search_space.errors import WorkError, shortened
from trials.jobs import sender

LONGEST_ASK_SECONDS = 600.0
"""Longest that an answer is waited for: a busy head takes a minute to begin, and hashes a gigabyte in seconds."""
BETWEEN_ASKS_SECONDS = 0.25
KEPT_MILLISECONDS = 600_000
"""Ray remembers a small job so long after its end; of one that is deleted as it ends Ray's watch over jobs writes that it failed."""
MOST_FORGOTTEN = 100
"""Logs that one question has emptied; the command that asks has a bounded length."""
ASKS = {"archfront": "asks"}
"""The mark of such a job, by which a list leaves it out."""
Told = Mapping[str, Any]


class Asker:
    """Asks one head, a small job a question."""

    def __init__(self, client: JobSubmissionClient) -> None:
        self._client = client
        self._begun: set[str] = set()
        self._answered: list[str] = []

    def ask(self, **asked: Any) -> list[Told]:
        """What `trials.jobs.sender.answers` says to this on the head; raises WorkError where the small job does not come to its end."""
        return self.answered(self.begin(**asked))

    def begin(self, **asked: Any) -> str:
        """Begin to ask; returns the small job's id, for `answered`. The logs of what was answered before are emptied on the way."""
        old = self._ended_long_ago()
        question = json_of({**asked, "forget": [*self._answered, *old]})
        with tempfile.TemporaryDirectory(prefix="archfront-ask-") as folder:
            script = Path(shutil.copy(sender.__file__, folder)).name
            job = str(
                self._client.submit_job(
                    entrypoint=f"python -E {script} {base64.b64encode(question.encode()).decode()}",
                    submission_id=f"archfront-asks-{secrets.token_hex(6)}",
                    runtime_env={"working_dir": folder},
                    metadata=ASKS,
                )
            )
        self._begun.add(job)
        self._answered = []
        for each in old:
            with suppress(RuntimeError):  # somebody else has
                self._client.delete_job(each)
        return job

    def answered(self, job: str) -> list[Told]:
        """Wait for a small job's answer."""
        deadline = time.monotonic() + LONGEST_ASK_SECONDS
        while not (details := self._info(job)).status.is_terminal():
            if time.monotonic() > deadline:
                self._client.stop_job(job)
                raise WorkError(
                    f"the cluster's head did not answer within {LONGEST_ASK_SECONDS:.0f} s ({details.status.value}); ask again later"
                )
            time.sleep(BETWEEN_ASKS_SECONDS)
        found = list(_read(self._client.get_job_logs(job)))
        self._begun.discard(job)
        self._answered.append(job)
        if not found or "end" not in found[-1]:
            raise WorkError(f"the cluster's head did not answer: {_why(details)}; ask again, and see `ray job list` there if it stays so")
        return found[:-1]

    def close(self) -> None:
        """Have the head empty the logs of what was answered, and do not wait for it; where that fails, a later question does."""
        if self._answered:
            with suppress(RuntimeError, OSError, AuthenticationError):
                self.begin()

    def _info(self, job: str) -> JobDetails:
        try:
            return self._client.get_job_info(job)
        except RuntimeError as error:
            if "does not exist" not in str(error):
                raise
            raise WorkError("the cluster has forgotten what it was asked before it was read; run the same command again") from None

    def _ended_long_ago(self) -> list[str]:
        """Small jobs that ended a while ago, which Ray is to forget with their logs; none whose answer is still to be read here."""
        before, found = time.time() * 1000 - KEPT_MILLISECONDS, []
        for details in self._client.list_jobs():
            job = details.submission_id
            if details.metadata == ASKS and job and job not in self._begun and 0 < (details.end_time or 0) < before:
                found.append(job)
                if len(found) == MOST_FORGOTTEN:
                    break
        return [job for job in found if job not in self._answered]


def content_of(answers: Sequence[Told], name: str, most: int) -> bytes | None:
    """The content of a file that was asked for in pieces from its beginning; None where the cluster has none, or has none of that size."""
    found = b"".join(unpacked(each) for each in answers if each.get("file") == name and "content" in each)
    refused = any(each.get("refused") == name or "missing" in each for each in answers)
    return None if refused or len(found) > most else found


def unpacked(answer: Told) -> bytes:
    """The bytes of a piece, never more than a piece has; WorkError where they are not what was said."""
    try:
        sent = base64.b64decode(answer["content"], validate=True)
        content = zlib.decompressobj().decompress(sent, sender.PIECE_BYTES) if answer["zlib"] else sent
    except (ValueError, TypeError, KeyError, zlib.error):
        content = b""
    if not content or len(content) != answer.get("bytes") or len(content) > sender.PIECE_BYTES:
        raise WorkError("a piece of a file came damaged from the cluster; run the same command again")
    return content


def _read(log: str) -> Iterator[Told]:
    for line in log.splitlines():
        if line.startswith(sender.PREFIX):
            try:
                found = parse_json(line.removeprefix(sender.PREFIX))
            except ValueError:  # it was cut
                continue
            if isinstance(found, dict):
                yield found


def _why(details: JobDetails) -> str:
    return shortened((details.message or str(details.status.value)).strip().splitlines()[0])
