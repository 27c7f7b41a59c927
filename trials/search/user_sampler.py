"""A sampler of the user's own or any other of Optuna's, named by `search.sampler: MODULE:CLASS`.

Each proposal has a new one, made of `search.sampler_options` and a seed of its own, which is asked once on a study that is made of the
records. So it may keep nothing but what it reads off the trials; whether it does is tried out before anything runs.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseGASampler, BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from search_space.errors import SpecError, quoted, shortened
from search_space.space import SearchSpace
from trials.search.optuna_storage import KnownTrials
from trials.search.shape_table import distributions_of
from trials.search.steady_generations import SteadyGenerations
from trials.study.search_spec import SearchSpec

TRIED_SEED = 0


def user_sampler(name: str, options: Mapping[str, Any]) -> Callable[[int], BaseSampler]:
    """What makes the sampler of one proposal from its seed; raises SpecError where the name or the options do not give one."""
    kind = _class(name)
    takes_seed = _takes_seed(kind)
    if takes_seed and "seed" in options:
        raise SpecError("search.sampler_options must leave out seed, which follows from search.seed, found one; take it out")
    if issubclass(kind, BaseGASampler):
        kind = type(kind.__name__, (SteadyGenerations, kind), {})

    def make(seed: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            try:
                return kind(**options, **({"seed": seed} if takes_seed else {}))
            except Exception as error:  # whatever a constructor raises
                given = ", ".join(options) or "none"
                raise SpecError(
                    f"search.sampler: {name} must be made with search.sampler_options ({given}), found that it raises {said_of(error)}; "
                    "correct the options"
                ) from None

    return make


def require_user_sampler(search: SearchSpec, space: SearchSpace, objectives: int) -> None:
    """Raise SpecError for a sampler that cannot be had, or that does not propose by the trials and its seed alone.

    It is tried in sight of no and of two trials; more, from which models learn, would take a Gaussian process of Optuna's 13 s.
    """
    name, make = search.sampler, user_sampler(search.sampler, search.sampler_options)
    distributions = distributions_of(space)
    for trials in ([], _made_up(distributions, objectives)):
        proposals, storage = [], KnownTrials(objectives)
        for _ in range(2):
            try:
                proposals.append(suggested(make(TRIED_SEED), storage, trials, distributions))
            except SpecError:
                raise
            except Exception as error:  # whatever a sampler raises
                raise SpecError(
                    f"search.sampler: {name} must propose for a study of {objectives} objectives, found that it raises {said_of(error)} in "
                    f"sight of {len(trials)} finished trials; name a sampler that does"
                ) from None
            if kept := storage.notes:
                raise SpecError(
                    f"search.sampler: {name} must keep nothing beside the trials, because a study goes on by its records alone, found "
                    f"that it keeps {quoted(kept[0])} in Optuna's study; name a sampler that does not"
                )
        if proposals[0] != proposals[1]:
            raise SpecError(
                f"search.sampler: {name} must propose the same for equal trials and an equal seed, found two proposals; draw from a "
                "generator that the constructor's argument `seed` seeds"
            )


def suggested(
    sampler: BaseSampler, storage: KnownTrials, trials: Sequence[FrozenTrial], distributions: Mapping[str, BaseDistribution]
) -> Mapping[str, Any]:
    """What it proposes in sight of these trials."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return storage.study(trials, sampler).ask(dict(distributions)).params


def _class(name: str) -> type[BaseSampler]:
    """The class of that name; a module is looked for among those that are installed, then in the working directory."""
    module_name, _, class_name = name.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _unreadable(module_name, error) from None
        raise SpecError(
            f"search.sampler must name a module that is installed or lies in the working directory, found no {error.name} in {here}; "
            "correct the name, or run from the module's directory"
        ) from None
    except (Exception, SystemExit) as error:  # whatever a module raises
        raise _unreadable(module_name, error) from None
    try:
        found = getattr(module, class_name, None)
    except (Exception, SystemExit) as error:  # a module that imports its classes once they are asked for, as Optuna's do
        raise _unreadable(name, error, "class") from None
    if found is None:
        there = {key: value for key, value in vars(module).items() if _is_sampler(value) and not key.startswith("_")}
        classes = [key for key, value in there.items() if value.__module__ == module_name] or list(there)
        has = f"which has {', '.join(classes)}" if classes else "which has no sampler"
        raise SpecError(
            f"search.sampler must name a class of {module_name}, found no {quoted(class_name)} in it, {shortened(has)}; correct it"
        )
    if not _is_sampler(found):
        raise SpecError(
            f"search.sampler must name a subclass of optuna.samplers.BaseSampler, found {quoted(found)}; derive it from that, or name "
            "another class"
        )
    kind: type[BaseSampler] = found
    return kind


def _is_sampler(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseSampler) and value is not BaseSampler


def _takes_seed(kind: type[BaseSampler]) -> bool:
    return "seed" in inspect.signature(kind.__init__).parameters


def _unreadable(name: str, error: BaseException, kind: str = "module") -> SpecError:
    cure = "install what it needs" if isinstance(error, ImportError) else "mend it"
    return SpecError(f"search.sampler: the {kind} {name} must be importable, found that it raises {said_of(error)}; {cure}")


def said_of(error: BaseException) -> str:
    """An error of a user's code on one line."""
    line = next(iter(str(error).strip().splitlines()), "")
    return shortened(f"{type(error).__name__}: {line}" if line else type(error).__name__)


def _made_up(distributions: Mapping[str, BaseDistribution], objectives: int) -> list[FrozenTrial]:
    """Two finished trials, of the first and of the last choice of everything, neither better in all objectives."""
    ends = [{name: _end(distribution, last) for name, distribution in distributions.items()} for last in (False, True)]
    values = [[1.0, *[2.0] * (objectives - 1)], [2.0, *[1.0] * (objectives - 1)]]
    return [
        create_trial(state=TrialState.COMPLETE, params=end, distributions=dict(distributions), values=those)
        for end, those in zip(ends, values, strict=True)
    ]


def _end(distribution: BaseDistribution, is_last: bool) -> Any:
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return distribution.choices[-1 if is_last else 0]
    assert isinstance(distribution, optuna.distributions.IntDistribution)
    return distribution.high if is_last else distribution.low
