"""Health checks of a trained network: each with its threshold, and the paper that names the failure.

A threshold lies between what a network made sick shows and what healthy shapes of the shipped quickstart show (docs/findings.md,
2026-11-22: what healthy small networks look like inside).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from analysis.records.record import TrialRecord
from analysis.records.training import Diagnostics
from search_space.architecture import Architecture

UNIFORM_ENTROPY, POINTED_ENTROPY = 0.98, 0.05
"""Entropies of a head, over the largest possible: above the first it looks at all tokens alike; below the second, at one."""
IDLE_CHANGE = 0.02
"""Share of the residual stream's norm: what adds less does next to nothing."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A number that tells a known failure."""

    name: str
    measure: str
    """What the number is."""
    value: Callable[[Diagnostics, Architecture], float | None]
    """Reads what the check looks at; None where the shape cannot have this failure."""
    limit: float
    fires_above: bool
    """Whether a number above the limit is the bad one."""
    source: str
    """Who described the failure."""
    meaning: str
    """What it means when it fires, in one sentence."""

    @property
    def rule(self) -> str:
        """`above 0.95`."""
        return f"{'above' if self.fires_above else 'below'} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The number of a health check in one trial."""

    check: HealthCheck
    value: float

    @property
    def fires(self) -> bool:
        """Whether it is beyond the limit."""
        return self.value > self.check.limit if self.check.fires_above else self.value < self.check.limit


def check_results(record: TrialRecord) -> list[CheckResult]:
    """Every health check that applies to the trial's shape; empty where it has no diagnostics."""
    found = record.training.diagnostics if record.training else None
    return [] if found is None else run_checks(found, record.architecture)


def run_checks(found: Diagnostics, architecture: Architecture) -> list[CheckResult]:
    """Every health check that applies to the shape."""
    values = ((check, check.value(found, architecture)) for check in HEALTH_CHECKS)
    return [CheckResult(check, value) for check, value in values if value is not None]


def failed_checks(record: TrialRecord) -> list[CheckResult]:
    """The health checks that a trial fails."""
    return [result for result in check_results(record) if result.fires]


def check_sentence(result: CheckResult, record: TrialRecord) -> str:
    """What a failed check means for this trial."""
    found = record.training.diagnostics if record.training else None
    idle = plateau(found.residual_changes) if found and result.check.name == "idle_blocks" else 0
    where = f" The stream is on a plateau: the last {idle} of {len(found.residual_changes)} are idle." if found and idle > 1 else ""
    return result.check.meaning + where


def plateau(changes: Sequence[float]) -> int:
    """How many of the last blocks in a row are idle."""
    return next((place for place, change in enumerate(reversed(changes)) if change >= IDLE_CHANGE), len(changes))


def later_passes(architecture: Architecture) -> list[int]:
    """Places in the executed depth of which some part has run before."""
    schedules = (architecture.attention_schedule, architecture.mlp_schedule)
    return [place for place in range(architecture.num_hidden_layers) if any(part[place] in part[:place] for part in schedules)]


def _mean(values: Sequence[float] | None) -> float | None:
    return fmean(values) if values else None


def _share(hits: Iterable[bool]) -> float | None:
    """How many are hits, from 0 to 1; absent where a record has lost what it is a share of."""
    return _mean([float(hit) for hit in hits])


def _heads(found: Diagnostics) -> list[float]:
    return [entropy for block in found.attention_entropies for entropy in block]


def _first_to_last(norms: Sequence[float]) -> float | None:
    """Mean over the first quarter of the blocks, over that of the last; None of less than two blocks."""
    quarter = max(1, len(norms) // 4)
    if len(norms) < 2:
        return None
    last = fmean(norms[-quarter:])
    return fmean(norms[:quarter]) / last if last > 0 else None


def _later_change(found: Diagnostics, architecture: Architecture) -> float | None:
    places = later_passes(architecture)
    return median(found.residual_changes[place] for place in places) if places and places[-1] < len(found.residual_changes) else None


HEALTH_CHECKS = (
    HealthCheck(
        "alike_heads_in_group",
        "cosine between attention maps of heads that share keys, mean over blocks",
        lambda found, _: _mean(found.head_similarities_in_group),
        0.95,
        True,
        "Li et al., arXiv 1810.10183; grouping: Ainslie et al., arXiv 2305.13245",
        "Query heads of one key-value group attend alike, so that fewer of them would do.",
    ),
    HealthCheck(
        "alike_heads_across_groups",
        "cosine between attention maps of heads with different keys, mean over blocks",
        lambda found, _: _mean(found.head_similarities_across_groups),
        0.95,
        True,
        "Michel et al., arXiv 1905.10650; Li et al., arXiv 1810.10183",
        "Heads attend alike although their keys differ, so that the shape pays for heads which it does not use.",
    ),
    HealthCheck(
        "uniform_attention",
        f"share of heads whose entropy is above {UNIFORM_ENTROPY:g} of the largest possible",
        lambda found, _: _share(entropy > UNIFORM_ENTROPY for entropy in _heads(found)),
        0.5,
        True,
        "Dong et al., arXiv 2103.03404",
        "Most heads average over all tokens instead of choosing some, as they did before training.",
    ),
    HealthCheck(
        "pointed_attention",
        f"share of heads whose entropy is below {POINTED_ENTROPY:g} of the largest possible",
        lambda found, _: _share(entropy < POINTED_ENTROPY for entropy in _heads(found)),
        0.5,
        True,
        "Zhai et al., arXiv 2303.06296",
        "Most heads look at one token only, the entropy collapse that goes with unstable training.",
    ),
    HealthCheck(
        "low_rank_embedding",
        "effective rank of the output table over its full rank",
        lambda found, _: found.embedding_effective_rank,
        0.3,
        False,
        "Gao et al., arXiv 1907.12009; Godey et al., arXiv 2404.07647",
        "The embedding has come to use few of its dimensions, so that the width is paid for and not used.",
    ),
    HealthCheck(
        "embedding_cone",
        "mean cosine between two rows of the output table",
        lambda found, _: found.embedding_mean_cosine,
        0.5,
        True,
        "Gao et al., arXiv 1907.12009; Ethayarajh, arXiv 1909.00512",
        "All tokens' embeddings point one way, which leaves little room to tell tokens apart.",
    ),
    HealthCheck(
        "vanishing_gradient",
        "gradient norm of the first quarter of the blocks over that of the last",
        lambda found, _: _first_to_last(found.gradient_norms),
        0.1,
        False,
        "Xiong et al., arXiv 2002.04745; Noci et al., arXiv 2206.03126",
        "The first blocks get next to no gradient, so that the stack is too deep for this recipe.",
    ),
    HealthCheck(
        "idle_blocks",
        f"share of executed blocks that change the residual stream by less than {IDLE_CHANGE:g} of its norm",
        lambda found, _: _share(change < IDLE_CHANGE for change in found.residual_changes),
        0.25,
        True,
        "Men et al., arXiv 2403.03853; Sun et al., arXiv 2502.05795",
        "Many blocks leave the residual stream as it is, so that a shallower shape would do the same in less time.",
    ),
    HealthCheck(
        "idle_passes",
        "change of the residual stream by the later passes of shared parts, over its norm, median",
        _later_change,
        IDLE_CHANGE,
        False,
        "Lan et al., arXiv 1909.11942; Liu et al., arXiv 2402.14905",
        "Running shared weights again changes next to nothing, so that the repeats cost time for no gain.",
    ),
)
