"""Where trainings and measurements beside a study take place: processes of this machine, unless somebody hands in another `Workplace`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from analysis.records.latency import Latency
from search_space.errors import WorkError
from trials.catalogue.runtimes import RUNTIMES
from trials.corpus.prepare import prepare_corpus
from trials.latency.measurer import Measurer
from trials.machine.process_pool import Result, side_by_side
from trials.machine.processors import device_name
from trials.study.corpus_spec import CorpusSpec
from trials.study.latency_spec import LatencySpec
from trials.study.spec import StudySpec
from trials.trial.calibration import settled


@dataclass(frozen=True, slots=True)
class TrainingCall:
    """One training: a call of a function at the top of a module, whose last argument is the study's text as TokenBlocks."""

    study: StudySpec
    """Says which text, and how many threads and GPUs."""
    vocab_size: int
    arguments: tuple[Any, ...]
    """All arguments but the last."""


class TrainingsLost(WorkError):  # noqa: N818  as the failures of a training
    """Whoever trained was lost again and again; what trainings have left of their way is there."""


class Workplace(Protocol):
    """Where trainings and measurements beside a study take place."""

    def trainer(self) -> tuple[str, int]:
        """What there is for one training: a device in torch's words, and processors."""

    def settled(self, study: StudySpec, directory: Path) -> StudySpec:
        """The study with nothing left open: as its directory has it, or as it is found where trainings take place."""

    def side_by_side(
        self, work: Callable[..., Result], trainings: Sequence[TrainingCall], workers: int, *, lower: str
    ) -> Iterator[tuple[int, Result]]:
        """What `work` returns for each training: its place and its result, as they end, so many at a time.

        Raises what `work` raises, and WorkError where whoever trains vanishes, with what to `lower`: TrainingsLost on a cluster.
        """

    def measurer(self, spec: LatencySpec, earlier: Iterable[Latency] = ()) -> Measurer:
        """Begin to measure such a workload; `earlier` latencies say what the yardstick counts as."""

    def device(self, spec: LatencySpec) -> str:
        """The name of the device on which such a workload is measured."""


class ThisMachine:
    """Processes of this machine, neither Ray nor MLflow."""

    def trainer(self) -> tuple[str, int]:
        """A GPU where torch finds one, else the processor; all processors."""
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu", os.cpu_count() or 1

    def settled(self, study: StudySpec, directory: Path) -> StudySpec:
        """The study in the way of its directory, or as this machine is calibrated."""
        return settled(study, directory)

    def side_by_side(
        self, work: Callable[..., Result], trainings: Sequence[TrainingCall], workers: int, *, lower: str
    ) -> Iterator[tuple[int, Result]]:
        """Each in a process of its own, which maps the text's files."""
        calls = [(work, each.study.corpus, each.vocab_size, each.arguments) for each in trainings]
        return side_by_side(_with_text, calls, workers, lower=lower)

    def measurer(self, spec: LatencySpec, earlier: Iterable[Latency] = ()) -> Measurer:
        """A process that measures."""
        from trials.latency.process import LatencyProcess

        return LatencyProcess(spec, earlier)

    def device(self, spec: LatencySpec) -> str:
        """The processor of this machine, or its GPU."""
        return device_name(RUNTIMES[spec.runtime].device)


HERE: Workplace = ThisMachine()


def _with_text(work: Callable[..., Result], corpus: CorpusSpec, vocab_size: int, arguments: Sequence[Any]) -> Result:
    return work(*arguments, prepare_corpus(corpus, vocab_size))
