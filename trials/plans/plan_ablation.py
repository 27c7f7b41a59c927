"""What each arm of an ablation costs at each scale, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from analysis.text.words import duration, quantity
from search_space import cost
from trials.plans.known_paces import known_paces, time_missing
from trials.plans.pace_measure import PaceRequest
from trials.plans.shape_cost import shape_cost
from trials.plans.stage_estimate import ROUNDED_EVALUATION, KnownPaces, trial_seconds
from trials.study.ablation_spec import AblationSpec, Arm, ScaleSpec, arms_of
from trials.trial.calibration import as_known_here

NOT_YET = "and a time that is not known yet: the same command goes on timing it, where this machine's cache can be written"


@dataclass(frozen=True, kw_only=True)
class ArmPlan:
    """The cost of one arm at one scale."""

    scale: str
    arm: str
    label: str
    parameters: int
    non_embedding_parameters: int
    seeds: int
    """Trainings; 0 where the arm is timed only."""
    training_tokens: int | None
    """Tokens of each seed; None where the arm is timed only."""
    training_flops: int | None
    """FLOPs of each seed; None where the arm is timed only."""
    training_seconds: float | None
    """Seconds of each seed with its evaluations, those as rounded too, at the pace that is known of this machine; None where that is not
    known yet, or it is timed only."""

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def plan_ablation(ablation: AblationSpec) -> list[ArmPlan]:
    """Every arm at every scale; arms of equal latency as large as the baseline, since their sizes are not known before they are timed."""
    arms, requests = {scale: arms_of(ablation, scale) for scale in ablation.scales}, dict[tuple[str, str], PaceRequest]()
    for scale, those in arms.items():
        if ablation.scales[scale].proxy is not None:
            recipes = {_recipe(arm): arm for arm in those}
            for recipe, arm in recipes.items():
                requests[scale, recipe] = _request(arm, [each for each in those if _recipe(each) == recipe])
    timed = time_missing(list(requests.values()))
    known = {place: known_paces(*request, timed) for place, request in requests.items()}
    return [
        _planned(arm, scale, ablation.scales[scale], known.get((scale, _recipe(arm)))) for scale, those in arms.items() for arm in those
    ]


def _recipe(arm: Arm) -> str:
    return arm.study.proxy.model_dump_json()


def _request(arm: Arm, alike: Sequence[Arm]) -> PaceRequest:
    """The recipe of an arm, one training at a time, and the shapes of the arms that follow it."""
    study = as_known_here(arm.study)
    alone = study.model_copy(update={"workers": study.workers.model_copy(update={"count": 1})})
    return alone, [each.architecture for each in alike]


def _planned(arm: Arm, name: str, scale: ScaleSpec, known: KnownPaces | None) -> ArmPlan:
    own, trained, seeds = shape_cost(arm.study, arm.architecture, known), scale.proxy is not None, len(scale.seeds)
    return ArmPlan(
        scale=name,
        arm=arm.name,
        label=arm.architecture.label,
        parameters=own.parameters,
        non_embedding_parameters=cost.non_embedding_parameters(arm.architecture),
        seeds=seeds if trained else 0,
        training_tokens=own.training_tokens if trained else None,
        training_flops=own.training_flops if trained else None,
        training_seconds=_seconds(arm, len(scale.rounding), known) if trained and known is not None else None,
    )


def _seconds(arm: Arm, roundings: int, known: KnownPaces) -> float:
    """Seconds of one training with what judges it; each rounding is one evaluation more, as it is rounded."""
    own, proxy = trial_seconds(arm.study, arm.architecture, known, is_proposed=False), arm.study.proxy
    judged = known.law.evaluation_seconds(arm.architecture, proxy.evaluation_tokens, proxy.context_tokens)
    return own.counted + ROUNDED_EVALUATION * roundings * judged


def ablation_text(arms: Sequence[ArmPlan]) -> str:
    """A line for each arm, and the sum of each scale."""
    lines = []
    for scale in dict.fromkeys(arm.scale for arm in arms):
        here = [arm for arm in arms if arm.scale == scale]
        lines += [f"{scale}: {_sum(here)}", *(_line(arm) for arm in here)]
    return "\n".join(lines)


def _sum(arms: Sequence[ArmPlan]) -> str:
    trained = [arm for arm in arms if arm.training_flops is not None]
    if not trained:
        return "nothing is trained; every arm is timed on this machine"
    each = [arm.seeds * arm.training_seconds for arm in trained if arm.training_seconds is not None]
    flops = quantity(sum(arm.seeds * (arm.training_flops or 0) for arm in trained))
    seconds = f"{duration(sum(each))} on this machine with one training at a time"
    return f"{flops} FLOPs, {seconds if len(each) == len(trained) else NOT_YET}"


def _line(arm: ArmPlan) -> str:
    body = f"  {arm.arm:<16} {arm.label:<44} {arm.parameters:>12,} parameters, {arm.non_embedding_parameters:>12,} of them in the body"
    tokens = "" if arm.training_tokens is None else f", {arm.seeds} x {quantity(arm.training_tokens)} tokens"
    return body + tokens + ("" if arm.training_seconds is None else f", {duration(arm.training_seconds)} each")
