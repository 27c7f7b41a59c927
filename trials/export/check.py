"""What an export is held against, and what is found: logits at fixed positions, and token ids of strings in many scripts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from analysis.records.latency import Latency
from analysis.text.words import joined
from search_space.architecture import Architecture
from trials.corpus.tokenizer import load_exported
from trials.network.weights import load_network

POSITIONS = 64
LARGEST_DIFFERENCE = 1e-3
"""Largest difference allowed between logits, relative to the standard deviation of the original's."""
STRINGS = 300
SCRIPTS = (
    (0x20, 0x7E), (0xA1, 0x17F), (0x370, 0x3FF), (0x400, 0x45F), (0x5D0, 0x5EA), (0x620, 0x64A), (0x905, 0x939), (0xE01, 0xE3A),
    (0x3041, 0x3096), (0x4E00, 0x4FFF), (0xAC00, 0xACFF), (0x1F600, 0x1F64F),
)  # fmt: skip
"""First and last character of Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, Hiragana, Chinese, Hangul and emoji."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One format against the original."""

    format: str
    loaded_by: str
    """Library and version, or what is missing."""
    passed: bool | None
    """Whether the format equals the original; None where the check could not be made."""
    positions: int | None = None
    """Number of positions at which logits were compared."""
    largest_difference: float | None = None
    """Largest difference of a logit, relative to the standard deviation of the original's."""
    top1_agreement: float | None = None
    """Share of positions with the same most probable next token."""
    kl_nats: float | None = None
    """Mean divergence of the next-token distribution from the original's."""
    strings: int | None = None
    """Number of strings whose token ids were compared."""
    strings_equal: int | None = None
    precision: str | None = None
    """Precision of the file's weights, where the format has several."""
    rounding: float | None = None
    """Root mean square difference from our network with the file's rounded weights, relative to the spread of its logits."""
    failure: str | None = None
    """Why there are no figures."""

    latency: Latency | None = None
    """Latency of the study's workload in the runtime that the file is for; None where there is none of ours, or see `not_measured`."""
    not_measured: str | None = None
    """Why a runtime of ours gave no latency."""

    def sentence(self) -> str:
        """What was found, in words."""
        if self.passed is None:
            return f"{self.format} is not verified: {self.loaded_by}"
        found = [self.failure] if self.failure else []
        if self.rounding is not None and self.precision != "float32":
            assert self.top1_agreement is not None
            found.append(
                f"logits are those of the weights in {self.precision} within {self.rounding:.1e} of their spread; against the trained "
                f"weights the most probable token agrees at {self.top1_agreement:.1%} of positions, and {self.kl_nats:.1e} nats are lost"
            )
        elif self.largest_difference is not None:
            found.append(f"logits differ by {self.largest_difference:.1e} of their spread at most ({LARGEST_DIFFERENCE:g} is allowed)")
        if self.strings is not None:
            found.append(f"token ids are equal for {self.strings_equal} of {self.strings} strings")
        return f"{self.format}, loaded by {self.loaded_by}: {'; '.join(found) or 'reads back equal'}"


def verified_text(checks: Sequence[Check]) -> str:
    """Which formats were verified, and why others were not, in words."""
    verified = [check.format for check in checks if check.passed]
    others = [check.sentence() for check in checks if not check.passed]
    return "; ".join([*([f"{joined(verified)} verified as its README.md says"] if verified else []), *others])


@dataclass(frozen=True)
class Original:
    """The trained network and its tokenizer, which an export must equal."""

    architecture: Architecture
    weights: Path
    tokenizer: Path

    @property
    def tokens(self) -> Tensor:
        """Tokens at which logits are compared, [1, positions]; always the same."""
        return torch.randint(self.architecture.vocab_size, (1, POSITIONS), generator=torch.Generator().manual_seed(0))

    @cached_property
    def logits(self) -> Tensor:
        """Logits of the tokens, [positions, vocab_size]; the network is loaded for the formats that need them."""
        with torch.no_grad():
            logits: Tensor = load_network(self.weights, self.architecture).float()(self.tokens)[0]
        return logits

    @property
    def logits_both_ways(self) -> Tensor:
        """Logits as a runtime's session gives them, [positions + 1, vocab_size]: of each token, and of the last one once more."""
        return torch.cat((self.logits, self.logits[-1:]))

    @cached_property
    def ids(self) -> list[list[int]]:
        """Token ids of `strings_of_many_scripts` by the tokenizer."""
        own = load_exported(self.tokenizer)
        return [own.encode(text, add_special_tokens=False).ids for text in strings_of_many_scripts()]

    def equal_strings(self, ids: Sequence[list[int]]) -> int:
        """How many of the strings have these ids."""
        return sum(ours == theirs for ours, theirs in zip(self.ids, ids, strict=True))


def judged(name: str, loaded_by: str, original: Tensor, found: Tensor, strings_equal: int | None = None) -> Check:
    """The check of a format's logits [positions, vocab_size], and of token ids where it has a tokenizer."""
    difference = ((found - original).abs().max() / original.std()).item()
    kl = torch.nn.functional.kl_div(found.log_softmax(-1), original.log_softmax(-1), reduction="batchmean", log_target=True).item()
    return Check(
        format=name,
        loaded_by=loaded_by,
        passed=difference <= LARGEST_DIFFERENCE and strings_equal in (None, STRINGS),
        positions=len(original),
        largest_difference=difference,
        top1_agreement=(found.argmax(-1) == original.argmax(-1)).float().mean().item(),
        kl_nats=max(0.0, kl),
        strings=None if strings_equal is None else STRINGS,
        strings_equal=strings_equal,
    )


def strings_of_many_scripts() -> list[str]:
    """Some hundred strings, always the same: words of one script, and mixtures."""
    chance = random.Random(0)
    return [
        " ".join(_word(chance, chance.choice(SCRIPTS) if number % 3 else SCRIPTS[number % len(SCRIPTS)]) for _ in range(1 + number % 7))
        for number in range(STRINGS)
    ]


def _word(chance: random.Random, script: tuple[int, int]) -> str:
    return "".join(chr(chance.randint(*script)) for _ in range(chance.randint(1, 9)))
