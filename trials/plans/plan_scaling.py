"""What a scaling study will cost, training by training, before anything runs; and whether its grid can identify its law."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from analysis.laws.identifiability import Resolution, resolution, rows_of
from analysis.text.columns import wrapped_table
from analysis.text.passes import GOOD_EPOCHS
from analysis.text.words import disk, duration, hours, plural, quantity, short, span
from search_space import cost
from trials.plans.check_study import check
from trials.plans.deadline import require_deadline
from trials.plans.feasible_here import SLOW, Pace, grouped, infeasible_reason, time_pace
from trials.plans.first_trials import FirstTrials
from trials.plans.foretell import ExpectedTrials, foretold
from trials.plans.known_paces import beside_others, ready_paces
from trials.plans.notices import study_notices, taken_over_notices, text_notices
from trials.plans.shape_cost import StatesPlan, states_text
from trials.plans.text_use import TextUse, text_use
from trials.plans.time_plan import TimePlan
from trials.study.scaling_spec import HardwareSpec
from trials.study.spec import ProxySpec, StudySpec
from trials.training.footprint import footprint, readable_bytes
from trials.training.schedules import RunLength, paid_tokens, stated_tokens
from trials.trial.calibration import as_known_here, is_open
from trials.trial.task import TrialTask

RECORD_BYTES = 50 * 1024
"""Bytes of a trial's record and MLflow's rows."""
LONG_PLAN = 12
"""Trainings from which a row for each budget stands before them."""
MANY_GPUS = 64
"""GPUs for which the whole study's time is said."""


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """The cost of one training of the grid."""

    number: int
    name: str
    label: str
    parameters: int
    non_embedding_parameters: int
    seed: int
    tokens: tuple[int, ...]
    """Token counts at which it has a finished loss, ascending."""
    paid_tokens: int
    """Tokens that steps are made on, branches included."""
    separate_tokens: int
    """What as many trainings without branches would make steps on."""
    training_flops: int
    """FLOPs of the paid tokens."""
    memory_bytes: int
    """Peak of a step whose batch goes through at once, on the hardware that the study states, else on the device that trials train on."""
    disk_bytes: int
    """Weights in float32, and the record."""
    seconds: float
    """Seconds on this machine, by the speed of the shapes that were timed."""
    gpu_hours: float | None
    """GPU hours on the stated hardware; None where none is stated."""
    gpus: int | None
    """How many of them hold weights, optimizer and the activations of one sequence; None where none is stated."""
    left_out: str | None
    """Why this machine does not run it; None where it does, or need not."""
    is_taken_over: bool
    """Whether it is finished in another study's directory, so that nothing is trained."""


@dataclass(frozen=True, kw_only=True)
class ScalingPlan:
    """The cost of a scaling study."""

    name: str
    grid: str
    quantity: str
    """Quantity that the budgets count."""
    budgets: tuple[float, ...]
    form: str
    resolution: Resolution
    hardware: HardwareSpec | None
    workers: int
    machine: str
    text: TextUse | None
    """The train split, and how often trainings go through it; None where that is not known before the text is fetched."""
    trainings: tuple[TrainingPlan, ...]
    states: StatesPlan | None
    """What trainings go on from whose worker is lost."""
    time: TimePlan
    """Seconds by stage of what this machine runs, energy and money."""
    notices: tuple[str, ...] = ()
    """What is taken off of the files that the study names."""

    @property
    def by_budget(self) -> dict[float, list[TrainingPlan]]:
        """The trainings of each budget of the grid."""
        found: dict[float, list[TrainingPlan]] = {}
        for training in self.trainings:
            spent = {"flops": training.training_flops, "parameters": training.parameters}.get(
                self.quantity, training.non_embedding_parameters
            )
            found.setdefault(min(self.budgets, key=lambda budget: abs(math.log(spent / budget))), []).append(training)
        return dict(sorted(found.items()))

    @property
    def here(self) -> list[TrainingPlan]:
        """The part that this machine runs."""
        return [training for training in self.trainings if training.left_out is None]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "name": self.name,
            "form": self.form,
            "resolution": dict(self.resolution.exponents),
            "warnings": self.warnings,
            "notices": self.notices,
            "text": None if self.text is None else asdict(self.text),
            "hardware": None if self.hardware is None else self.hardware.model_dump(),
            "machine": self.machine,
            "trainings": [asdict(training) for training in self.trainings],
            "states": self.states and asdict(self.states),
            **self.time.as_dict(),
        }

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before paying."""
        found = [*self.resolution.warnings]
        most = max(training.tokens[-1] for training in self.trainings)
        if self.text is not None and most > GOOD_EPOCHS * self.text.train_tokens:
            repeated = sum(training.tokens[-1] > GOOD_EPOCHS * self.text.train_tokens for training in self.trainings)
            found.append(
                f"the corpus has {quantity(self.text.train_tokens)} training tokens, which {repeated} trainings repeat more than "
                f"{GOOD_EPOCHS} times (up to {most / self.text.train_tokens:,.0f}); their losses are of repeated text, so name a larger "
                "corpus for them"
            )
        return found

    def __str__(self) -> str:
        return scaling_plan_text(self)


def plan_scaling(
    study: StudySpec, first: FirstTrials | None = None, directory: Path | None = None, *, price_per_hour: float | None = None
) -> ScalingPlan:
    """Count, and time a few small shapes; `first` is what `check` returned, where it was asked already.

    What other studies have trained costs nothing where the study's own `directory` is named.

    Raises SpecError where a shape cannot spend a budget or the corpus cannot be had.
    """
    assert study.scaling is not None
    first = first or check(study, directory, begins=True)
    tasks = first.planned
    vocab_size = tasks[0].architecture.vocab_size
    pace = time_pace(study, tasks)
    whole = ExpectedTrials.at(as_known_here(study), first, directory)
    trainings = tuple(_planned(study, task, pace, is_taken=taken) for task, taken in zip(tasks, whole.taken[0], strict=True))
    return ScalingPlan(
        name=study.name,
        grid=str(study.scaling),
        quantity=study.scaling.budgets.quantity,
        budgets=study.scaling.budgets.values,
        form=study.scaling.form,
        resolution=resolution(study.scaling.form, rows_of(plan_rows(study, tasks))),
        hardware=study.scaling.hardware,
        workers=study.workers.count,
        machine=pace.machine,
        text=text_use(study.corpus, [vocab_size], [stated_tokens(task.recipe(study.proxy), task.architecture) or 0 for task in tasks]),
        trainings=trainings,
        states=StatesPlan.of(study, [task.architecture for task in tasks]),
        time=_time(whole, trainings, price_per_hour),
        notices=(*study_notices(study), *taken_over_notices(whole), *text_notices(study)),
    )


def _time(whole: ExpectedTrials, trainings: Sequence[TrainingPlan], price_per_hour: float | None) -> TimePlan:
    """Seconds by stage of what this machine runs; raises SpecError where the deadline cuts every training."""
    settled = whole.study
    expected = replace(whole, left_out={training.number for training in trainings if training.left_out is not None})
    known = ready_paces(settled, whole.shapes)
    if known is not None:
        require_deadline(settled, whole.trained_seconds(known))
    told = foretold(expected, beside_others(known, settled)) if known is not None and expected.stated else None
    flops = sum(training.training_flops for training in trainings if training.left_out is None and not training.is_taken_over)
    return TimePlan.of(told, flops, settled.proxy.plain().precision, price_per_hour, stays_open=is_open(settled))


def loss_tokens(proxy: ProxySpec, task: TrialTask) -> tuple[int, ...]:
    """Tokens at which a training has a finished loss, ascending."""
    plan = RunLength.of(proxy, task.architecture)
    assert plan.steps is not None
    return tuple(plan.tokens_per_step * max(1, round(share * plan.steps)) for share in (*proxy.cooldowns, 1.0))


def plan_rows(study: StudySpec, tasks: Sequence[TrialTask]) -> list[dict[str, float]]:
    """Every loss that the trainings will give, by the variables of the laws."""
    rows = []
    for task in tasks:
        shape = task.architecture
        flops = cost.training_flops_per_token(shape, study.proxy.context_tokens)
        sizes = {"params": cost.parameters(shape), "width": shape.hidden_size, "depth": shape.num_unique_layers}
        repeats = {"repeats": shape.num_hidden_layers / shape.num_unique_layers}
        rows += [{**sizes, **repeats, "tokens": tokens, "flops": flops * tokens} for tokens in loss_tokens(task.recipe(study.proxy), task)]
    return rows


def _planned(study: StudySpec, task: TrialTask, pace: Pace, *, is_taken: bool) -> TrainingPlan:
    proxy, shape = task.recipe(study.proxy).plain(), task.architecture
    assert study.scaling is not None
    hardware, paid = study.scaling.hardware, paid_tokens(shape, proxy)
    flops = paid * cost.training_flops_per_token(shape, proxy.context_tokens)
    there = proxy if hardware is None else proxy.model_copy(update={"precision": hardware.precision})
    device = study.workers.device if hardware is None else "cuda"
    least = footprint(shape, there, device=device, sequences=1)
    return TrainingPlan(
        number=task.number,
        name=task.name or "",
        label=shape.label,
        parameters=cost.parameters(shape),
        non_embedding_parameters=cost.non_embedding_parameters(shape),
        seed=task.seed,
        tokens=(tokens := loss_tokens(proxy, task)),
        paid_tokens=paid,
        separate_tokens=sum(tokens),
        training_flops=flops,
        memory_bytes=footprint(shape, there, device=device).peak,
        disk_bytes=4 * cost.parameters(shape) + RECORD_BYTES,
        seconds=0.0 if is_taken else pace.seconds(shape, proxy),
        gpu_hours=None if hardware is None else flops / (hardware.peak_flops * hardware.utilisation) / 3600,
        gpus=None if hardware is None else -int(-least.peak // hardware.memory_bytes),
        left_out=None if is_taken else infeasible_reason(study, task, pace),
        is_taken_over=is_taken,
    )


def scaling_plan_text(plan: ScalingPlan, width: int | None = None) -> str:
    """What is planned, for a terminal of that width."""
    return "\n".join(_lines(plan, width))


def _lines(plan: ScalingPlan, width: int | None) -> Iterator[str]:
    losses = sum(len(training.tokens) for training in plan.trainings)
    yield f"study       {plan.name}: {plural(len(plan.trainings), 'training')}, {losses:,} losses"
    yield f"grid        {plan.grid}"
    yield f"law         {plan.form}{f'; at best it tells {plan.resolution}' if plan.resolution.exponents else ''}"
    if plan.text is not None:
        yield f"text        {plan.text}"
    yield from (f"warning     {warning}" for warning in plan.warnings)
    yield from (f"notice      {said}" for said in plan.notices)
    yield ""
    if len(plan.trainings) > LONG_PLAN:
        yield from wrapped_table(_summary(plan), (), width)
        yield ""
    yield from wrapped_table([_head(plan), *(_row(training, plan) for training in plan.trainings)], (1, 2), width)
    yield ""
    paid, separate = (sum(getattr(training, name) for training in plan.trainings) for name in ("paid_tokens", "separate_tokens"))
    yield f"training    {quantity(paid)} tokens, {sum(training.training_flops for training in plan.trainings):.2e} FLOPs"
    if paid < separate:
        yield f"branches    {paid / separate:.0%} of the {quantity(separate)} tokens that a training of its own for each loss would take"
    yield f"disk        {disk(sum(training.disk_bytes for training in plan.trainings))}"
    yield f"states      {states_text(plan.states)}"
    if plan.hardware is not None:
        spent, of = sum(training.gpu_hours or 0 for training in plan.trainings), plan.hardware
        yield f"hardware    {hours(spent)} GPU hours of {of.name} at {of.utilisation:.0%} of {of.peak_flops:.3g} FLOPs a second"
        yield f"            {_rented(plan, spent)}"
    yield f"here        {_here(plan)}"
    yield from plan.time.lines(plan.workers)
    yield from (
        f"left out    {those}"
        for those in grouped({training.number: training.left_out for training in plan.trainings if training.left_out is not None})
    )


def _here(plan: ScalingPlan) -> str:
    """The part that this machine runs, and its time."""
    if not plan.here:
        return f"none of the trainings can run on this machine ({plan.machine})"
    seconds = sum(training.seconds for training in plan.here) / plan.workers
    longest = max(training.seconds for training in plan.here)
    return (
        f"{len(plan.here)} of {len(plan.trainings)} trainings, {disk(sum(training.disk_bytes for training in plan.here))} of disk, "
        f"about {duration(max(seconds, longest))} with {plan.workers} workers on this machine ({plan.machine})"
    )


def _head(plan: ScalingPlan) -> tuple[str, ...]:
    there = ("GPU hours", "least GPUs") if plan.hardware is not None else ()
    return ("trial", "name", "shape", "parameters", "losses at", "FLOPs", "memory", "disk", *there, "here")


def _row(training: TrainingPlan, plan: ScalingPlan) -> tuple[str, ...]:
    there = () if plan.hardware is None else (hours(training.gpu_hours or 0), f"{training.gpus}")
    return (
        f"#{training.number}",
        training.name,
        training.label,
        f"{training.parameters:,}",
        " ".join(short(tokens) for tokens in training.tokens),
        f"{training.training_flops:.1e}",
        readable_bytes(training.memory_bytes),
        disk(training.disk_bytes),
        *there,
        _when(training),
    )


def _when(training: TrainingPlan) -> str:
    """What it takes here, or why it does not."""
    if training.is_taken_over:
        return "taken over"
    return span(training.seconds) if training.left_out is None else f"no: {_why(training)}"


def _why(training: TrainingPlan) -> str:
    """What stands in the way here, in a word or two: memory, or time."""
    return span(training.seconds) if (training.left_out or "").startswith(SLOW) else "memory"


def _rented(plan: ScalingPlan, spent: float) -> str:
    largest = max(plan.trainings, key=lambda training: training.gpu_hours or 0)
    share = (largest.gpu_hours or 0) / spent
    return f"{span(spent * 3600 / MANY_GPUS)} on {MANY_GPUS} of them; {share:.0%} goes into #{largest.number} alone"


def _summary(plan: ScalingPlan) -> list[tuple[str, ...]]:
    """A row for each budget of the grid: what its trainings cost together."""
    there = ("GPU hours", "least GPUs") if plan.hardware is not None else ()
    rows: list[tuple[str, ...]] = [("budget", "trainings", "tokens", "FLOPs", "memory", "disk", *there, "here")]
    for budget, trainings in plan.by_budget.items():
        spent = () if plan.hardware is None else (hours(sum(r.gpu_hours or 0 for r in trainings)), f"{max(r.gpus or 0 for r in trainings)}")
        here = [training for training in trainings if training.left_out is None]
        rows.append(
            (
                short(budget),
                f"{len(trainings)}",
                short(sum(training.paid_tokens for training in trainings)),
                f"{sum(training.training_flops for training in trainings):.1e}",
                f"up to {readable_bytes(max(training.memory_bytes for training in trainings))}",
                disk(sum(training.disk_bytes for training in trainings)),
                *spent,
                f"{len(here)} in {span(sum(training.seconds for training in here) / plan.workers)}" if here else "none",
            )
        )
    return rows
