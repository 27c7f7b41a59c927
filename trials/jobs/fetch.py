"""Brings a job's study home through the Jobs API: records, report, and the weights that an export needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from analysis.fronts.picks import picked
from analysis.records.choice import read_choice
from analysis.records.record import RECORDS
from analysis.text import words
from search_space.errors import SpecError, WorkError, quoted
from trials.jobs.asking import Asker, Told, content_of
from trials.jobs.client import dashboard
from trials.jobs.incoming import Incoming, RemoteFile, batches
from trials.jobs.state import state_of
from trials.progress.standing import PROGRESS_FILE
from trials.reporting.stored_study import read_study
from trials.study.directory import LOCK, TOKENIZERS, WEIGHTS, claim, hold, weights_file
from trials.study.load_study import BEGUN, STUDY
from trials.study.origin import ORIGIN
from trials.study.yaml_file import LARGEST_YAML_BYTES

Weights = Literal["front", "all", "none"]
SENT_AT_ONCE_BYTES = 16 << 20
"""What one small job sends; the next one starts while it is read."""
BEGUN_BY_FETCH = ".fetched"
"""Marks a directory that a fetch began before the study's own file was there to claim it."""
MOST_TIMES_ANEW = 3
"""Times that files are asked for anew that a running study has replaced on their way."""
FILES = ("*.jsonl", "*.json", "*.yaml", "report*.html", f"{TOKENIZERS}/*.json", "devices/*.jsonl", "recipe-*/*.json", "recipe-*/*.jsonl")
"""What the directory of a study, or of ablations, has beside weights, its own log, and MLflow's files, which the records make once more."""
TRAINING, OF_A_TRAINING = "training.json", ("weights.safetensors", "model/*")
"""A file by which a training's directory is known (`trials.pretraining`), and what of it is weights: its own, and the model for others."""
Say = Callable[[str], None]


class Answering(Protocol):
    """Who is asked for files, as `Asker` is."""

    def begin(self, **asked: Any) -> str:
        """Begin to ask."""

    def answered(self, job: str) -> Sequence[Told]:
        """Wait for the answer."""


@dataclass(slots=True)
class Brought:
    """What a fetch brought."""

    files: list[RemoteFile] = field(default_factory=list)
    """What has come, in its order."""
    verb: str = "run"
    """What the job did."""
    bytes: int = 0
    """Bytes that had to come for it, before they were packed; what an earlier fetch had brought is not among them."""
    there: int = 0
    """Files that were here already."""


def fetch_job(job: str, address: str, directory: Path, weights: Weights, say: Say) -> Brought:
    """Bring what the directory of a job's study has into one here; the same call goes on where an earlier one was broken off.

    `weights` are those of the front and of what is picked and chosen, of all trials, or of none. Raises SpecError where the directory here
    is another study's or the job has none yet, WorkError where what comes is damaged.
    """
    state = state_of(job, address)
    with dashboard(address, job) as client:
        asker = Asker(client)
        try:
            fetched = fetch_from(asker, state.directory, directory, weights, say)
        except Exception:  # and not where a person wants it to end
            asker.close()
            raise
        asker.close()
        fetched.verb = state.verb
        return fetched


def fetch_from(source: Answering, there: str, directory: Path, weights: Weights, say: Say) -> Brought:
    """Bring what `source` has in the directory `there` into one here, as `fetch_job` does."""
    fetched = Brought()
    found = _listed(source, there, FILES)
    with _held(source, there, directory, found) as held:
        incoming = Incoming(held)
        _bring(source, there, FILES, found, incoming, fetched, say)
        if weights != "none":
            if any(file.name == TRAINING for file in found):
                names = list(OF_A_TRAINING)
            else:
                names = [f"{WEIGHTS}/*.safetensors"] if weights == "all" else _of_the_front(held)
            if names:
                _bring(source, there, names, _listed(source, there, names), incoming, fetched, say)
        incoming.close()
    return fetched


def _listed(source: Answering, there: str, names: Sequence[str]) -> list[RemoteFile]:
    answers = source.answered(source.begin(directory=there, names=list(names)))
    if any("missing" in each for each in answers):
        raise SpecError(f"the job must have begun its directory, found none at {there} on the cluster; see `archfront job status`")
    found = [RemoteFile.of(each, names) for each in answers if "file" in each]
    return [file for file in found if file.name != ORIGIN]  # where the study's file lies is this machine's to say


def _held(source: Answering, there: str, directory: Path, found: Sequence[RemoteFile]) -> AbstractContextManager[Path]:
    """Hold the directory here, which must be empty or of the same study."""
    if all(file.name != STUDY for file in found):
        return _held_for_a_part(directory)
    answers = source.answered(source.begin(directory=there, pieces=[(STUDY, 0, LARGEST_YAML_BYTES + 1)]))
    content = content_of(answers, STUDY, LARGEST_YAML_BYTES)
    if content is None:
        raise WorkError(f"the cluster's {STUDY} cannot be read; run the same command again")
    return claim(directory, content.decode(errors="replace"))


@contextmanager
def _held_for_a_part(directory: Path) -> Iterator[Path]:
    """Hold a directory for a job that has no study's file yet: an empty one, or one that such a fetch began."""
    with hold(directory) as held:
        mark = held / BEGUN_BY_FETCH
        if not mark.is_file() and (found := sorted(path.name for path in held.iterdir() if path.name != LOCK)):
            raise SpecError(
                f"{held} must be empty or of an earlier fetch because the job has no {STUDY} yet, found {quoted(found[0])}; "
                "name another directory"
            )
        mark.touch()
        yield held


def _bring(
    source: Answering, there: str, names: Sequence[str], found: Sequence[RemoteFile], incoming: Incoming, fetched: Brought, say: Say
) -> None:
    """Have all of the files that were found here; those that were replaced meanwhile are asked for anew."""
    wanted = incoming.lacks(found)
    fetched.there += len({file.name for file in found} - {file.name for file in wanted} - {STUDY, BEGUN})  # those come with the claim
    for _ in range(MOST_TIMES_ANEW):
        incoming.require_room(wanted)
        _pieces_of(source, there, wanted, incoming, fetched, say)
        settled = [file for file in wanted if incoming.settle(file)]
        fetched.files += settled
        if len(settled) == len(wanted):
            return
        late = {file.name for file in wanted} - {file.name for file in settled}
        wanted = incoming.lacks(file for file in _listed(source, there, names) if file.name in late)
        if not wanted or {file.name for file in wanted} <= {PROGRESS_FILE}:
            return  # it went away, or changes every second
    raise WorkError(f"{wanted[0].name} did not come as the cluster said it would; run the same command again")


def _pieces_of(source: Answering, there: str, files: Sequence[RemoteFile], incoming: Incoming, fetched: Brought, say: Say) -> None:
    """Have the content of files come, one small job's worth while the next one starts."""
    whole = sum(file.bytes for file in files)
    come = sum(incoming.beginning(file) for file in files)
    under_way: list[tuple[str, dict[str, RemoteFile]]] = []

    def take() -> None:
        nonlocal come
        job, by_name = under_way.pop(0)
        for each in source.answered(job):
            file = by_name.get(str(each.get("file")))
            if file is not None and "content" in each:
                count = incoming.add(file, each)
                fetched.bytes += count
                come += count
        say(f"{words.bytes_text(come)} of {words.bytes_text(whole)}: {', '.join(by_name) if len(by_name) < 4 else f'{len(by_name)} files'}")

    for batch in batches(files, incoming, SENT_AT_ONCE_BYTES):
        job = source.begin(directory=there, pieces=[(file.name, at, count) for file, at, count in batch])
        under_way.append((job, {file.name: file for file, _, _ in batch}))
        if len(under_way) == 2:
            take()
    while under_way:
        take()


def _of_the_front(directory: Path) -> list[str]:
    """Names of the weights that belong to the front of what has come, and to what is picked or chosen."""
    if not (directory / STUDY).is_file() or not (directory / RECORDS).is_file():
        return []
    stored = read_study(directory, leaves_out=True)
    if stored.study.scaling is not None:
        return []
    choice = read_choice(directory)
    numbers = {*stored.front.members, *picked(stored.front, stored.membership).values(), None if choice is None else choice.trial}
    files = (weights_file(directory, number) for number in sorted(number for number in numbers if number is not None))
    return [file.relative_to(directory).as_posix() for file in files]
