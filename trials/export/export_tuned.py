"""A tuned model as files that other tools load, with its chat template, what was found of it, and a card."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from analysis.records.json_writer import json_of
from search_space.architecture import Architecture
from search_space.cost import parameters
from trials.catalogue.formats import FORMATS
from trials.export.check import Check
from trials.export.folder import SUMS, staged
from trials.export.front_matter import front_matter
from trials.export.verification import verify
from trials.export.write import require_formats, write_formats
from trials.formats.model import ChatTokens
from trials.network.decoder import Network
from trials.network.weights import save_weights
from trials.reporting.model_card import CARD

TUNING = "tuning.json"
"""What a tuning was and came to, beside its model."""
ANSWERS_FILE = "answers.jsonl"
"""Answers that the tuned model wrote, beside the expected ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedModel:
    """What is to be written."""

    network: Network
    tokenizer: Tokenizer
    context_tokens: int
    chat: ChatTokens
    source: str
    """What was tuned, in words."""
    found: Mapping[str, Any]
    """What the tuning was and came to, as JSON."""
    sentences: Sequence[str]
    """What it came to, for the card."""
    answers: Sequence[Mapping[str, Any]]


def tuned_title(source: str, data: str) -> str:
    """The title of a tuned model's card."""
    return f"# {source}, tuned on the chats of {Path(data).name}"


def require_writable(shape: Architecture, tokenizer: Tokenizer, formats: Sequence[str]) -> None:
    """Raise SpecError, before a model is tuned, where it could not be written afterwards."""
    with tempfile.TemporaryDirectory(prefix="archfront-tuned-") as beside:
        file = Path(beside, "tokenizer.json")
        tokenizer.save(str(file))
        require_formats(formats, shape, file)


def write_tuned(
    tuned: TunedModel, formats: Sequence[str], output: Path, license_name: str | None, keeps_sharing: bool
) -> tuple[list[Path], list[Check]]:
    """Write a tuned model into a folder, verified as any export is; where anything fails, the folder is as it was.

    Returns what was written and the checks. Raises SpecError where a format cannot hold the model, WorkError where what was written is
    not it.
    """
    shape = tuned.network.architecture
    with tempfile.TemporaryDirectory(prefix="archfront-tuned-") as beside, staged(output) as stage:
        weights, tokenizer = Path(beside, "model.safetensors"), Path(beside, "tokenizer.json")
        save_weights(weights, tuned.network)
        tuned.tokenizer.save(str(tokenizer))
        write_formats(formats, stage, shape, weights, tokenizer, tuned.context_tokens, {}, keeps_sharing, tuned.chat)
        checks = verify(formats, stage, shape, weights, tokenizer)
        (stage / TUNING).write_text(json_of(tuned.found, indent=2) + "\n", encoding="utf-8")
        if tuned.answers:
            (stage / ANSWERS_FILE).write_text("".join(f"{json_of(each)}\n" for each in tuned.answers), encoding="utf-8")
        (stage / CARD).write_text("\n".join(_card(tuned, formats, checks, license_name, keeps_sharing)), encoding="utf-8")
        names = sorted(path.name for path in stage.iterdir())
    return [output / name for name in sorted([*names, SUMS])], checks


def _card(tuned: TunedModel, formats: Sequence[str], checks: Sequence[Check], license_name: str | None, keeps_sharing: bool) -> list[str]:
    shape = tuned.network.architecture
    return [
        *front_matter(formats, license_name),
        tuned_title(tuned.source, str(tuned.found["data"])),
        "",
        f"{shape.label}, {parameters(shape):,} parameters.",
        "",
        "## What the tuning came to",
        "",
        *(f"- {sentence}" for sentence in tuned.sentences),
        "",
        "## How to run it",
        "",
        "Its chat template is the one that it was tuned with: `tokenizer.apply_chat_template(messages, add_generation_prompt=True)`.",
        "",
        "\n\n".join((keeps_sharing and FORMATS[name].usage_shared) or FORMATS[name].usage for name in formats),
        "",
        "## Checked as it was written",
        "",
        *(f"- {check.sentence()}" for check in checks),
        "",
    ]
