"""From a model and chats to a tuned model in a folder: judged on chats that it has not seen, before and after, and verified as written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.tasks.answer_loss import loss_change, loss_estimate
from analysis.tasks.api_calling import PUBLISHED, ApiScores, api_scores
from analysis.terminal.tuning_text import loss_sentences, scores_text
from analysis.text.words import plural
from search_space.errors import SpecError
from trials.export.card import require_no_other
from trials.export.check import Check
from trials.export.export_tuned import TunedModel, require_writable, tuned_title, write_tuned
from trials.formats.model import ChatTokens
from trials.models.loaded_model import LoadedModel
from trials.tuning.answers import ROUGE_MISSING, WrittenAnswer, has_calls, has_rouge, scored_answers, written_answers
from trials.tuning.chat import Chat
from trials.tuning.examples import chat_coder, examples_of
from trials.tuning.tuning import TuningRecipe, answer_nats, steps_of, tune_network, usual_rate

USUAL_WRITTEN = 100
"""Answers that are written and scored where chats call tools and nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningWish:
    """What is asked of a tuning beside its model."""

    learned: Sequence[Chat]
    held_out: Sequence[Chat]
    data: str
    """Where the chats come from, in words."""
    epochs: int
    batch_chats: int
    learning_rate: float | None
    """AdamW's highest; None for the usual one."""
    seed: int
    written: int | None
    """Answers to held-out chats that are written and scored; None for the usual number."""
    formats: Sequence[str]
    output: Path
    license_name: str | None
    keeps_sharing: bool


@dataclass(frozen=True, slots=True)
class TuningResult:
    """What it came to."""

    found: dict[str, Any]
    """All of it, as JSON."""
    sentences: Sequence[str]
    """What the loss on answers that were not trained on was and is."""
    scores: Sequence[tuple[str, ApiScores]]
    """Scores of written answers before and after; none where none were written."""
    files: list[Path]
    checks: list[Check]

    def text(self, width: int | None = None) -> str:
        """What a person reads of it; `width` is that of a terminal."""
        return "\n".join([*self.sentences, *([scores_text(self.scores, width)] if self.scores else [])])


def tune_model(model: LoadedModel, wish: TuningWish, said: Callable[[str], None]) -> TuningResult:
    """Tune a model in place and write it; `said` hears how far it is.

    Raises SpecError where chats do not fit the model or a format cannot hold it, WorkError where the tuning or a check fails.
    """
    if wish.keeps_sharing and model.architecture.sharing.repeats == 1:
        raise SpecError(f"--keep-sharing must go with a model that runs a stored block several times, found {model.name}; leave it out")
    require_no_other(wish.output, tuned_title(model.name, wish.data))
    coder = chat_coder(model)
    require_writable(model.architecture, coder.tokenizer, wish.formats)
    examples, _ = examples_of(coder, wish.learned, model.context_tokens)
    judged, judged_chats = examples_of(coder, wish.held_out, model.context_tokens)
    ends = coder.end_ids(examples) or model.end_token_ids
    if not ends:
        raise SpecError(
            f"{model.name} must have a token at which an answer ends, found neither a special token where its chat template ends one nor "
            "eos_token_id; add that to its config.json"
        )
    rate = wish.learning_rate or usual_rate(model.network)
    recipe = TuningRecipe(epochs=wish.epochs, batch_chats=wish.batch_chats, learning_rate=rate, seed=wish.seed)
    too_long = len(wish.learned) + len(wish.held_out) - len(examples) - len(judged)
    left_out = f", {too_long:,} left out because they are longer than {model.context_tokens:,} tokens" if too_long else ""
    said(
        f"{model.name}: {plural(len(examples), 'chat')}, {sum(sum(each.learned) for each in examples):,} tokens of answers, "
        f"{plural(steps_of(recipe, len(examples)), 'step')}; {plural(len(judged), 'chat')} to judge by{left_out}"
    )
    most = wish.written if wish.written is not None else USUAL_WRITTEN if has_calls(wish.held_out) else 0
    if most and not has_rouge():
        said(ROUGE_MISSING)

    def write() -> list[WrittenAnswer]:
        return written_answers(model.network, coder, ends, judged_chats, most, model.context_tokens)

    def told(step: int, steps: int, loss: float) -> None:
        if step * 10 // steps > (step - 1) * 10 // steps:
            said(f"step {step:,} of {steps:,}, loss {loss:.3f}")

    nats, answers = [answer_nats(model.network, judged)], [write()]
    tune_network(model.network, examples, recipe, told)
    nats, answers = [*nats, answer_nats(model.network, judged)], [*answers, write()]
    before, after = map(loss_estimate, nats)
    change = loss_change(nats[1], nats[0])
    sentences = loss_sentences(before, after, change, len(judged))
    scores = [(name, api_scores(scored_answers(some))) for name, some in zip(("before", "after"), answers, strict=True)] if most else []
    found = {
        "model": model.name,
        "data": wish.data,
        "chats": len(examples),
        "held_out_chats": len(judged),
        "left_out_chats": too_long,
        "recipe": asdict(recipe),
        "loss": {name: each and asdict(each) for name, each in (("before", before), ("after", after), ("change", change))},
        "scores": {name: asdict(each) for name, each in scores} or None,
        "published": [asdict(row) for row in PUBLISHED] if scores else None,
    }
    table = [scores_text(scores)] if scores else []
    tuned = TunedModel(
        network=model.network,
        tokenizer=coder.tokenizer,
        context_tokens=model.context_tokens,
        chat=ChatTokens(coder.format.template, model.prefix_token_id, ends),
        source=model.name,
        found=found,
        sentences=[*sentences, *(f"scores of written answers, in percent:\n\n```\n{each}\n```" for each in table)],
        answers=[asdict(each) for each in answers[1]],
    )
    files, checks = write_tuned(tuned, wish.formats, wish.output, wish.license_name, wish.keeps_sharing)
    return TuningResult(found, sentences, scores, files, checks)
