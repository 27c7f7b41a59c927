"""Trains the arms of ablations: side by side, one writer, and the same command continues what was cut short."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.fidelity.ablation import Difference, Losses, PooledNoise, compare_arms, pooled_noise
from analysis.fidelity.factorial import factor_differences
from analysis.fidelity.rounding_loss import RoundingAnswer, compare_rounding
from analysis.fidelity.time_ratios import TimeRatio
from analysis.records.files import write_whole
from analysis.records.health_checks import failed_checks
from analysis.records.json_writer import json_of
from analysis.records.record import Kind, TrialRecord, append, read_records
from search_space.architecture import Architecture
from trials.catalogue.ways import RoundingKind
from trials.corpus.blocks import TokenBlocks
from trials.corpus.prepare import corpus_hash, prepare_corpus
from trials.experiments.ablation_latency import equalised
from trials.experiments.ablation_rounding import RoundedTrial, judge_as_rounded, keep_rounded, read_rounded, rounded_arms
from trials.experiments.ablation_times import timed_arms
from trials.experiments.workplace import HERE, TrainingCall, Workplace
from trials.study.ablation_spec import AblationSpec, Arm, ScaleSpec, arms_of
from trials.study.directory import hold
from trials.study.rounding_spec import RoundingSpec
from trials.study.spec import StudySpec
from trials.training.conditions import Conditions
from trials.trial.task import TrialTask

Report = Callable[[str], None]
_Key = tuple[Path, str, int]
"""Recipe's folder, shape's key and seed: equal for equal trainings, whichever ablation asks."""


@dataclass(frozen=True)
class AblationResult:
    """What an ablation found at one scale."""

    ablation: AblationSpec
    scale: str
    arms: Sequence[Arm]
    differences: Sequence[Difference]
    """Differences of bits per byte; empty where nothing is trained."""
    times: Sequence[TimeRatio]
    """Ratios of every arm in every workload; empty where nothing is timed."""
    unhealthy: Mapping[str, Mapping[str, int]]
    """How many of an arm's finished trainings fail a health check, by arm and check; only what one fails."""
    failures: Sequence[TrialRecord]
    """Trainings that did not finish."""
    roundings: Mapping[RoundingKind, Sequence[RoundingAnswer]]
    """What rounding costs each arm, by runtime and precision, where the scale asks for it."""

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "name": self.ablation.name,
            "question": self.ablation.question,
            "scale": self.scale,
            "source": self.ablation.published.source,
            "arms": {arm.name: arm.architecture.as_dict() for arm in self.arms},
            "differences": [difference.as_dict() for difference in self.differences],
            "roundings": [
                {"runtime": runtime, "precision": precision, "arms": [answer.as_dict() for answer in answers]}
                for (runtime, precision), answers in self.roundings.items()
            ],
            "times": [ratio.as_dict() for ratio in self.times],
            "failed_health_checks": {arm: dict(checks) for arm, checks in self.unhealthy.items()},
            "failures": [f"{record.title}, seed {record.seed}: {record.reason}" for record in self.failures],
        }


@dataclass(frozen=True)
class _Job:
    """One training, and the folder of the recipe that it follows."""

    folder: Path
    study: StudySpec
    architecture: Architecture
    seed: int
    roundings: Sequence[RoundingSpec]

    @property
    def key(self) -> _Key:
        """Names the training."""
        return self.folder, self.architecture.key, self.seed


def run_ablations(
    ablations: Sequence[AblationSpec],
    directory: Path,
    *,
    scale: str = "proxy",
    workers: int = 1,
    workplace: Workplace = HERE,
    report: Report,
) -> list[AblationResult]:
    """Train what `directory` does not hold yet, the first seed of every arm before the second of any, and compare.

    A shape that several ablations ask for under one recipe is trained once, and the noise is that of all shapes under it. Raises
    WorkError where a training process vanishes; what was recorded is kept.
    """
    with hold(directory) as held:
        arms = [_arms(ablation, scale, held, report, workplace) for ablation in ablations]
        times = [timed_arms(ablation, scale, found, held, report, workplace) for ablation, found in zip(ablations, arms, strict=True)]
        plans = [_plan(ablation.scales[scale], found, held) for ablation, found in zip(ablations, arms, strict=True)]
        wanted = {job.key: job for plan in plans for jobs in plan for job in jobs}
        done = _recorded({job.folder for job in wanted.values()})
        missing = sorted((job for key, job in wanted.items() if key not in done), key=lambda job: job.seed)
        for count, record in enumerate(_train(missing, workers, done, workplace), start=1):
            report(f"{count} of {len(missing)}: {record.architecture.label}, seed {record.seed}: {_result(record)}")
    noise = {folder: pooled_noise(_losses(folder, wanted, done)) for folder in {job.folder for job in wanted.values()}}
    return [_found_at(*each, scale, done, noise) for each in zip(ablations, arms, plans, times, strict=True)]


def _arms(ablation: AblationSpec, scale: str, directory: Path, report: Report, workplace: Workplace) -> list[Arm]:
    arms = arms_of(ablation, scale)
    return arms if ablation.scales[scale].equal_latency is None else equalised(ablation, scale, arms, directory, report, workplace)


def _plan(scale: ScaleSpec, arms: Sequence[Arm], directory: Path) -> list[list[_Job]]:
    """The trainings of each arm; none where the arms are timed only."""
    return [] if scale.proxy is None else [_jobs(arm, scale, directory) for arm in arms]


def _jobs(arm: Arm, scale: ScaleSpec, directory: Path) -> list[_Job]:
    roundings = [wanted.model_dump() for wanted in scale.rounding]
    recipe = {
        "proxy": arm.study.proxy.plain().as_keyed(),
        "corpus_sha256": corpus_hash(arm.study.corpus),
        "threads": arm.study.workers.trial_threads,
    } | ({"rounding": roundings} if roundings else {})
    text = json_of(recipe, indent=2, sort_keys=True)
    folder = directory / f"recipe-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    write_whole(folder / "recipe.json", f"{text}\n".encode())
    return [_Job(folder, arm.study, arm.architecture, seed, scale.rounding) for seed in scale.seeds]


def _recorded(folders: set[Path]) -> dict[_Key, TrialRecord]:
    return {(folder, record.architecture.key, record.seed): record for folder in folders for record in read_records(folder)}


def _train(jobs: Sequence[_Job], workers: int, done: dict[_Key, TrialRecord], workplace: Workplace) -> Iterator[TrialRecord]:
    """Run the jobs, write each record as it comes and add it to `done`."""
    texts = {(job.study.corpus.model_dump_json(), job.architecture.vocab_size): job.study.corpus for job in jobs}
    for (_, vocab_size), corpus in texts.items():
        prepare_corpus(corpus, vocab_size)  # here, once, before any worker asks for it
    numbers = {  # above the highest, for what was lost has left a number free below
        job.folder: 1 + max((record.number for (folder, _, _), record in done.items() if folder == job.folder), default=-1) for job in jobs
    }
    trainings = []
    for job in jobs:
        task = _task(job, numbers[job.folder])
        trainings.append(TrainingCall(job.study, job.architecture.vocab_size, (job.study, task, job.roundings)))
        numbers[job.folder] += 1
    for at, (record, rounded) in workplace.side_by_side(_one, trainings, workers, lower="--workers"):
        keep_rounded(jobs[at].folder, rounded)
        append(jobs[at].folder, record)
        done[jobs[at].key] = record
        yield record


def _task(job: _Job, number: int) -> TrialTask:
    return TrialTask(number=number, kind=Kind.SAMPLED, architecture=job.architecture, seed=job.seed)


def _one(
    study: StudySpec, task: TrialTask, roundings: Sequence[RoundingSpec], blocks: TokenBlocks
) -> tuple[TrialRecord, list[RoundedTrial]]:
    """Trains one arm in a process of its own, and judges it as rounded."""
    from trials.trial.run_trial import ended, trial_in_stretches

    conditions = Conditions.of(study.workers)
    record, network = ended(trial_in_stretches(task, blocks, study.proxy, workload=study.latency, conditions=conditions))
    return record, [] if network is None else judge_as_rounded(network, blocks, study.proxy, roundings, task)


def _result(record: TrialRecord) -> str:
    validation = record.training.validation if record.training else None
    return f"{validation.bits_per_byte:.4f} bits per byte" if validation and record.finished else f"{record.outcome}: {record.reason}"


def _losses(folder: Path, wanted: Iterable[_Key], done: Mapping[_Key, TrialRecord]) -> dict[str, dict[int, float]]:
    """Bits per byte by shape and seed of what one recipe has trained; a shape of which a seed did not finish is left out."""
    losses: dict[str, dict[int, float]] = {}
    for key in wanted:
        if key[0] == folder:
            losses.setdefault(key[1], {}).update(_bits(done[key]))
    whole = max(len(found) for found in losses.values())
    return {shape: found for shape, found in losses.items() if len(found) == whole}


def _bits(record: TrialRecord) -> dict[int, float]:
    validation = record.training.validation if record.training else None
    return {record.seed: validation.bits_per_byte} if record.finished and validation else {}


def _found_at(
    ablation: AblationSpec,
    arms: Sequence[Arm],
    plan: Sequence[Sequence[_Job]],
    times: Sequence[TimeRatio],
    scale: str,
    done: Mapping[_Key, TrialRecord],
    noise: Mapping[Path, PooledNoise | None],
) -> AblationResult:
    records = {arm.name: [done[job.key] for job in jobs] for arm, jobs in zip(arms, plan, strict=bool(plan))}
    losses = {arm: {seed: bits for record in found for seed, bits in _bits(record).items()} for arm, found in records.items()}
    failures = [record for found in records.values() for record in found if not record.finished]
    checks = {
        arm: Counter(result.check.name for record in found if record.finished for result in failed_checks(record))
        for arm, found in records.items()
    }
    folders = list(dict.fromkeys(jobs[0].folder for jobs in plan))  # arms of several recipes have a noise of their own
    return AblationResult(
        ablation=ablation,
        scale=scale,
        arms=arms,
        differences=_differences(ablation, scale, losses, noise[folders[0]] if len(folders) == 1 else None) if plan else (),
        times=times,
        unhealthy={arm: found for arm, found in checks.items() if found},
        failures=failures,
        roundings=_roundings(ablation, scale, arms, plan, records),
    )


def _roundings(
    ablation: AblationSpec, scale: str, arms: Sequence[Arm], plan: Sequence[Sequence[_Job]], records: Mapping[str, Sequence[TrialRecord]]
) -> dict[RoundingKind, list[RoundingAnswer]]:
    rounded = {arm.name: read_rounded(jobs[0].folder) for arm, jobs in zip(arms, plan, strict=bool(plan))}
    kinds = [(wanted.runtime, wanted.precision) for wanted in ablation.scales[scale].rounding if plan]
    return {kind: compare_rounding(rounded_arms(arms, ablation.baseline, kind, records, rounded)) for kind in kinds}


def _differences(ablation: AblationSpec, scale: str, losses: Losses, noise: PooledNoise | None) -> list[Difference]:
    factors, figures = ablation.scales[scale].factors, ablation.published.accuracy
    if factors:
        return factor_differences(losses, tuple(factors), ablation.baseline, figures, noise)
    return compare_arms(losses, ablation.baseline, figures, noise)
