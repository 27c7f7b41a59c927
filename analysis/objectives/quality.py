"""How well a shape predicts text after its training: on the held-out split, or on a named validation set."""

from __future__ import annotations

from functools import cache

from analysis.objectives.objective import Objective, Wording
from analysis.objectives.observed import Observed
from analysis.records.training import Quality
from analysis.statistics.cluster_error import half_width
from analysis.text.words import bits_text

BITS_PER_BYTE = "bits_per_byte"
ROUNDING_LOSS = "rounding_loss_bits_per_byte"
ON = f"{BITS_PER_BYTE}."
"""The beginning of the name of bits per byte on a named validation set."""


def bits_words(label: str, axis: str, phrase: str, best: str, meaning: str) -> Wording:
    """How bits per byte are said, of whichever text."""
    return Wording(
        label=label,
        axis=axis,
        write=bits_text,
        phrase=phrase,
        best=best,
        no_worse=f"at no worse {label}",
        gain=lambda ours, theirs: f"has {theirs - ours:.3f} fewer {label}",
        amount=lambda size: f"{size:.3f} {label}",
        meaning=meaning,
    )


def share_words(label: str, axis: str, best: str, meaning: str, short: str = "") -> Wording:
    """How a share of answers that are right is said."""
    return Wording(
        label=label,
        short=short,
        tick_format=".1%",
        axis=axis,
        write=lambda value: f"{value:.1%}",
        phrase=f"{{}} {label}",
        best=best,
        no_worse=f"at no worse {label}",
        gain=lambda ours, theirs: f"has {100 * (ours - theirs):.1f} points more {label}",
        amount=lambda size: f"{100 * size:.1f} points",
        meaning=meaning,
    )


def half_width_of(quality: Quality) -> float | None:
    """Half the width of the interval of bits per byte as that of all text like this, by documents; None where these are not known."""
    if quality.standard_error is None or quality.documents is None:
        return None
    return half_width(quality.standard_error, quality.documents)


@cache
def bits_per_byte_on(name: str) -> Objective:
    """Bits per byte of the validation set that a study's corpus names so."""

    def value(seen: Observed) -> float | None:
        quality = seen.validations.get(name)
        return None if quality is None else quality.deployed.bits_per_byte

    label = f"bits per byte of {name}"
    meaning = f"Bits per byte on the validation set `{name}`, at a training's end."
    words = bits_words(label, f"Validation {label}", f"{{}} {label}", f"most accurate on {name}", meaning)
    return Objective(name=f"{ON}{name}", words=words, value=value, known="training", noise="seed")


QUALITY = (
    Objective(
        name=BITS_PER_BYTE,
        words=bits_words(
            "bits per byte",
            "Validation bits per byte",
            "{} bits per byte",
            "most accurate",
            "Cross-entropy on the validation split in bits per byte of the text, so that vocabularies compare; where the precision of the "
            "latency is int8 or int4, of weights and activations as that runtime rounds them. "
            "`bits_per_byte.NAME` is that of the validation set which the corpus names so.",
        ),
        value=lambda seen: None if seen.quality is None else seen.quality.deployed.bits_per_byte,
        known="training",
        noise="seed",
        has_splits=True,
    ),
    Objective(
        name=ROUNDING_LOSS,
        words=Wording(
            label="loss by rounding",
            axis="Loss by rounding, bits per byte",
            write=lambda value: f"{value:.4f}",
            phrase="{} bits per byte lost by rounding",
            best="least harmed by rounding",
            no_worse="at no more loss by rounding",
            gain=lambda ours, theirs: f"loses {theirs - ours:.3f} fewer bits per byte by rounding",
            amount=lambda size: f"{size:.3f} bits per byte",
            meaning="Bits per byte of the validation split as the latency's runtime rounds weights and activations to int8 or int4, less "
            "those of the same weights in float32. Absent where nothing is rounded.",
        ),
        value=lambda seen: None if seen.quality is None else seen.quality.rounding_loss,
        known="training",
        noise="seed",
        has_splits=True,
    ),
    Objective(
        name="next_token_accuracy",
        words=share_words(
            "next-token accuracy",
            "Validation next-token accuracy",
            "most accurate by next token",
            "Share of the validation split's tokens that are the ones which the network holds for most probable.",
            short="accuracy",
        ),
        value=lambda seen: None if seen.quality is None else seen.quality.deployed.next_token_accuracy,
        better="higher",
        known="training",
        noise="seed",
        has_splits=True,
    ),
)
