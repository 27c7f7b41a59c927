"""A long training as one call: settled, prepared, trained, judged and written as a model; each part that is done is not done again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.records.files import write_whole
from analysis.records.json_writer import json_of
from analysis.records.training import CurvePoint, Training
from analysis.text.words import bits_text, duration
from trials.cluster.ray_address import is_here
from trials.experiments.validate import LONG_SEED_OFFSET
from trials.experiments.workplace import HERE, Workplace
from trials.pretraining.kept_files import finished, kept_forecast, require_text_of
from trials.pretraining.prediction import LossPrediction, predicted
from trials.pretraining.recipes import TrainingRecipe
from trials.pretraining.statement import (
    FORESEEN,
    FORMATS_LEFT,
    MODEL_LEFT,
    STATE,
    TRAINED_TOKENIZER,
    Statement,
    begun,
    has_steps,
    is_stated,
    settle,
)
from trials.pretraining.subject import Subject
from trials.study.directory import hold
from trials.study.spec import ProxySpec

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """A long training that is over."""

    folder: Path
    wanted: Statement
    training: Training
    judged: str
    """What was foreseen of it and what came, in a sentence."""
    verified: str
    """Which formats of its model were verified, in words; empty where it was written before."""

    @property
    def text(self) -> str:
        """What a person is told."""
        quality = self.training.validation
        measured = "" if quality is None else f", {bits_text(quality.bits_per_byte)} bits per byte on the validation split"
        return "\n".join(
            [
                f"trained     {self.training.tokens:,} tokens in {duration(self.training.wall_seconds)}{measured}",
                f"foreseen    {self.judged}",
                f"model       {self.folder / 'model'}",
            ]
        )

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"folder": str(self.folder), "model": str(self.folder / "model"), "judged": self.judged} | {
            "statement": self.wanted.as_dict(),
            "training": asdict(self.training),
        }


def wanted_of(
    subject: Subject,
    recipe: TrainingRecipe,
    proxy: ProxySpec,
    folder: Path,
    seed: int | None,
    threads: int | None,
    devices: int = 1,
    place: Workplace = HERE,
) -> Statement:
    """What a command asks for; what it leaves open is as the folder's training began, where steps of it are kept, else the place's."""
    device, processors = place.trainer()
    there = begun(folder) if has_steps(folder) else None
    stored = subject.stored
    usual = 0 if stored is None else stored.study.search.seed + LONG_SEED_OFFSET
    return Statement(
        title=subject.title,
        shape=subject.shape,
        proxy=proxy,
        recipe=recipe.name,
        recipe_source=recipe.source,
        corpus=subject.corpus,
        seed=usual if seed is None else seed,
        threads=threads or (there.threads if there is not None else max(1, processors // devices)),
        device=device if there is None else there.device,
        devices=devices,
    )


def foreseen_of(subject: Subject, wanted: Statement, folder: Path) -> LossPrediction | str:
    """What is predicted of the loss: what was before the first step, where there was one."""
    if not (folder / FORESEEN).is_file() or not is_stated(folder, wanted):
        return predicted(subject, wanted)
    return kept_forecast(folder)


def train_whole(
    subject: Subject,
    wanted: Statement,
    folder: Path,
    foreseen: LossPrediction | str,
    *,
    state_seconds: float,
    license_name: str | None,
    say: Tell,
    tracking_uri: str | None = None,
    address: str | None = None,
    place: Workplace = HERE,
) -> Trained:
    """Train, go on where the folder's training was, or write what is over anew where that is lacking.

    One process trains at `place`; several are begun by Ray Train in the cluster at `address`.

    Raises SpecError where the folder is another training's, the machine too small, or the text another than the study's; WorkError where
    the training fails or its model cannot be verified.
    """
    from trials.corpus.prepare import prepare_corpus
    from trials.export.write import require_tokenizer_fits
    from trials.pretraining.model_folder import require_model_place, write_model
    from trials.pretraining.outlook import require_machine_for
    from trials.pretraining.pretrain import pretrain
    from trials.pretraining.tracked import TrackedTraining

    if finished(folder) is None and is_here(address):
        require_machine_for(wanted)
    with hold(folder, "--output") as held:
        settle(held, wanted)
        has_model = require_model_place(held)
        if not (held / FORESEEN).is_file():
            kept = foreseen.as_dict() if isinstance(foreseen, LossPrediction) else foreseen
            write_whole(held / FORESEEN, f"{json_of(kept)}\n".encode())
        training = finished(held)
        if training is not None and (there := begun(held)) is not None and there.corpus != wanted.corpus:
            require_text_of(held, training, prepare_corpus(wanted.corpus, wanted.shape.vocab_size))
        with TrackedTraining(subject, wanted, held, tracking_uri) as tracked:
            if training is None:
                blocks = prepare_corpus(wanted.corpus, wanted.shape.vocab_size)
                if subject.record is not None and subject.is_studys_text:
                    blocks.require_same_text([subject.record])
                blocks.require_context(wanted.proxy.context_tokens)
                assert blocks.tokenizer_file is not None  # a corpus that was prepared here has one
                require_tokenizer_fits(FORMATS_LEFT, blocks.tokenizer_file)
                if not (
                    (held / STATE).exists() and (held / TRAINED_TOKENIZER).exists()
                ):  # a state may be refused, and nothing is changed then
                    write_whole(held / TRAINED_TOKENIZER, blocks.tokenizer_file.read_bytes())
                progress = _Progress(wanted, say)  # whose clock begins when the text is there

                def on_point(point: CurvePoint, began: int) -> None:
                    progress(point, began)
                    tracked.point(point, began)

                if wanted.devices > 1:
                    from trials.pretraining.in_parallel import pretrain_in_parallel

                    training = pretrain_in_parallel(wanted, held, state_seconds=state_seconds, on_point=on_point, address=address)
                elif not is_here(address):
                    from trials.pretraining.on_a_node import pretrain_on_a_node

                    training = pretrain_on_a_node(wanted, held, state_seconds=state_seconds, on_point=on_point, place=place)
                else:
                    training = pretrain(wanted, blocks, held, state_seconds=state_seconds, on_point=on_point)
            judged = foreseen.judged(training) if isinstance(foreseen, LossPrediction) else f"nothing was foreseen: {foreseen}"
            verified = "" if has_model else write_model(held, wanted, training, judged, license_name)
            tracked.end(training, judged, held / MODEL_LEFT)
    return Trained(folder, wanted, training, judged, verified)


class _Progress:
    """Says where a training is, at each point of its curve."""

    def __init__(self, wanted: Statement, say: Tell) -> None:
        self._wanted, self._say, self._since = wanted, say, time.monotonic()

    def __call__(self, point: CurvePoint, began: int) -> None:
        made, whole = point.tokens - began, self._wanted.tokens
        elapsed = time.monotonic() - self._since
        seen = "" if point.validation_loss is None else f", validation {point.validation_loss:.3f}"
        left = "" if point.tokens >= whole else f", about {duration(elapsed / made * (whole - point.tokens))} left"
        self._say(f"{point.tokens / whole:4.0%} {point.tokens:,} tokens: loss {point.training_loss:.3f}{seen}{left}")
