"""What a study will cost, before anything runs: counted where it can be, else by what this machine took before or takes now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from analysis.objectives.objective import Known
from analysis.objectives.registry import find_objective
from analysis.text.words import disk, joined, trials_text
from search_space import cost
from search_space.architecture import Architecture
from search_space.space import Explanation
from trials.catalogue.formats import described_exports
from trials.catalogue.runtimes import RUNTIMES
from trials.latency.refusals import refusal_of
from trials.plans.check_study import check
from trials.plans.deadline import deadline_notice, require_deadline
from trials.plans.default_limits import limits_notice
from trials.plans.first_trials import FirstTrials
from trials.plans.foretell import ExpectedTrials, foretold
from trials.plans.known_paces import beside_others, ready_paces
from trials.plans.notices import filled_in_texts, study_notices, taken_over_notices, text_notices
from trials.plans.reference_costs import ReferenceCost, costs_of_references
from trials.plans.shape_cost import Memory, ShapeCost, StatesPlan, largest_memory, of_training, shape_cost, states_text
from trials.plans.text_use import TextUse, text_use
from trials.plans.time_plan import TimePlan
from trials.study.spec import StudySpec
from trials.training.schedules import stated_tokens
from trials.trial.calibration import as_known_here, is_open
from trials.trial.known_before import passed_limit

SAMPLES = 3
"""Shapes that are shown."""


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """The cost of a study."""

    name: str
    budget: str
    trials: int
    """Shapes that the search trains, each once; fewer than were asked for where the space has no more."""
    asked: int
    references: int
    replicates: int
    """Trials that repeat a shape with another seed."""
    workers: int
    space: Explanation
    training_tokens: int
    training_flops: int
    time: TimePlan
    """Seconds by stage, energy and money."""
    stops_early: bool
    """Whether trials may stop early, so that tokens and FLOPs are the most that the study takes."""
    states: StatesPlan | None
    """What trials go on from whose worker is lost; None where they begin anew."""
    disk_bytes: int
    """Weights of every trial in float32; records and MLflow add about 50 KiB a trial."""
    memory: Memory
    objectives: str
    """What shapes are judged by, what bounds them, and how many of those looked at keep the limits that closed forms tell."""
    latency: str
    """What times the shapes, and how many of those looked at it can hold; the others are not proposed."""
    exports: dict[str, str]
    """How many of the shapes looked at can have each format, and why others cannot."""
    samples: tuple[ShapeCost, ...]
    compared: tuple[ReferenceCost, ...] = ()
    """The references that are trained, whatever their size."""
    text: TextUse | None = None
    """The train split, and how often trainings go through it; None where that is not known, or was not asked."""
    filled_in: tuple[str, ...] = ()
    """What the study left open and took from its budget, by section."""
    notices: tuple[str, ...] = ()
    """What is passed over or taken off of the files that the study names."""

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        values = asdict(self) | {"feasible_shapes": self.space.shapes}
        return {name: value for name, value in values.items() if name != "time"} | self.time.as_dict()

    def __str__(self) -> str:
        lines = [
            f"study       {self.name}: {trials_text(self.trials, self.references, self.replicates)}; each spends {self.budget}",
            *([] if self.trials >= self.asked else [f"            the space has no more shapes; {self.asked} were asked for"]),
            *(f"{'reference' if place == 0 else '':<11} {each}" for place, each in enumerate(self.compared)),
            f"space       {str(self.space).replace(chr(10), chr(10) + ' ' * 12)}",
            f"training    {self.training_tokens:,} tokens, {self.training_flops:.2e} FLOPs{', less what stops early' * self.stops_early}",
            *(() if self.text is None else [f"text        {self.text}"]),
            *(f"warning     {said}" for said in [self.text and self.text.warning] if said),
            *self.time.lines(self.workers),
            f"disk        about {disk(self.disk_bytes)}",
            f"states      {states_text(self.states)}",
            f"memory      {self.memory}",
            f"objectives  {self.objectives}",
            f"latency     {self.latency}",
            *(f"{'exports' if place == 0 else '':<11} {name}: {said}" for place, (name, said) in enumerate(self.exports.items())),
            *(f"{'defaults' if place == 0 else '':<11} {text}" for place, text in enumerate(self.filled_in)),
            *(f"notice      {said}" for said in self.notices),
            "for example",
        ]
        lines += [f"  {shape.label:<40} {shape.parameters:>13,} parameters{of_training(shape)}" for shape in self.samples]
        return "\n".join(lines)


def plan_study(
    study: StudySpec, first: FirstTrials | None = None, directory: Path | None = None, *, price_per_hour: float | None = None
) -> StudyPlan:
    """Count, and time what the table of this machine lacks; `first` is what `check` returned, where it was asked already.

    What other studies have trained costs nothing where the study's own `directory` is named.

    Raises SpecError where no shape is feasible, corpus or references cannot be what the study says, or its deadline cuts every trial.
    """
    first = first or check(study, directory, begins=True)
    space, compared = study.search_space, first.references
    settled = as_known_here(study)
    expected = ExpectedTrials.at(settled, first, directory)
    known = ready_paces(settled, expected.shapes)
    told = None
    notices = [*study_notices(study), *taken_over_notices(expected), *text_notices(study), *filter(None, [limits_notice(study)])]
    if known is not None:
        stated, sampled = expected.seconds(known)
        require_deadline(settled, expected.trained_seconds(known))
        told = foretold(expected, beside_others(known, settled))
        notices += [said] if (said := deadline_notice(study, [*stated, *sampled])) else []
    shapes = expected.sampled
    explained = space.glimpse.explained(space.size)
    runs = expected.proposed + len(compared)
    costs = [shape_cost(settled, shape, known) for shape in shapes]
    samples = tuple(costs[:SAMPLES])
    mean_tokens, mean_flops = (mean(getattr(each, name) for each in costs) for name in ("training_tokens", "training_flops"))
    beside = costs_of_references(settled, compared, mean_flops, known)
    trained = expected.proposed * (1 - expected.taken[1])
    also = [each.cost for each, is_taken in zip(beside, expected.taken[0], strict=True) if not is_taken]
    flops = trained * mean_flops + sum(each.training_flops for each in also)
    return StudyPlan(
        name=study.name,
        budget=str(space.budget),
        trials=expected.trials,
        asked=study.search.trials,
        references=len(compared),
        replicates=expected.replicates,
        workers=study.workers.count,
        space=explained,
        training_tokens=round(trained * mean_tokens) + sum(each.training_tokens for each in also),
        training_flops=round(flops),
        time=TimePlan.of(told, flops, settled.proxy.plain().precision, price_per_hour, stays_open=is_open(settled)),
        stops_early=study.search.early_stopping != "none",
        states=StatesPlan.of(study, [*space.glimpse.shapes, *(shape for _, shape in compared)]),
        disk_bytes=round(expected.proposed * mean(4 * cost.parameters(shape) for shape in shapes))
        + sum(4 * each.cost.parameters for each in beside)
        + runs * 50 * 1024,
        memory=largest_memory(study, [*space.glimpse.shapes]),
        objectives=_objectives(study, shapes),
        latency=_timed(study, shapes),
        exports=_exports(shapes),
        samples=samples,
        compared=tuple(beside),
        text=_text(study, shapes, compared, samples),
        filled_in=filled_in_texts(study),
        notices=tuple(notices),
    )


def _text(
    study: StudySpec, shapes: Sequence[Architecture], compared: Sequence[tuple[str, Architecture]], samples: Sequence[ShapeCost]
) -> TextUse | None:
    """What the trials take of the text, those of references included; of trainings that last seconds, by the samples' pace."""
    trained = [*shapes, *(shape for _, shape in compared)]
    tokens = [stated_tokens(study.proxy, shape) or 0 for shape in trained]
    if study.proxy.seconds:
        tokens = [sample.training_tokens for sample in samples]
    return text_use(study.corpus, {shape.vocab_size for shape in trained}, tokens)


def _objectives(study: StudySpec, shapes: list[Architecture]) -> str:
    """When each is known, and what the limits are."""
    when = {"shape": "before anything runs", "device": "once measured", "training": "after the training"}
    said = joined([f"{objective.words.label} ({when[objective.known]})" for objective in study.problem.objectives])
    if not study.limits.of_shapes:
        return said
    bounds = [(find_objective(name), limit) for name, limit in study.limits.of_shapes.items()]

    def limits(*known: Known) -> str:
        some = [(o, limit) for o, limit in bounds if o.known in known]
        return joined([f"{o.words.label} {'at most' if o.better == 'lower' else 'at least'} {o.words.write(limit)}" for o, limit in some])

    if known := limits("shape"):
        said += f"; {known}, kept by {_share([passed_limit(study, shape) for shape in shapes])}"
    later: tuple[Known, ...] = ("device", "training")
    for moment in later:
        said += f"; {unknown}, which is asked {when[moment]}" if (unknown := limits(moment)) else ""
    return said


def _timed(study: StudySpec, shapes: list[Architecture]) -> str:
    """How many of a study's shapes its runtime can hold; the others are not proposed."""
    spec = study.latency
    here = "" if RUNTIMES[spec.runtime].installed else " (not installed here)"  # the machine that measures may be another one
    return f"{spec.runtime}, {spec.precision}{here}: {_share([refusal_of(shape, spec) for shape in shapes])}"


def _share(reasons: list[str | None]) -> str:
    said = [reason for reason in reasons if reason is not None]
    those = "every shape" if not said else f"{len(reasons) - len(said)} of {len(reasons)} shapes looked at"
    return those + (f"; {said[0]}" if said else "")


def _exports(shapes: list[Architecture]) -> dict[str, str]:
    """What a study's shapes can be exported as."""
    found = [described_exports(shape) for shape in shapes]
    return {name: _share([exports[name] for exports in found]) for name in found[0]}
