"""How long a proxy run lasts, and how large its learning rate is at each moment of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from search_space.architecture import Architecture
from search_space.cost import parameters, training_flops_per_token
from trials.study.spec import ProxySpec

COSINE_FLOOR = 0.1
"""What the cosine schedule ends at, relative to the peak (arXiv 2203.15556, section 3.1)."""


@dataclass(frozen=True, slots=True)
class RunLength:
    """The length of one run: a number of steps known beforehand, or a number of seconds."""

    tokens_per_step: int
    steps: int | None
    """Steps of the run; None where it lasts a number of seconds."""
    seconds: float | None
    """Training seconds, pauses and evaluations left out; None where the run lasts a number of steps."""

    @classmethod
    def of(cls, proxy: ProxySpec, architecture: Architecture) -> Self:
        """The plan for a shape; a budget of tokens or FLOPs is rounded to whole steps, at least one."""
        per_step, tokens = proxy.batch_sequences * proxy.context_tokens, stated_tokens(proxy, architecture)
        return cls(per_step, None if tokens is None else max(1, round(tokens / per_step)), proxy.seconds)

    def share(self, steps: float, seconds: float) -> float:
        """Share of the run that is over, 0 to 1, after so many steps that took so many seconds."""
        done = steps / self.steps if self.steps is not None else seconds / (self.seconds or math.inf)
        return min(1.0, done)

    def look_tokens(self, share: float) -> int:
        """Tokens after the whole step that is nearest to that share of a run of known length; ValueError for one that lasts seconds."""
        if self.steps is None:
            raise ValueError("a run that lasts seconds has no share of its steps")
        return max(1, round(share * self.steps)) * self.tokens_per_step

    def planned_tokens(self, steps: int, seconds: float) -> int:
        """Tokens of the whole run; where it lasts seconds, as many as the pace so far would make of them."""
        share = self.share(steps, seconds)
        whole = self.steps if self.steps is not None else (round(steps / share) if share else steps)
        return whole * self.tokens_per_step


def stated_tokens(proxy: ProxySpec, architecture: Architecture) -> float | None:
    """Training tokens that the recipe asks of a shape, before they are rounded to steps; None where it asks for seconds."""
    if proxy.tokens_per_parameter is not None:
        return proxy.tokens_per_parameter * parameters(architecture)
    if proxy.flops is not None:
        return proxy.flops / training_flops_per_token(architecture, proxy.context_tokens)
    return proxy.tokens


def paid_tokens(architecture: Architecture, proxy: ProxySpec) -> int:
    """Tokens that a training with a budget of tokens or FLOPs makes steps on, those of its branches' decays included."""
    plan = RunLength.of(proxy, architecture)
    if plan.steps is None:
        raise ValueError("a run that lasts seconds has tokens by its pace")
    branches = (round(share * plan.steps) for share in proxy.cooldowns)
    return plan.tokens_per_step * (plan.steps + sum(steps - int((1 - proxy.decay) * steps) for steps in branches))


def evaluations_made(architecture: Architecture, proxy: ProxySpec, looks: Sequence[float] = ()) -> int:
    """Evaluations of a whole run's own steps: each after a step, so that a look or a branch's start where one is due anyway adds none.

    Those at the ends of its branches are not among them.
    """
    plan = RunLength.of(proxy, architecture)
    if plan.steps is None:
        return proxy.evaluations  # neither looks nor branches are to be had
    per_step = plan.tokens_per_step
    due = {math.ceil(part * plan.steps / proxy.evaluations) for part in range(1, proxy.evaluations + 1)}
    return len(
        due | {plan.look_tokens(share) // per_step for share in looks} | {ending_at(proxy, plan, share)[1] for share in proxy.cooldowns}
    )


def ending_at(proxy: ProxySpec, plan: RunLength, share: float) -> tuple[ProxySpec, int]:
    """The recipe whose run ends at that share of the plan's steps with the plan's warm-up, and the steps before its decay.

    Until that decay its rates are the plan's, so that the two runs are one.
    """
    if plan.steps is None:
        raise ValueError("a run that lasts seconds has no share of its steps")
    steps = max(1, round(share * plan.steps))
    changes = {"cooldowns": (), "warmup": proxy.warmup * plan.steps / steps, "evaluations": 1}
    ending = proxy.with_tokens(steps * plan.tokens_per_step).model_copy(update=changes)
    return ending, math.floor((1 - proxy.decay) * steps)


def rate_factor(proxy: ProxySpec, share: float) -> float:
    """Learning rate relative to its peak, where `share` (0 to 1) of the run is over; every schedule rises linearly over `warmup`."""
    return share / proxy.warmup if share < proxy.warmup else SCHEDULES[proxy.schedule](proxy, share)


def _wsd(proxy: ProxySpec, share: float) -> float:
    """Stays at the peak and falls linearly to 0 over the last `decay` (arXiv 2404.06395; linear: arXiv 2405.18392)."""
    return min(1.0, (1 - share) / proxy.decay) if proxy.decay else 1.0


def _cosine(proxy: ProxySpec, share: float) -> float:
    """Falls to a tenth along half a wave (arXiv 1608.03983)."""
    fallen = (share - proxy.warmup) / (1 - proxy.warmup) if proxy.warmup < 1 else 1.0
    return COSINE_FLOOR + (1 - COSINE_FLOOR) * (1 + math.cos(math.pi * fallen)) / 2


SCHEDULES = {"wsd": _wsd, "cosine": _cosine}
"""The rate after the warm-up, relative to its peak, by the name in `proxy.schedule`."""
