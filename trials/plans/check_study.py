"""The one gate: whatever can be refused before a study's first step of training is refused here, before torch or Ray is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.objectives.registry import task_of
from analysis.objectives.tasks import ACCURACY_ON, NORMALISED_ON
from analysis.records.record import RECORDS
from search_space.errors import SpecError
from trials.latency.device_tables import require_first, require_table
from trials.latency.refusals import require_measurable
from trials.plans.deadline import require_known_deadline
from trials.plans.first_trials import FirstTrials
from trials.study.ablation_spec import AblationSpec, arms_of
from trials.study.spec import StudySpec
from trials.trial.known_before import require_within_limits

SHAPES_ASKED_ABOUT = 100
"""Shapes of the space that are asked about whether any can be timed at all."""


def check(
    study: StudySpec, directory: Path | None = None, *, begins: bool = False, has_text: bool = True, trains_here: bool = True
) -> FirstTrials:
    """Raise SpecError for a study that cannot be run; returns what it tries first.

    A study that has records in its `directory` needs its text only where something is left to train, and has its table with it, but
    where it is asked about as if it `begins` there. The text is not asked for where another machine reads it (`has_text` false), nor this
    one's pace where another one trains (`trains_here` false).
    """
    if study.scaling is None:
        study.search_space.require_feasible()
    elif study.corpus.tasks:
        raise SpecError("corpus.tasks must be of a search, whose objectives they are, found them in a study with `scaling`; leave them out")
    first = FirstTrials.of(study)
    is_new = begins or directory is None or not (directory / RECORDS).exists()
    if study.scaling is None:
        require_within_limits(study)
        space = study.search_space
        shapes = space.sample(SHAPES_ASKED_ABOUT, study.search.seed, space.glance)
        require_measurable(study.latency, first.references, shapes)
        if study.search.is_sampler_by_class:
            from trials.search.user_sampler import require_user_sampler  # imports Optuna and the user's module

            require_user_sampler(study.search, space, len(study.problem.objectives))
    if directory is None or begins:
        require_table(study)
    else:
        require_first(study, directory)
    if has_text and is_new:
        _require_letters_to_count(study)
        from trials.corpus.first_look import require_text  # numpy and tokenizers, which no shape that is refused waits for

        _require_vocabularies(study, first)
        own = set(study.search_space.choices("vocab_size")) if study.scaling is None else first.vocab_sizes(study)
        require_text(study.corpus, sorted(own), study.proxy.context_tokens)
        for size in sorted(first.vocab_sizes(study) - own):
            try:
                require_text(study.corpus, [size], study.proxy.context_tokens)
            except SpecError as error:
                named = next(name for name, shape in first.references if shape.vocab_size == size)
                raise SpecError(f"references: {named}: {error}") from None
    if trains_here and is_new:
        require_known_deadline(study, first, directory)
    return first


def _require_letters_to_count(study: StudySpec) -> None:
    """Raise SpecError for an objective or limit by likelihood a letter of a task without choices: no shape would have a value."""
    for name in (*study.problem.names, *study.problem.limits):
        task = task_of(name) if name.startswith(NORMALISED_ON) else None
        if task is not None:
            from trials.tasks.encoding import has_choices

            if not has_choices(study.corpus.tasks, task):
                raise SpecError(f"{name} must be of a task with several options to a question, found one in each; take {ACCURACY_ON}{task}")


def check_ablation(ablation: AblationSpec, scales: Sequence[str], *, has_text: bool = True, trains_here: bool = True) -> None:
    """Raise SpecError for an ablation that cannot be run at these scales; `has_text` and `trains_here` as `check` has them."""
    if ablation.corpus.tasks:
        raise SpecError("corpus.tasks must be of a search, whose objectives they are, found them in an ablation; leave them out")
    for scale in scales:
        arms = arms_of(ablation, scale)  # refuses a scale that is not there
        workloads = ablation.scales[scale].latency
        for arm in arms:
            for study in [arm.study.model_copy(update={"latency": each}) for each in workloads] or [arm.study]:
                check(study, has_text=has_text, trains_here=trains_here)


def _require_vocabularies(study: StudySpec, first: FirstTrials) -> None:
    """Raise SpecError, with its name, for a reference whose vocabulary the corpus cannot have."""
    from trials.corpus.given_tokenizer import local_tokenizers
    from trials.corpus.tokenizer import SMALLEST_VOCABULARY

    sizes = study.search_space.choices("vocab_size") if study.scaling is None else ()
    tokenizers = local_tokenizers(study.corpus.tokenizer)
    for name, shape in first.references:
        size = shape.vocab_size
        if size in sizes:
            continue
        if size < SMALLEST_VOCABULARY:
            raise SpecError(
                f"references: {name} must have a vocab_size of at least {SMALLEST_VOCABULARY} (every byte and the end of text), found "
                f"{size}; take a larger one, or leave the reference out"
            )
        if tokenizers and not any(known.fits(size) for known in tokenizers):
            raise SpecError(
                f"references: {name} must have a vocab_size that a tokenizer of the corpus has "
                f"({' or '.join(f'{known.size:,}' for known in tokenizers)}), found {size:,}; change it to that, leave the reference out, "
                "or name its tokenizer in corpus.tokenizer, too"
            )
