"""Seconds of each stage of a study, from its start to its report, by what one training, evaluation and latency take (docs/method.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapreplace
from math import log
from statistics import mean

from search_space.architecture import Architecture
from search_space.cost import ROUNDED_PRECISIONS
from trials.plans.pace_model import StepLaw
from trials.study.search_spec import AUTO
from trials.study.spec import ProxySpec, StudySpec
from trials.training.schedules import paid_tokens

EULER = 0.5772
WHOLE_TRIALS, KEPT_SHARE = 19, 0.23
"""Trials that come to their end before `early_stopping: front` can tell, and the share of its tokens that each later one makes: the line
through 34.6 % of the tokens of 126 shapes and 46.3 % of 63 (docs/findings.md)."""
NAMED_SHAPES = 2.5
"""Shapes that a report names in the mean of a few studies: of the recommended, the knee and the best in each objective some are one."""
PAUSED_SHARE = 0.5
"""Share of a latency for which every other worker pauses, where it was timed alone."""
USUAL_LATENCY_SECONDS = 3.0
"""One latency where none was timed on this machine."""
USUAL_IMPORT_SECONDS = 4.0
"""Seconds of torch's and Lightning's import to which the seconds of `USUAL_OVERHEAD` belong."""
USUAL_OVERHEAD = {"start_up": 10.0, "tracking": 1.0, "report": 0.4}
"""Seconds of what is neither training nor measuring, at such a machine's pace."""
CALIBRATION_TIMINGS = {"threads": 4, "precision": 4, "compile": 4}
"""Timings that settle what a study leaves open, each of two shapes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSeconds:
    """What one trial takes."""

    training: float
    """Seconds of steps, the start of compiled blocks and the branches of cooldowns included."""
    evaluation: float
    latency: float
    """Seconds of the measurement and of waiting for it, and for others'."""

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
    """Seconds of one latency asked alone; None where none was timed."""
    trial_latency_seconds: float | None
    """Seconds of a study's trial with all waiting; None where no study of such a workload has run."""
    overhead: dict[str, float]
    """Seconds by the name of a stage."""
    basis: str
    """What they are known from, in words."""
    processor_share: float = 1.0
    """Share of its processors that a trial gets beside other work of the machine; every stage takes longer by it."""


def trial_seconds(study: StudySpec, shape: Architecture, known: KnownPaces, recipe: ProxySpec | None = None) -> TrialSeconds:
    """What a trial of this shape takes by the study's recipe, or another one, where it comes to its end."""
    proxy, law = recipe or study.proxy, known.law
    pace = law.seconds_per_token(shape, proxy)
    trained = proxy.seconds if proxy.seconds is not None else paid_tokens(shape, proxy) * pace
    looks = len(study.search.rungs) if study.search.early_stopping != "none" else 0
    times = proxy.evaluations + looks + len(proxy.cooldowns) + len(study.corpus.validation)
    if study.latency.precision in ROUNDED_PRECISIONS:
        times += 1 + len(study.corpus.validation)  # as it is deployed, beside float32
    return TrialSeconds(
        training=trained + (law.start_seconds if proxy.compile is True else 0.0),
        evaluation=times * law.evaluation_seconds(shape, proxy.evaluation_tokens, proxy.context_tokens),
        latency=_waited(study, known),
    )


def stage_seconds(
    study: StudySpec, known: KnownPaces, first: Sequence[TrialSeconds], sampled: Sequence[TrialSeconds], trials: int
) -> dict[str, float]:
    """Seconds by `analysis.records.stages.STAGES`: of the trials that come `first`, then of so many others, for which the `sampled` stand.

    None of a grid's trainings is chosen, so that nothing is measured or trained after them.
    """
    some = [_stopped_early(study, trial, trials) for trial in sampled]
    each = [*first, *(some[place % len(some)] for place in range(trials))]
    count = study.workers.count
    evaluation, latency = (sum(getattr(trial, name) for trial in each) / count for name in ("evaluation", "latency"))
    found = {**known.overhead, "calibration": _calibration(study), "evaluation": evaluation, "latency": latency}
    found["training"] = max(0.0, _makespan([trial.total for trial in each], count) - evaluation - latency)
    if study.scaling is not None:
        return _beside_others(found, known)
    whole = mean(trial.counted for trial in sampled)
    judged = mean(trial.evaluation for trial in sampled) / study.proxy.evaluations
    members = _front_size(trials)
    found["finals"] = (len(first) + members) * (_asked_alone(known) + judged)
    again = study.finals.fresh_seed + 2 * study.finals.learning_rate_bracket
    found["retraining"] = min(NAMED_SHAPES, members) * again * whole
    return _beside_others(found, known)


def _beside_others(seconds: dict[str, float], known: KnownPaces) -> dict[str, float]:
    return {name: each / known.processor_share for name, each in seconds.items()}


def _waited(study: StudySpec, known: KnownPaces) -> float:
    """A trial's own latency, and the pauses for those of the trials beside it."""
    if known.trial_latency_seconds is not None:
        return known.trial_latency_seconds
    return _asked_alone(known) * (1 + PAUSED_SHARE * (study.workers.count - 1))


def _asked_alone(known: KnownPaces) -> float:
    return USUAL_LATENCY_SECONDS if known.latency_seconds is None else known.latency_seconds


def _stopped_early(study: StudySpec, trial: TrialSeconds, trials: int) -> TrialSeconds:
    if study.search.early_stopping == "none" or not trials:
        return trial
    whole = min(trials, WHOLE_TRIALS)
    kept = (whole + KEPT_SHARE * (trials - whole)) / trials
    return TrialSeconds(training=kept * trial.training, evaluation=kept * trial.evaluation, latency=trial.latency)


def _makespan(seconds: Sequence[float], workers: int) -> float:
    """When the last trial ends where each free worker takes the next one."""
    ends = [0.0] * workers
    for each in seconds:
        heapreplace(ends, ends[0] + each)
    return max(ends)


def _front_size(trials: int) -> int:
    """Members of the front of so many shapes with two objectives that have nothing to do with each other (Bentley et al., J. ACM 25, 1978).

    A third one, such as memory, follows the others too much to bring the many members that it would bring by itself.
    """
    return round(log(trials) + EULER) or 1 if trials else 0


def _calibration(study: StudySpec) -> float:
    """Seconds of settling what the study leaves open; nothing where it was settled before."""
    open_ones = {"threads": study.workers.threads, "precision": study.proxy.precision, "compile": study.proxy.compile}
    timings = sum(CALIBRATION_TIMINGS[name] for name, value in open_ones.items() if value == AUTO)
    return timings * 2 * 1.2 + (USUAL_IMPORT_SECONDS if timings else 0.0)
