"""What an ablation's finished networks are judged by beside float32: one line for each network and rounding, in the recipe's folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.fidelity.rounding_loss import RoundedArm
from analysis.records.checked import from_json
from analysis.records.files import append_line, read_lines
from analysis.records.record import TrialRecord
from analysis.records.training import Quality, RoundedQuality
from trials.catalogue.ways import RoundingKind
from trials.study.ablation_spec import Arm
from trials.study.rounding_spec import RoundingSpec
from trials.study.spec import ProxySpec
from trials.trial.task import TrialTask

if TYPE_CHECKING:
    from trials.corpus.blocks import TokenBlocks
    from trials.network.decoder import Network

ROUNDED = "rounded.jsonl"
"""File of a recipe's folder."""
RoundedTrials = Mapping[tuple[str, int], Mapping[RoundingKind, RoundedQuality]]
"""Qualities as rounded, by the shape's key and the seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundedTrial:
    """A line of the file."""

    shape: str
    """Key of its architecture."""
    seed: int
    quality: RoundedQuality


def judge_as_rounded(
    network: Network, blocks: TokenBlocks, proxy: ProxySpec, roundings: Sequence[RoundingSpec], task: TrialTask
) -> list[RoundedTrial]:
    """A trained network's quality on the validation split by each rounding; the windows are those of its quality in float32."""
    from trials.rounding.table import ROUNDINGS
    from trials.training.evaluation import evaluate_deployed, score

    windows = ("validation", proxy.evaluation_tokens, proxy.context_tokens)
    plain = score(network, blocks, *windows) if roundings else None
    found = []
    for wanted in roundings:
        quality = evaluate_deployed(network, blocks, *windows, ROUNDINGS[wanted.runtime, wanted.precision], known=plain)
        assert quality.rounded is not None
        found.append(RoundedTrial(shape=task.architecture.key, seed=task.seed, quality=quality.rounded))
    return found


def keep_rounded(folder: Path, found: Iterable[RoundedTrial]) -> None:
    """Add lines to the folder's file; they come before the trial's record, which says that all of them are there."""
    for trial in found:
        append_line(folder / ROUNDED, asdict(trial))


def read_rounded(folder: Path) -> RoundedTrials:
    """What the folder holds; the last line counts, for a trial that was cut short is made again."""
    found: dict[tuple[str, int], dict[RoundingKind, RoundedQuality]] = {}
    for trial in read_lines(folder / ROUNDED, _parsed, "a quality as rounded", "delete the folder to have its arms trained again"):
        quality = trial.quality
        found.setdefault((trial.shape, trial.seed), {})[quality.runtime, quality.precision] = quality
    return found


def _parsed(values: Any) -> RoundedTrial:
    return from_json(RoundedTrial, values)


def rounded_arms(
    arms: Sequence[Arm],
    baseline: str,
    kind: RoundingKind,
    trials: Mapping[str, Sequence[TrialRecord]],
    rounded: Mapping[str, RoundedTrials],
) -> list[RoundedArm]:
    """The arms for `compare_rounding`: one of its own recipe beside its shape's that follows the scale's, others beside the baseline.

    `trials` are each arm's and `rounded` what its recipe's folder holds.
    """
    same_shape = {arm.architecture.key: arm.name for arm in arms if not arm.own_recipe}
    return [
        RoundedArm(
            name=arm.name,
            recipe=arm.study.proxy.model_dump_json(),
            against=same_shape.get(arm.architecture.key, baseline) if arm.own_recipe else None if arm.name == baseline else baseline,
            qualities=dict(_qualities(trials[arm.name], rounded[arm.name], kind)),
        )
        for arm in arms
    ]


def _qualities(trials: Iterable[TrialRecord], rounded: RoundedTrials, kind: RoundingKind) -> Iterable[tuple[int, Quality]]:
    for record in trials:
        if record.finished and record.training is not None and record.training.validation is not None:
            yield (
                record.seed,
                replace(record.training.validation, rounded=rounded.get((record.architecture.key, record.seed), {}).get(kind)),
            )
