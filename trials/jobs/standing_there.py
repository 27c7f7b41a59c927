"""Where the study of a job stands, from the file that its driver keeps on the cluster."""

from __future__ import annotations

from dataclasses import dataclass

from search_space.errors import SpecError, WorkError
from trials.jobs.asking import Asker, content_of
from trials.jobs.client import dashboard
from trials.jobs.state import JobState
from trials.progress.standing import LARGEST_PROGRESS_BYTES, PROGRESS_FILE, RunStanding, parse_standing, staleness


@dataclass(frozen=True, slots=True)
class StandingThere:
    """What the cluster says of a job's study."""

    standing: RunStanding | None
    """Absent where there is none, or where the directory has gone on as another job's."""
    said: str | None
    """Why there is none, or why it is not to be believed any more."""


def standing_there(state: JobState, address: str) -> StandingThere:
    """Ask the head for the study's `progress.json`, whose clock tells how old it is."""
    try:
        with dashboard(address, state.job) as client:
            answers = Asker(client).ask(directory=state.directory, pieces=[(PROGRESS_FILE, 0, LARGEST_PROGRESS_BYTES + 1)])
        content = content_of(answers, PROGRESS_FILE, LARGEST_PROGRESS_BYTES + 1)
        if content is None:
            return StandingThere(None, f"{state.directory} on the cluster has no {PROGRESS_FILE} yet")
        standing = parse_standing(content, f"{state.directory}/{PROGRESS_FILE} on the cluster")
    except (SpecError, WorkError) as error:
        return StandingThere(None, str(error))
    if standing.job is not None and standing.job != state.job:  # earlier versions wrote none
        return StandingThere(None, f"{state.directory} on the cluster is job {standing.job}'s by now")
    return StandingThere(standing, staleness(standing, answers[0]["clock"], is_here=False))
