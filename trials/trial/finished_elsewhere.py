"""Which trainings a study will take over, told before it runs from what lies in this machine's caches. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from analysis.records.record import Kind, read_records
from search_space.errors import SpecError
from trials.corpus.prepare import known_blocks
from trials.study.load_study import STUDY, parse_stored
from trials.study.spec import StudySpec
from trials.trial.calibration import as_known_here, as_settled, is_open
from trials.trial.reuse import Reuse
from trials.trial.task import TrialTask
from trials.trial.training_index import TrainingText

PROPOSING = ("budget", "space", "latency", "objectives", "limits", "references")
"""Sections that decide what is proposed, beside `search`."""
NOT_PROPOSING = {"trials", "replicates", "reuse"}
"""Keys of `search` that do not."""


@dataclass(frozen=True, slots=True)
class FinishedElsewhere:
    """The trainings of a study that are finished in other studies' directories."""

    place: Callable[[TrialTask], Path | None] = lambda _: None
    """Where the training of a trial is; None where it is nowhere."""

    def holds(self, task: TrialTask) -> bool:
        """Whether the training of a trial is taken over."""
        return self.place(task) is not None

    def of_twin(self, study: StudySpec, stated: Sequence[TrialTask]) -> int:
        """Trainings that are taken over of what an earlier run of the same search proposed; it is looked for where those are that are
        `stated`.

        As many are proposed again as latencies, and so proposals, repeat.
        """
        found = {place: None for task in stated if (place := self.place(task)) is not None}
        return max((self._proposed(directory) for directory in found if _proposes_alike(study, directory)), default=0)

    def _proposed(self, directory: Path) -> int:
        with suppress(OSError, SpecError):
            records = [record for record in read_records(directory, []) if record.kind in (Kind.SAMPLED, Kind.REPLICATE)]
            return sum(self.holds(TrialTask.of(record)) for record in records)
        return 0


NONE_FINISHED = FinishedElsewhere()
"""What a study has that takes nothing over, or of which nobody asks what it does."""


def finished_elsewhere(study: StudySpec, directory: Path, vocab_sizes: Iterable[int]) -> FinishedElsewhere:
    """What a study that begins in that directory takes over.

    `NONE_FINISHED` where that cannot be told yet: the text was not made into tokens here, or how steps are made is still open (on a GPU
    whatever the cache says of it, for asking that one takes torch).
    """
    if not study.search.reuse or study.proxy.seconds is not None:
        return NONE_FINISHED
    try:
        way = as_settled(study, directory)
        if is_open(way) and not way.workers.gpus:
            way = as_known_here(way)
        known = {size: blocks for size in vocab_sizes if (blocks := known_blocks(study.corpus, size)) is not None}
    except SpecError:  # whoever reads the text or the calibration will say so
        return NONE_FINISHED
    if is_open(way) or not known:
        return NONE_FINISHED
    reuse = Reuse(way, directory, {size: TrainingText.of(blocks) for size, blocks in known.items()})
    return FinishedElsewhere(lambda task: reuse.elsewhere(task) if task.architecture.vocab_size in known else None)


def _proposes_alike(study: StudySpec, directory: Path) -> bool:
    """Whether the study of a directory proposes what this one does, as far as its file decides that."""
    try:
        there = parse_stored((directory / STUDY).read_bytes())
    except (OSError, SpecError):
        return False
    sections = all(getattr(there, name) == getattr(study, name) for name in PROPOSING)
    return sections and there.search.model_dump(exclude=NOT_PROPOSING) == study.search.model_dump(exclude=NOT_PROPOSING)
