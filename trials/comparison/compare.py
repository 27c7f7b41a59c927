"""The rows of a comparison: each model kept in each way, on the same text and the same questions, against the first row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from analysis.statistics.arrays import Array
from analysis.tasks.comparison import ComparedModel, TextScore, mean_difference
from analysis.tasks.task_result import paired_difference, rights, task_result
from search_space.cost import parameters
from trials.comparison.mending import Mending
from trials.models.loaded_model import LoadedModel
from trials.models.scoring import scored
from trials.rounding.ways import Way
from trials.tasks.task_files import TaskQuestions

ReadText = Callable[[LoadedModel], TextScore]
"""What a model makes of the text of the comparison."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model with the ways in which it is kept."""

    model: LoadedModel
    ways: Sequence[Way]
    read: ReadText | None
    """How it reads the text of the comparison; None where there is none."""
    trained_here: bool
    mending: Mending | None = None
    """How it is trained on where weights are left out; None where it is not."""


def compare(candidates: Iterable[Candidate], tasks: Sequence[TaskQuestions]) -> Iterator[ComparedModel]:
    """A row as soon as it is known; the first is what the others are held against."""
    first: tuple[TextScore | None, list[Array]] | None = None
    for candidate in candidates:
        for way in candidate.ways:
            model, retrained = candidate.model, None
            if candidate.mending is not None and way.left_out:
                model, retrained = candidate.mending(model, way.left_out)
            with way.applied(model.network):
                text = None if candidate.read is None else candidate.read(model)
                answers = [scored(model, task.questions) for task in tasks]
            right = [rights(found) for found in answers]
            pairs = [] if first is None else list(zip(right, first[1], strict=True))
            yield ComparedModel(
                model=model.name,
                shape=model.architecture.label,
                way=way.name,
                parameters=parameters(model.architecture),
                stored_bytes=way.stored_bytes(model.network),
                retrained_tokens=retrained,
                trained_here=candidate.trained_here,
                bits_per_byte=None if text is None else text.bits_per_byte,
                more_bits_per_byte=None if first is None or first[0] is None or text is None else text.less(first[0]),
                tasks=[task_result(task.name, found) for task, found in zip(tasks, answers, strict=True)],
                more_accuracy={task.name: paired_difference(*pair) for task, pair in zip(tasks, pairs, strict=False)},
                more_accuracy_in_all=mean_difference(pairs) if pairs else None,
            )
            first = first or (text, right)
