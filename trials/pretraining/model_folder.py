"""What a long training leaves for others: a folder that transformers and `archfront evaluate` load, verified as it is written."""

from __future__ import annotations

from pathlib import Path

from analysis.records.training import Training
from analysis.text.words import bits_text
from search_space.cost import parameters, unrolled_parameters
from trials.export.check import verified_text
from trials.export.folder import is_whole, require_own, staged
from trials.export.front_matter import front_matter
from trials.export.verification import keep, verify
from trials.export.write import write_formats
from trials.pretraining.statement import FORMATS_LEFT, MODEL_LEFT, TRAINED_TOKENIZER, TRAINED_WEIGHTS, Statement
from trials.reporting.model_card import CARD

MODEL_CURE = "move it away, and run the same command again"


def require_model_place(folder: Path) -> bool:
    """Whether the whole model of a training lies in its folder; SpecError, before a step is made, where something else is in its place."""
    output = folder / MODEL_LEFT
    if is_whole(output):
        return True
    require_own(output, cure=MODEL_CURE)
    return False


def write_model(folder: Path, wanted: Statement, training: Training, foreseen: str, license_name: str | None = None) -> str:
    """Write the model of a training that is over; which formats were verified, in words.

    Raises WorkError where what was written is not the trained model.
    """
    weights, tokenizer, output = folder / TRAINED_WEIGHTS, folder / TRAINED_TOKENIZER, folder / MODEL_LEFT
    require_own(output, cure=MODEL_CURE)
    with staged(output) as stage:
        write_formats(FORMATS_LEFT, stage, wanted.shape, weights, tokenizer, wanted.proxy.context_tokens)
        checks = verify(FORMATS_LEFT, stage, wanted.shape, weights, tokenizer)
        keep(checks, stage)
        lines = [*front_matter(FORMATS_LEFT, license_name), *_card(wanted, training, foreseen)]
        (stage / CARD).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return verified_text(checks)


def _card(wanted: Statement, training: Training, foreseen: str) -> list[str]:
    shape, quality = wanted.shape, training.validation
    rows = [
        ("shape", f"`{shape.label}`"),
        ("parameters", f"{parameters(shape):,}"),
        ("blocks", f"{shape.num_unique_layers} stored, {shape.num_hidden_layers} executed"),
        ("recipe", f"{wanted.recipe} ({wanted.recipe_source}), seed {wanted.seed}"),
        ("trained on", f"{training.tokens:,} tokens of {wanted.corpus.title} in steps of {wanted.tokens_per_step:,}"),
        ("context", f"{wanted.proxy.context_tokens:,} tokens in training"),
    ]
    if quality is not None:
        rows.append(("validation", f"{bits_text(quality.bits_per_byte)} bits per byte, {quality.loss:.4f} nats per token"))
    rows.append(("foreseen", foreseen))
    shared = parameters(shape) != unrolled_parameters(shape)
    lines = [
        f"# {shape.label}, {wanted.title}, trained by {wanted.recipe}",
        "",
        "| | |\n|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        '`AutoModelForCausalLM.from_pretrained(".")` and `AutoTokenizer` of transformers load it, and so does `archfront evaluate`.',
    ]
    if shared:
        lines += [
            "",
            f"A block that runs several times is written once for each here: {unrolled_parameters(shape):,} weights for "
            f"{parameters(shape):,}. `../{TRAINED_WEIGHTS}` has each once.",
        ]
    return lines
