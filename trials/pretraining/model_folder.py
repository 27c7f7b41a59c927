"""What a long training leaves for others: a folder that transformers and `archfront evaluate` load, verified as it is written."""

from __future__ import annotations

from pathlib import Path

from analysis.records.training import Training
from analysis.text.words import bits_text
from search_space.cost import parameters, unrolled_parameters
from trials.corpus.blocks import TokenBlocks
from trials.export.check import verified_text
from trials.export.folder import require_own, staged
from trials.export.front_matter import front_matter
from trials.export.verification import keep, verify
from trials.export.write import write_formats
from trials.pretraining.pretrain import TRAINED_TOKENIZER, TRAINED_WEIGHTS
from trials.pretraining.statement import Statement
from trials.reporting.model_card import CARD

MODEL_LEFT = "model"
"""Where it lies in a training's folder."""
FORMATS_LEFT = ["hf", "yaml"]


def write_model(folder: Path, wanted: Statement, training: Training, foreseen: str, license_name: str | None = None) -> str:
    """Write the model of a training that is over; which formats were verified, in words.

    Raises WorkError where what was written is not the trained model.
    """
    weights, tokenizer, output = folder / TRAINED_WEIGHTS, folder / TRAINED_TOKENIZER, folder / MODEL_LEFT
    require_own(output)
    with staged(output) as stage:
        write_formats(FORMATS_LEFT, stage, wanted.shape, weights, tokenizer, wanted.proxy.context_tokens)
        checks = verify(FORMATS_LEFT, stage, wanted.shape, weights, tokenizer)
        keep(checks, stage)
        lines = [*front_matter(FORMATS_LEFT, license_name), *_card(wanted, training, foreseen)]
        (stage / CARD).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return verified_text(checks)


def keep_tokenizer(folder: Path, blocks: TokenBlocks) -> None:
    """Put the text's tokenizer beside the training, because a cache may be cleared."""
    import shutil

    assert blocks.tokenizer_file is not None  # a corpus that was prepared here has one
    draft = folder / f"{TRAINED_TOKENIZER}.draft"
    shutil.copyfile(blocks.tokenizer_file, draft)
    draft.replace(folder / TRAINED_TOKENIZER)


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
