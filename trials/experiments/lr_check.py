"""A small grid of learning rates for a spread of a study's shapes, by default in processes of this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from analysis.fidelity.lr_transfer import RATE_RUNS, RateCheck, RateRun, check_rates
from analysis.records.files import append_line, read_lines
from analysis.records.record import Outcome
from search_space.architecture import Architecture
from search_space.spread import SEEN, spread_of_shapes
from trials.corpus.blocks import TokenBlocks
from trials.corpus.prepare import prepare_corpus
from trials.experiments.asked import require_rates
from trials.experiments.workplace import HERE, TrainingCall, Workplace
from trials.study.spec import ProxySpec, StudySpec
from trials.training.conditions import Conditions
from trials.training.recipe import with_scaled_rates
from trials.trial.task import outcome_of

ReportRateRun = Callable[[int, int, RateRun], None]
"""Told of every training that ended: how many did, of how many, and which."""


def run_rate_check(
    study: StudySpec,
    directory: Path,
    *,
    shapes: int,
    rates: int,
    tokens: int | None = None,
    workplace: Workplace = HERE,
    progress: ReportRateRun | None = None,
) -> RateCheck:
    """Train every shape at every rate, and once more with another seed at the study's; what the directory already holds is kept.

    `rates` is odd: factors of 2 around the study's rates, both optimizers' scaled together. `tokens` takes the place of the proxy's
    budget. Trains `workers.count` of them at a time.
    """
    require_rates(study, rates)
    proxy = study.proxy if tokens is None else study.proxy.with_tokens(tokens)
    study = workplace.settled(study.model_copy(update={"proxy": proxy}), directory)
    proxy = study.proxy
    spread = spread_of_shapes(study.search_space.sample(SEEN, study.search.seed), shapes)
    texts = {shape.vocab_size: prepare_corpus(study.corpus, shape.vocab_size).corpus_sha256 for shape in spread}
    seed, factors = study.search.seed, [2.0**power for power in range(-(rates // 2), rates // 2 + 1)]
    wanted = [
        RateRun(architecture=shape, factor=factor, seed=run_seed, recipe=_digest(proxy, texts[shape.vocab_size]), bits_per_byte=None)
        for run_seed, factor in ((seed, 1.0), (seed + 1, 1.0), *((seed, factor) for factor in factors if factor != 1))
        for shape in spread
    ]
    directory.mkdir(parents=True, exist_ok=True)
    known = {_identity(run): run for run in read_rate_runs(directory / RATE_RUNS) if _answers(run)}
    missing = [run for run in wanted if _identity(run) not in known]
    trainings = [TrainingCall(study, run.architecture.vocab_size, (run, study, proxy)) for run in missing]
    ended = workplace.side_by_side(train_at, trainings, study.workers.count, lower="workers.count or proxy.batch_sequences")
    for count, (_, run) in enumerate(ended, start=len(wanted) - len(missing) + 1):
        append_line(directory / RATE_RUNS, run.as_dict())
        known[_identity(run)] = run
        if progress is not None:
            progress(count, len(wanted), run)
    return check_rates([known[_identity(run)] for run in wanted], seed)


def train_at(run: RateRun, study: StudySpec, proxy: ProxySpec, blocks: TokenBlocks) -> RateRun:
    """The run with its outcome; whatever goes wrong is its reason."""
    try:
        return _ended(run, bits_at(run.architecture, blocks, study, proxy, run.factor, run.seed), None)
    except Exception as error:
        outcome, reason = outcome_of(error)
        return _ended(run, None, f"{outcome}: {reason}")


def bits_at(shape: Architecture, blocks: TokenBlocks, study: StudySpec, proxy: ProxySpec, factor: float, seed: int) -> float:
    """Bits per byte on the validation split after the recipe at a multiple of its rates; raises what `train` raises."""
    from trials.training.proxy_run import train  # the parent process of a check does not need torch

    _, training = train(shape, blocks, with_scaled_rates(proxy, factor), seed=seed, conditions=Conditions.of(study.workers))
    assert training.validation is not None  # a run that came to its end was evaluated there
    return training.validation.bits_per_byte


def read_rate_checks(directory: Path) -> dict[str, RateCheck]:
    """What the trainings of a check's directory say, by their recipe; none where it holds none.

    The seed of a recipe's grid is the one that it has at other rates than the study's.
    """
    by_recipe: dict[str, dict[tuple[Architecture, float, int, str], RateRun]] = {}
    for run in read_rate_runs(directory / RATE_RUNS):
        by_recipe.setdefault(run.recipe, {})[_identity(run)] = run
    found = {}
    for recipe, runs in by_recipe.items():
        seeds = [run.seed for run in runs.values() if run.factor != 1] or [run.seed for run in runs.values()]
        found[recipe] = check_rates(runs.values(), seeds[0])
    return found


def read_rate_runs(path: Path) -> list[RateRun]:
    """The runs of a file; SpecError with the line's place where it holds anything else."""
    return [*read_lines(path, RateRun.from_dict, "a training", "delete that line to have it run again")]


def _ended(run: RateRun, bits_per_byte: float | None, reason: str | None) -> RateRun:
    return replace(run, bits_per_byte=bits_per_byte, reason=reason)


def _answers(run: RateRun) -> bool:
    """Whether the run says something of its rate; what failed for another reason is tried again."""
    return run.bits_per_byte is not None or (run.reason or "").startswith(Outcome.DIVERGED)


def _identity(run: RateRun) -> tuple[Architecture, float, int, str]:
    return run.architecture, run.factor, run.seed, run.recipe


def _digest(proxy: ProxySpec, text: str) -> str:
    return hashlib.sha256(f"{proxy.model_dump_json(by_alias=True, exclude=proxy.silent)} {text}".encode()).hexdigest()[:12]
