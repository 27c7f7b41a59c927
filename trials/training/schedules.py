"""How long a proxy run lasts, and how large its learning rate is at each moment of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from trials.study import ProxySpec

COSINE_FLOOR = 0.1
"""What the cosine schedule ends at, relative to the peak (arXiv 2203.15556, section 3.1)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The length of one run: a number of steps known beforehand, or a number of seconds."""

    tokens_per_step: int
    steps: int | None
    """None where the run lasts a number of seconds."""
    seconds: float | None
    """Training seconds, pauses and evaluations left out; None where the run lasts a number of steps."""

    @classmethod
    def of(cls, proxy: ProxySpec, parameters: int) -> Self:
        """The plan for a network of that many parameters; a budget of tokens is rounded to whole steps, at least one."""
        per_step = proxy.batch_sequences * proxy.context_tokens
        if proxy.seconds is not None:
            return cls(per_step, None, proxy.seconds)
        tokens = proxy.tokens if proxy.tokens is not None else (proxy.tokens_per_parameter or 0.0) * parameters
        return cls(per_step, max(1, round(tokens / per_step)), None)

    def share(self, steps: float, seconds: float) -> float:
        """Share of the run that is over, 0 to 1, after so many steps that took so many seconds."""
        done = steps / self.steps if self.steps is not None else seconds / (self.seconds or math.inf)
        return min(1.0, done)

    def planned_tokens(self, steps: int, seconds: float) -> int:
        """Tokens of the whole run; where it lasts seconds, as many as the pace so far would make of them."""
        share = self.share(steps, seconds)
        whole = self.steps if self.steps is not None else (round(steps / share) if share else steps)
        return whole * self.tokens_per_step


def rate_factor(proxy: ProxySpec, share: float) -> float:
    """Learning rate relative to its peak, where `share` (0 to 1) of the run is over.

    Both schedules rise linearly over `warmup`. `wsd` then stays at the peak and falls linearly to 0 over the last `decay`
    (arXiv 2404.06395; linear: arXiv 2405.18392); `cosine` falls to a tenth along half a wave (arXiv 1608.03983).
    """
    if share < proxy.warmup:
        return share / proxy.warmup
    if proxy.schedule == "cosine":
        fallen = (share - proxy.warmup) / (1 - proxy.warmup) if proxy.warmup < 1 else 1.0
        return COSINE_FLOOR + (1 - COSINE_FLOOR) * (1 + math.cos(math.pi * fallen)) / 2
    return min(1.0, (1 - share) / proxy.decay) if proxy.decay else 1.0
