"""What the loss of a worker is to its trial: a verdict, or an attempt, how often, where, and when that is enough; no Ray."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from analysis.records.attempt import Attempt
from analysis.records.record import Outcome
from trials.machine.redaction import redacted
from trials.machine.watchdog import longest_seconds
from trials.study.directory import checkpoint_file
from trials.trial.task import Start

MOST_ATTEMPTS = 3
"""A trial that was lost so often in one run, and left no newer state in between, is given up: it may itself be what ends its workers."""
LOST_BY = ("The actor died unexpectedly before finishing this task", "The actor is dead because", "is unavailable:")
"""How Ray begins to say that a worker or its node is gone; it says so of nothing that a trial raised."""
NEVER_BEGAN = "The actor never ran"
"""Ray's words where a worker was gone before it was set up: where its node went, and not its process alone, the trial is no cause."""
WORKER_DIED = "its worker process has died"
"""Ray's words where the process alone is gone, and its node lives."""
TEXT_AWAY = re.compile(r"\bTextAway: (.+)")
"""What a trial ends with whose node cannot have the study's text, which is no shape's fault either."""
DEVICE_ENDED = re.compile(r"\bDeviceEnded: (.+)")
"""What a trial ends with that could not be measured, for a reason that is no shape's."""
OF_THE_ACTOR = re.compile(r"^(Failure # .*|\t.*)$|The actor died unexpectedly before finishing this task\.", re.MULTILINE)
GUESSES = " Some common causes include"
"""What begins that which Ray says at every such death, of memory and others, and knows nothing of."""


class Attempts:
    """The attempts at the trials of one run that were lost."""

    def __init__(self, directory: Path, earlier: Iterable[Attempt] = ()) -> None:
        """`earlier` are those of former runs, which are counted and held against no trial."""
        self._directory = directory
        self._made = Counter(attempt.number for attempt in earlier)
        self._in_vain: defaultdict[int, list[Attempt]] = defaultdict(list)
        """The attempts at each trial since its last progress, those that never began left out."""
        self._nodes: defaultdict[int, set[str]] = defaultdict(set)

    def lost(self, attempt: Attempt, node: str | None) -> Attempt:
        """One more attempt was lost, on that node; returns it with its number and whether it got any further."""
        number, began = attempt.number, datetime.fromisoformat(attempt.started_at).timestamp()
        self._made[number] += 1
        noted = replace(attempt, attempt=self._made[number], progressed=self._left_state_since(number, began))
        if noted.progressed:
            self._in_vain[number].clear()
        elif NEVER_BEGAN not in noted.cause or WORKER_DIED in noted.cause:
            self._in_vain[number].append(noted)
        if node is not None:
            self._nodes[number].add(node)
        return noted

    def nodes(self, number: int) -> Collection[str]:
        """Ray's ids of the nodes on which the trial was lost in this run."""
        return self._nodes.get(number, ())

    def are_over(self, number: int) -> bool:
        """Whether the trial is tried no more in this run."""
        return len(self._in_vain[number]) >= MOST_ATTEMPTS

    def reason(self, number: int) -> str:
        """Why it is not."""
        causes = "; ".join(str(attempt) for attempt in self._in_vain[number])
        return f"lost {MOST_ATTEMPTS} times without getting any further ({causes}); the same command tries it again"

    def _left_state_since(self, number: int, began: float) -> bool:
        try:
            return checkpoint_file(self._directory, number).stat().st_mtime > began
        except OSError:
            return False


def explain_loss(
    said: str, elapsed_seconds: float, deadline_seconds: float, killed_for_memory: str | None = None
) -> tuple[Outcome, str] | None:
    """Outcome and reason of a trial whose worker did not answer, from what Ray says, from how long it ran, and from what the kernel counts.

    `killed_for_memory` says how the kernel's own count of processes that it ended for want of memory rose meanwhile. None where
    infrastructure was lost, which is no verdict on the trial.
    """
    if "running low on memory" in said:
        return (
            Outcome.OUT_OF_MEMORY,
            "Ray ended the worker because the node ran low on memory; lower workers.count or proxy.batch_sequences",
        )
    if killed_for_memory is not None and WORKER_DIED in said:
        return (
            Outcome.OUT_OF_MEMORY,
            f"its worker died while the kernel ended processes there for want of memory ({killed_for_memory}); lower workers.count or "
            "proxy.batch_sequences",
        )
    if elapsed_seconds >= longest_seconds(deadline_seconds) and WORKER_DIED in said:
        return (
            Outcome.TIMED_OUT,
            f"hung for {elapsed_seconds:.0f} seconds without reaching a step, so its worker was ended; "
            "raise workers.deadline_seconds if the shape is only slow",
        )
    if not any(name in said for name in LOST_BY) and not TEXT_AWAY.search(said):
        return Outcome.FAILED, f"the worker could not run it: {_last_line(said)}"
    return None


def device_ended(said: str) -> str | None:
    """Why a trial could not be measured where the device does not start, was ended or is another machine; None of any other end."""
    found = DEVICE_ENDED.findall(said)
    return redacted(found[-1]) if found else None


def attempt_at(number: int, node: str | None, said: str, start: Start) -> Attempt:
    """What is kept of an attempt at a trial that began then and was lost; the first one, until it is counted."""
    return Attempt(
        number=number,
        attempt=1,
        node=node,
        cause=redacted(cause_of_death(said)),
        started_at=start.at.isoformat(timespec="seconds"),
        seconds=start.elapsed_seconds,
    )


def cause_of_death(said: str) -> str:
    """Ray's words on why a worker is gone, on one line, without its guesses; or why its node has no text."""
    if away := TEXT_AWAY.findall(said):
        return str(away[-1])
    return " ".join(OF_THE_ACTOR.sub("", said).partition(GUESSES)[0].split()) or "Ray gave no reason"


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")
