"""How often a study's trainings will go through its text, before anything is trained."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from analysis.text.passes import passes_range, repetition_warning
from analysis.text.words import quantity
from trials.plans.check_study import SHAPES_ASKED_ABOUT
from trials.plans.first_trials import FirstTrials
from trials.plans.text_size import text_size
from trials.study.corpus_spec import CorpusSpec
from trials.study.spec import StudySpec
from trials.training.schedules import stated_tokens


@dataclass(frozen=True, kw_only=True)
class TextUse:
    """A text, and what trainings take of it."""

    train_tokens: int
    """Tokens of the train split; of several vocabularies those of the largest, which has fewest."""
    is_exact: bool
    """Whether they were counted; else they are estimated from a sample of its beginning."""
    fewest_passes: float
    most_passes: float

    @property
    def warning(self) -> str | None:
        """What the repetition means; None up to four passes."""
        said = repetition_warning(self.most_passes)
        return said and f"trainings make up to {passes_range(self.most_passes, self.most_passes)} over the text: {said}"

    def __str__(self) -> str:
        known = "counted" if self.is_exact else "about, from a sample"
        passes = passes_range(self.fewest_passes, self.most_passes)
        return f"{quantity(self.train_tokens)} training tokens ({known}); a training makes {passes}"


def text_use(corpus: CorpusSpec, vocab_sizes: Collection[int], training_tokens: Collection[float]) -> TextUse | None:
    """The use that trainings of so many tokens make of a text; None where its size cannot be told yet.

    Raises SpecError where the text cannot be read.
    """
    found = [text_size(corpus, size) for size in sorted({min(vocab_sizes), max(vocab_sizes)})]
    sizes = [size for size in found if size is not None]
    return _use([size.train_tokens for size in sizes], training_tokens, is_exact=all(size.is_exact for size in sizes))


def use_of_blocks(study: StudySpec, first: FirstTrials, train_tokens: Collection[int]) -> TextUse | None:
    """The use that a study's trainings make of a text of so many tokens, under each of its vocabularies; None where they last seconds."""
    if study.scaling is not None:
        asked = [stated_tokens(task.recipe(study.proxy), task.architecture) for task in first.planned]
    else:
        space = study.search_space
        shapes = [*space.sample(SHAPES_ASKED_ABOUT, study.search.seed, space.glance), *(shape for _, shape in first.references)]
        asked = [stated_tokens(study.proxy, shape) for shape in shapes]
    return _use(train_tokens, [tokens for tokens in asked if tokens is not None], is_exact=True)


def _use(train_tokens: Collection[int], training_tokens: Collection[float], *, is_exact: bool) -> TextUse | None:
    if not train_tokens or not min(train_tokens) or not training_tokens:
        return None
    fewest, most = min(train_tokens), max(train_tokens)
    return TextUse(
        train_tokens=fewest, is_exact=is_exact, fewest_passes=min(training_tokens) / most, most_passes=max(training_tokens) / fewest
    )
