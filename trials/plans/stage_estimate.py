"""Seconds of each stage of a study, from its start to its report, by what one training, evaluation and latency take (docs/method.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heapreplace
from math import log
from statistics import mean

from search_space.architecture import Architecture
from search_space.cost import ROUNDED_PRECISIONS
from trials.machine.contention import share_of_fewer
from trials.plans.pace_model import StepLaw
from trials.study.search_spec import AUTO
from trials.study.spec import ProxySpec, StudySpec
from trials.tasks.encoding import tokens_asked
from trials.training.schedules import evaluations_made, paid_tokens

EULER = 0.5772
WHOLE_TRIALS, KEPT_SHARE = 19, 0.23
"""Trials that come to their end before `early_stopping: front` can tell, and the share of its tokens that each later one makes: the line
through 34.6 % of the tokens of 126 shapes and 46.3 % of 63 (docs/findings.md, 2026-11-26: what stopping early saves and loses)."""
NAMED_SHAPES = 2.5
"""Shapes that a report names in the mean of a few studies: of the recommended, the knee and the best in each objective some are one
(docs/findings.md, 2026-11-29: what plans said, and what studies then took)."""
PAUSED_SHARE = 0.5
"""Share of a latency for which every other worker pauses, where it was timed alone."""
USUAL_LATENCY_SECONDS = 3.0
"""One latency where none was timed on this machine."""
USUAL_FIRST_LATENCY_SECONDS = 1.5
"""Seconds more for each of the trials that a run begins with, which wait until the runtime is imported and for each other: 0.9 to 1.8 in
four studies (docs/findings.md, 2026-11-29: what plans said, and what studies then took)."""
USUAL_IMPORT_SECONDS = 4.0
"""Seconds of torch's and Lightning's import to which the seconds of `USUAL_OVERHEAD` belong."""
USUAL_OVERHEAD = {"start_up": 10.0, "tracking": 2.5, "report": 0.4}
"""Seconds of what is neither training nor measuring, at such a machine's pace; of MLflow's most are the import of what its first model is
made with (docs/findings.md, 2026-11-30: where plans were wrong by their kind)."""
SOLITARY_STAGES = ("finals", "retraining", "tracking", "report")
"""Stages in which one process is at work at a time, which gets more of a busy machine than trials that run side by side
(docs/findings.md, 2026-11-30: where plans were wrong by their kind)."""
USUAL_PREPARATION = {"grid_pace": 10.0, "examiner": 1.5}
"""Seconds of a worker that sees how fast the machine is before a grid, and of the process that judges finals until it has torch."""
ROUNDED_EVALUATION = 1.4
"""Evaluations of float32 that one of a rounded network takes the time of, mostly for its activations: 1.2 to 1.75 on three shapes and three
runtimes (docs/findings.md, 2026-11-30: where plans were wrong by their kind)."""
CALIBRATION_TIMINGS = {"threads": 4, "precision": 4, "compile": 4}
"""Timings that settle what a study leaves open, each of two shapes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSeconds:
    """What one trial takes."""

    training: float
    """Seconds of steps, the start of compiled blocks and the branches of cooldowns, each with its evaluation, included."""
    evaluation: float
    latency: float
    """Seconds of the measurement and of waiting for it, and for others'."""
    judgement: float
    """Seconds of one evaluation on one split, as the network is deployed too where that is rounded."""

    @property
    def total(self) -> float:
        """Seconds of its worker."""
        return self.training + self.evaluation + self.latency

    @property
    def counted(self) -> float:
        """Seconds that count towards its deadline: without waiting for a measurement."""
        return self.training + self.evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPaces:
    """What is known of the machine that trains, and from where."""

    law: StepLaw
    latency_seconds: float | None
    """Seconds of one latency asked alone; None where none was taken so."""
    trial_latency_seconds: float | None
    """Seconds of a study's trial with all waiting; None where no study of such a workload has run."""
    first_latency_seconds: float | None
    """Seconds of the trials that a run begins with; None where none of such a workload has begun."""
    overhead: dict[str, float]
    """Seconds by the name of a stage."""
    preparation: dict[str, float]
    """Seconds by the names of `USUAL_PREPARATION`."""
    basis: str
    """What they are known from, in words."""
    processor_share: float = 1.0
    """Share of its processors that a trial gets beside other work of the machine; every stage takes longer for that."""


def trial_seconds(
    study: StudySpec, shape: Architecture, known: KnownPaces, recipe: ProxySpec | None = None, *, is_proposed: bool = True
) -> TrialSeconds:
    """What a trial of this shape takes by the study's recipe, or another one, where it comes to its end; only what is proposed is looked at
    on its way.
    """
    proxy, law = recipe or study.proxy, known.law
    pace, judged = law.seconds_per_token(shape, proxy), law.evaluation_seconds(shape, proxy.evaluation_tokens, proxy.context_tokens)
    trained = proxy.seconds if proxy.seconds is not None else paid_tokens(shape, proxy) * pace
    looks = study.search.rungs if is_proposed and study.search.early_stopping != "none" else ()
    answered = law.evaluation_seconds(shape, tokens_asked(study.corpus.tasks), proxy.context_tokens)
    times = evaluations_made(shape, proxy, looks) + _judgements(study) * (1 + len(study.corpus.validation)) - 1
    return TrialSeconds(
        training=trained + len(proxy.cooldowns) * judged + (law.start_seconds if proxy.compile is True else 0.0),
        evaluation=times * judged + _judgements(study) * answered,
        latency=_waited(study, known),
        judgement=_judgements(study) * judged,
    )


def stage_seconds(
    study: StudySpec, known: KnownPaces, first: Sequence[TrialSeconds], sampled: Sequence[TrialSeconds], trials: int
) -> dict[str, float]:
    """Seconds by `analysis.records.stages.STAGES`: of the trials that come `first`, then of so many others, for which the `sampled` stand.

    None of a grid's trainings is chosen, so that nothing is measured or trained after them.
    """
    some = [_stopped_early(study, trial, trials) for trial in sampled]
    each, count = [*first, *(some[place % len(some)] for place in range(trials))], study.workers.count
    each = [_first(trial, study, known) if place < count else trial for place, trial in enumerate(each)]
    evaluation, latency = (sum(getattr(trial, name) for trial in each) / count for name in ("evaluation", "latency"))
    found = {**known.overhead, "calibration": _calibration(study, known), "evaluation": evaluation, "latency": latency}
    waits = max(0.0, _makespan([trial.total for trial in each], count) - evaluation - latency)
    found["training"] = waits if any(trial.training for trial in each) else 0.0
    found["latency"] += waits - found["training"]  # of workers without a trial, where all trainings are taken over
    finals = expected_finals(study, len(first), trials)
    judged = mean(trial.judgement for trial in [*first, *sampled]) if finals else 0.0
    found["finals"] = known.preparation["examiner"] + finals * (_asked_alone(study, known) + judged)
    if study.scaling is None:
        again = study.finals.fresh_seed + 2 * study.finals.learning_rate_bracket
        found["retraining"] = min(NAMED_SHAPES, _front_size(trials)) * again * mean(trial.counted + trial.judgement for trial in sampled)
    return _beside_others(found, study, known)


def expected_finals(study: StudySpec, first: int, trials: int) -> int:
    """Shapes that are measured again in quiet and judged on the test split: references, and the front's members that are none.

    On a grid's front each size has as many members as its shapes have among themselves, for a larger one is slower and better; at equal
    FLOPs the sizes are those of the largest budget, whose losses are below those of the others.
    """
    if study.scaling is None:
        return first + (round(_members(first + trials) * trials / (first + trials)) if trials else 0)
    grid = study.scaling
    sizes = len(grid.lengths) if grid.budgets.quantity == "flops" else len(grid.budgets.values)
    return min(first, sizes * _front_size(len(grid.shapes)))


def _judgements(study: StudySpec) -> float:
    """Evaluations of float32 that judging a network on one split takes: as it is, and beside it as it is deployed where that is rounded."""
    return 1 + ROUNDED_EVALUATION * (study.latency.precision in ROUNDED_PRECISIONS)


def _first(trial: TrialSeconds, study: StudySpec, known: KnownPaces) -> TrialSeconds:
    """The trial where a run begins with it."""
    waited = known.first_latency_seconds
    return replace(trial, latency=_waited(study, known) + USUAL_FIRST_LATENCY_SECONDS if waited is None else waited)


def _beside_others(seconds: dict[str, float], study: StudySpec, known: KnownPaces) -> dict[str, float]:
    """Seconds of a machine of its own as they are beside what else is at work here."""
    threads, together = study.workers.trial_threads, known.processor_share
    alone = share_of_fewer(together, study.workers.count * threads, threads)
    return {name: each / (alone if name in SOLITARY_STAGES else together) for name, each in seconds.items()}


def _waited(study: StudySpec, known: KnownPaces) -> float:
    """A trial's own latency, and the pauses for those of the trials beside it."""
    if known.trial_latency_seconds is not None:
        return known.trial_latency_seconds
    return _asked_alone(study, known) * _pauses(study)


def _asked_alone(study: StudySpec, known: KnownPaces) -> float:
    """Seconds of a latency beside which nothing is at work."""
    if known.latency_seconds is not None:
        return known.latency_seconds
    waited = known.trial_latency_seconds
    return USUAL_LATENCY_SECONDS if waited is None else waited / _pauses(study)


def _pauses(study: StudySpec) -> float:
    """Seconds of a trial's latency with the pauses for those of the trials beside it, over those of one alone."""
    return 1 + PAUSED_SHARE * (study.workers.count - 1)


def _stopped_early(study: StudySpec, trial: TrialSeconds, trials: int) -> TrialSeconds:
    if study.search.early_stopping == "none" or not trials:
        return trial
    whole = min(trials, WHOLE_TRIALS)
    kept = (whole + KEPT_SHARE * (trials - whole)) / trials
    return replace(trial, training=kept * trial.training, evaluation=kept * trial.evaluation)


def _makespan(seconds: Sequence[float], workers: int) -> float:
    """When the last trial ends where each free worker takes the next one."""
    ends = [0.0] * workers
    for each in seconds:
        heapreplace(ends, ends[0] + each)
    return max(ends)


def _front_size(trials: int) -> int:
    """Whole members of the front of so many shapes."""
    return round(_members(trials)) or 1 if trials else 0


def _members(shapes: int) -> float:
    """Members of the front of so many shapes with two objectives that have nothing to do with each other (Bentley et al., J. ACM 25, 1978).

    A third one, such as memory, follows the others too much to bring the many members that it would bring by itself.
    """
    return log(shapes) + EULER


def _calibration(study: StudySpec, known: KnownPaces) -> float:
    """Seconds of settling what the study leaves open, nothing where it was settled before, and of seeing which part of a grid is run."""
    open_ones = {"threads": study.workers.threads, "precision": study.proxy.precision, "compile": study.proxy.compile}
    timings = sum(CALIBRATION_TIMINGS[name] for name, value in open_ones.items() if value == AUTO)
    settled = timings * 2 * 1.2 + (USUAL_IMPORT_SECONDS if timings else 0.0)
    return settled + (known.preparation["grid_pace"] if study.scaling is not None else 0.0)
