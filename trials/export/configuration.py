"""A shape as configuration alone, for whoever trains it: no weights are read or written, and no torch is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from analysis.records.json_writer import json_of
from analysis.records.record import TrialRecord
from analysis.text.words import short
from search_space.cost import parameters, unrolled_parameters
from search_space.errors import SpecError
from trials.catalogue.formats import ARCHITECTURE
from trials.catalogue.hugging_face_config import LEAST_POSITIONS, hugging_face_config
from trials.catalogue.litgpt_config import litgpt_config, litgpt_refusal
from trials.export.folder import SUMS, require_own, staged
from trials.export.resizing import Resized
from trials.reporting.model_card import CARD
from trials.trial.shape_file import shape_text

CONFIG, LITGPT = "config.json", "model_config.yaml"
SAME_SIZE = 1.25
"""Sizes whose ratio is at most this are one size: what was found at one holds at the other as well as anything does."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What was written of a shape."""

    files: list[Path]
    left_out: list[str]
    """A sentence for each file that cannot hold the shape."""
    ranks: str
    """What is known of whether the study's order of shapes holds at this size."""


def export_configuration(made: Resized, record: TrialRecord, study_name: str, output: Path, context: int, force: bool) -> Configuration:
    """Write config.json, architecture.yaml and LitGPT's model_config.yaml of a winner's shape, and a card that says where it comes from.

    `context` is the length of a text in its training. Where anything fails the folder is as it was; raises SpecError where it holds
    what no export wrote, unless `force` says so, and WorkError where the system refuses a file.
    """
    require_own(output, force)
    shape, positions, name = made.shape, max(context, LEAST_POSITIONS), f"{study_name}-{record.number}-{short(parameters(made.shape))}"
    texts, left_out = {ARCHITECTURE: shape_text(shape)}, []
    try:
        texts[CONFIG] = json_of(hugging_face_config(shape, context), indent=2) + "\n"
    except SpecError as reason:
        left_out.append(f"no {CONFIG}: {reason}")
    if (refused := litgpt_refusal(shape)) is None:
        texts[LITGPT] = _litgpt_text(made, name, positions)
    else:
        left_out.append(f"no {LITGPT}: {refused}")
    ranks = ranks_sentence(made)
    texts[CARD] = "\n".join(_card(made, record, study_name, ranks, left_out)) + "\n"
    with staged(output) as stage:
        for file, text in texts.items():
            (stage / file).write_text(text, encoding="utf-8")
    return Configuration([output / file for file in sorted([*texts, SUMS])], left_out, ranks)


def ranks_sentence(made: Resized) -> str:
    """What is known of whether shapes keep their order from the study's size to this one."""
    before, after = parameters(made.of), parameters(made.shape)
    if max(before / after, after / before) <= SAME_SIZE:
        return f"ranks: {short(after)} is the study's own size ({short(before)}), so its order of shapes is meant for it"
    times = f"{made.factor:,.0f} times" if made.factor >= 2 else f"{made.factor:.2g} times"
    return (
        f"ranks: whether the shapes that win at {short(before)} win at {short(after)}, {times} the size, is not known: no comparison of "
        f"searches at several sizes is at hand; train rivals at {short(after)} too, or take the shape as a guess"
    )


def summary_lines(made: Resized) -> list[str]:
    """What the shape is, and how its proportions are those of the winner, a line each for a terminal."""
    shape = made.shape
    lines = [f"shape    {shape.label}, {parameters(shape):,} parameters, from {made.of.label} of {parameters(made.of):,}"]
    kept = [f"{name} {before:.3g} -> {after:.3g}" for name, before, after in made.ratios]
    lines.append(f"ratios   {'; '.join(kept)}")
    if made.total_ms is not None:
        lines.append(f"latency  {made.total_ms:.1f} ms on the study's workload, with fresh weights, of {made.limit_ms:g} ms allowed")
    return lines


def _litgpt_text(made: Resized, name: str, positions: int) -> str:
    shape = made.shape
    heading = [f'# {shape.label}: litgpt.Config.from_file("{LITGPT}")']
    if shape.tie_word_embeddings:
        heading.append("# its embeddings are tied: litgpt pretrain ... --train.tie_embeddings true")
    if unrolled_parameters(shape) != parameters(shape):
        heading.append(
            f"# LitGPT shares no blocks: each is there once for every time that it runs, {unrolled_parameters(shape):,} weights for "
            f"{parameters(shape):,}; `archfront train` keeps them shared"
        )
    settings = litgpt_config(shape, name, positions)
    return "\n".join([*heading, yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=120)])


def _card(made: Resized, record: TrialRecord, study_name: str, ranks: str, left_out: Sequence[str]) -> list[str]:
    shape = made.shape
    lines = [
        f"# {shape.label}, the proportions of trial {record.number} of the study {study_name} at {short(parameters(shape))}",
        "",
        "A configuration without weights: nothing was trained at this size.",
        "",
        "| | the trial | this shape |",
        "|---|---|---|",
        f"| shape | `{made.of.label}` | `{shape.label}` |",
        f"| parameters | {parameters(made.of):,} | {parameters(shape):,} |",
        f"| with repeated blocks written out | {unrolled_parameters(made.of):,} | {unrolled_parameters(shape):,} |",
        *(f"| {name} | {before:.3g} | {after:.3g} |" for name, before, after in made.ratios),
    ]
    if made.total_ms is not None:
        lines.append(f"| milliseconds of the study's workload | | {made.total_ms:.1f} of {made.limit_ms:g} |")
    lines += ["", f"{ranks[0].upper()}{ranks[1:]}.", ""]
    lines += [f"- `{ARCHITECTURE}`: `archfront train`, `archfront describe`, or a study's `references`"]
    lines += [f"- `{CONFIG}`: `transformers.AutoConfig`; a block that runs several times is written once for each"] * (
        not _lacks(left_out, CONFIG)
    )
    lines += [f"- `{LITGPT}`: `litgpt.Config.from_file`"] * (not _lacks(left_out, LITGPT))
    return [*lines, *(f"- {said}" for said in left_out)]


def _lacks(left_out: Sequence[str], file: str) -> bool:
    return any(said.startswith(f"no {file}") for said in left_out)
