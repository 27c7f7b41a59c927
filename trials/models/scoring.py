"""A loaded model's log-likelihoods of texts, and its answers to questions."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.tasks.task_result import Scored
from trials.models.loaded_model import LoadedModel
from trials.tasks.encoding import EncodedOption, encoded_option, encoded_question, require_answers_fit
from trials.tasks.likelihood import Likelihood, option_likelihoods, score_questions
from trials.tasks.question import Option, Question


def likelihoods(model: LoadedModel, options: Sequence[Option]) -> list[Likelihood]:
    """What each option has, in their order. Raises SpecError where a continuation has no token, or more than the context has room for."""
    encoded = [encoded_option(option, model.encode, model.prefix_token_id) for option in options]
    _require_answers_fit(model, encoded)
    return option_likelihoods(model.network, encoded, model.context_tokens)


def scored(model: LoadedModel, questions: Sequence[Question]) -> list[Scored]:
    """Every question with the log-likelihoods of its options; raises SpecError as `likelihoods` does."""
    encoded = [encoded_question(question, model.encode, model.prefix_token_id) for question in questions]
    _require_answers_fit(model, [option for question in encoded for option in question.options])
    return score_questions(model.network, encoded, model.context_tokens)


def _require_answers_fit(model: LoadedModel, options: Sequence[EncodedOption]) -> None:
    require_answers_fit(options, model.context_tokens, f"the context that {model.name} states")
