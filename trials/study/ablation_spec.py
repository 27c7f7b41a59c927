"""An ablation: one question, the published answer, and named arms or factors at one or several scales, in one YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, product
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from search_space.architecture import Architecture
from search_space.draft import InfeasibleError
from search_space.errors import SpecError, quoted, shortened, unknown_key
from trials.study.corpus_spec import CorpusSpec
from trials.study.latency_spec import LatencySpec
from trials.study.load_study import parse_study
from trials.study.rounding_spec import RoundingSpec
from trials.study.section import LARGEST_SEED, MOST_LISTED, Few, Number, PlainName, Section, parsed
from trials.study.spec import ProxySpec, StudySpec
from trials.study.upgrade import require_new_keys
from trials.study.yaml_file import read_yaml

MOST_FACTORS = 6
"""Every combination of so many is an arm, 64 of them."""
MOST_SCALES = 8
"""Each has arms of its own, all of which are tried when the file is read."""
NOT_TRAINED = {"tokens": "1M"}
"""Recipe of arms that are timed only; none of it runs."""
NO_BUDGET = {"parameters": {"at_most": 1e15}}
"""Budget of arms that state every size."""
RECIPE = "proxy"
"""Key of an arm under which its recipe differs."""
JOINT = "+"
"""What stands between the factors of an arm in its name."""


class PublishedSpec(Section):
    """What a paper found; figures only, with their source."""

    source: str
    """Paper and place, with its arXiv number, and how sure the figures are."""
    accuracy: dict[str, dict[str, float]] = Field({})
    """Percent, by scale and arm; an arm that was not published is left out."""
    execution_ms: dict[str, dict[str, float]] = Field({})
    """Milliseconds of executing the network once, by scale and arm; an arm that was not published is left out."""


class FactorSpec(Section):
    """A choice that is made or not; both as keys of a study's `space`, one value each."""

    before: dict[str, Any]
    """The keys where the choice is not made."""
    after: dict[str, Any]
    """The keys where it is."""


class ScaleSpec(Section):
    """The arms at one size, the recipe that all of them are trained by, and the workloads in which they are timed."""

    arms: Annotated[dict[str, dict[str, Any]], Field(max_length=MOST_LISTED)] = Field({})
    """Each arm as the keys of a study's `space`, one value each; sizes may be solved. Its own `proxy` has keys of the recipe that are
    other ones for this arm."""
    factors: Annotated[dict[str, FactorSpec], Field(max_length=MOST_FACTORS)] = Field({})
    """Choices by name in place of arms: every combination is an arm, named by the choices that it makes (`swiglu+deep`)."""
    common: dict[str, Any] = Field({})
    """Keys that every arm has; an arm's own take precedence."""
    budget: dict[str, Any] | None = None
    """What solved sizes spend, as in a study. Not needed where the arms state every size."""
    equal_latency: LatencySpec | None = None
    """Where given, the budget holds for the baseline alone; the other arms spend as much as makes them take its time in this workload."""
    proxy: ProxySpec | None = None
    """The recipe; without one nothing is trained, and the arms are timed only."""
    latency: Annotated[tuple[LatencySpec, ...], Field(max_length=MOST_LISTED)] = ()
    """Where given, every arm is timed beside the baseline in each of these workloads."""
    rounds: Few = 3
    """How often each arm is timed, in turn with the others."""
    rounding: Annotated[tuple[RoundingSpec, ...], Field(max_length=MOST_LISTED)] = ()
    """What each finished network is rounded to and judged by, too; what that costs is compared between the arms."""
    seeds: Annotated[tuple[Annotated[int, Number, Field(ge=0, le=LARGEST_SEED)], ...], Field(max_length=MOST_LISTED)] = (0, 1, 2)
    """Each decides initial weights and the order of the data, for every arm alike."""
    threads: Few = 1
    """Processor threads of each training."""

    @model_validator(mode="after")
    def _arms_or_factors(self) -> ScaleSpec:
        if bool(self.arms) == bool(self.factors):
            raise ValueError(f"exactly one of arms and factors must be given, found {'both' if self.arms else 'none'}; keep one")
        if self.proxy is None and not self.latency:
            raise ValueError("proxy or latency must be given, found none; without them nothing is trained or timed")
        if self.proxy is None and self.rounding:
            raise ValueError("rounding must stand beside a proxy, found none; add the recipe, or drop rounding")
        return self

    @model_validator(mode="after")
    def _factors_do_not_meet(self) -> ScaleSpec:
        """An arm that two factors name, or a key that two of them state, would be the last one's alone."""
        stating: dict[str, str] = {}
        for name, choice in self.factors.items():
            if not name or JOINT in name:
                raise ValueError(
                    f"factors must have names without {JOINT}, which joins them in an arm's name, found {quoted(name)}; rename it"
                )
            for key in sorted({*_paths(choice.before), *_paths(choice.after)}):
                if key in stating:
                    raise ValueError(
                        f"factors must state keys of their own, found {key} in {stating[key]} and in {name}; make one factor of them, "
                        "or write arms"
                    )
                stating[key] = name
        return self

    def spelt_arms(self, baseline: str) -> dict[str, dict[str, Any]]:
        """The arms, or every combination of the factors, in which that without any is called as the baseline is."""
        if self.arms:
            return self.arms
        found = {}
        for made in product((False, True), repeat=len(self.factors)):
            keys = [choice.after if on else choice.before for choice, on in zip(self.factors.values(), made, strict=True)]
            found[JOINT.join(compress(self.factors, made)) or baseline] = _merged(keys)
        return found


def _merged(choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The keys of all choices in one, those of the recipe below their one key."""
    found: dict[str, Any] = {}
    for choice in choices:
        for key, value in choice.items():
            had = found.get(key, {})
            if key != RECIPE or not isinstance(value, Mapping):
                found[key] = value
            elif isinstance(had, Mapping):  # else it is refused for what it is
                found[key] = {**had, **value}
    return found


def _paths(choice: Mapping[str, Any]) -> Iterator[str]:
    """What a choice states: keys of the space, and each key of the recipe."""
    for key, value in choice.items():
        if key == RECIPE and isinstance(value, Mapping):
            yield from (f"{RECIPE}.{inner}" for inner in value)
        else:
            yield key


class AblationSpec(Section):
    """One question with its arms."""

    name: PlainName
    """Letters, digits, dots, dashes and underscores."""
    question: str
    """What the ablation asks, in one sentence."""
    baseline: str
    """The arm that the others are compared with."""
    corpus: CorpusSpec
    published: PublishedSpec
    scales: Annotated[dict[str, ScaleSpec], Field(max_length=MOST_SCALES)]
    """Scales by name; `archfront ablate` trains `proxy` unless told otherwise."""

    @model_validator(mode="after")
    def _every_scale_has_the_baseline(self) -> AblationSpec:
        for name, scale in self.scales.items():
            if set(self.baseline.split(JOINT)) <= set(scale.factors):
                raise ValueError(
                    f"scales.{name}.factors must have other names than the baseline, the arm that makes none of these choices, "
                    f"found {quoted(self.baseline)}; rename the factor"
                )
            arms = scale.spelt_arms(self.baseline)
            if self.baseline not in arms or len(arms) < 2:
                raise ValueError(
                    f"scales.{name}.arms must hold the baseline {self.baseline} and another arm, found {shortened(', '.join(arms))}"
                )
        return self


@dataclass(frozen=True)
class Arm:
    """One arm at one scale."""

    name: str
    study: StudySpec
    """A study whose space has this shape alone: corpus, recipe and threads are its own."""
    architecture: Architecture
    own_recipe: bool = False
    """Whether the arm has keys of the recipe of its own."""


def load_ablation(path: Path) -> AblationSpec:
    """Read an ablation's YAML and try its shapes; raises SpecError with path, what was found and the cure."""
    values = read_yaml(path, "name an ablation's YAML, such as studies/mobilellm/depth-width.yaml", "see docs/ablations.md")
    scales = values.get("scales") if isinstance(values, Mapping) else None
    for name, scale in scales.items() if isinstance(scales, Mapping) else ():
        require_new_keys(scale, str(path), f"scales.{name}.")
    ablation = parsed(AblationSpec, values, str(path), "docs/ablations.md")
    ablation = _beside(ablation, path.resolve().parent)
    for scale in ablation.scales:
        try:
            arms_of(ablation, scale)
        except SpecError as error:
            raise SpecError(f"{path}: {error}") from None
    return ablation


def _beside(ablation: AblationSpec, folder: Path) -> AblationSpec:
    """The study with the files that it names by their whole paths."""
    scales = {
        name: scale.model_copy(
            update={
                "equal_latency": None if scale.equal_latency is None else scale.equal_latency.beside(folder),
                "latency": tuple(workload.beside(folder) for workload in scale.latency),
            }
        )
        for name, scale in ablation.scales.items()
    }
    return ablation.model_copy(update={"corpus": ablation.corpus.beside(folder), "scales": scales})


def is_ablation(path: Path) -> bool:
    """Whether a YAML file holds an ablation rather than a study."""
    try:
        values = read_yaml(path, "", "")
    except SpecError:
        return False
    return isinstance(values, Mapping) and "scales" in values


def arms_of(ablation: AblationSpec, scale: str) -> list[Arm]:
    """The arms of one scale with their shapes, where latencies are made equal those before that; SpecError where there is none."""
    if scale not in ablation.scales:
        raise unknown_key(f"{ablation.name} has no scale {scale}: it", scale, tuple(ablation.scales))
    wanted = ablation.scales[scale]
    return [arm_at(ablation, scale, name, wanted.budget or NO_BUDGET) for name in wanted.spelt_arms(ablation.baseline)]


def arm_at(ablation: AblationSpec, scale: str, name: str, budget: Mapping[str, Any]) -> Arm:
    """An arm that spends this budget; SpecError where it has no shape or several."""
    wanted, place = ablation.scales[scale], f"scales.{scale}.arms.{name}"
    spelt = wanted.spelt_arms(ablation.baseline)[name]
    own, shape = spelt.get(RECIPE, {}), {key: value for key, value in spelt.items() if key != RECIPE}
    if not isinstance(own, Mapping):
        raise SpecError(
            f"{place}.{RECIPE} must have keys of the recipe, such as quantisation_aware, found {shortened(str(own))}; write them below it"
        )
    values = {
        "name": f"{ablation.name}-{scale}",
        "corpus": ablation.corpus.model_dump(exclude_defaults=True),
        "budget": dict(budget),
        "space": {**wanted.common, **shape},
        "proxy": {**(NOT_TRAINED if wanted.proxy is None else wanted.proxy.model_dump(exclude_defaults=True)), **own},
        "search": {"trials": 1},
        "workers": {"threads": wanted.threads},
        "references": (),
    }
    study = parse_study(values, place)
    space = study.search_space
    if space.size != 1:
        several = ", ".join(dimension.name for dimension in space.free)
        raise SpecError(f"{place} must be one shape, found several choices of {several}; state one of each, here or in `common`")
    try:
        return Arm(name, study, space.architecture(space.point(0)), own_recipe=bool(own))
    except InfeasibleError as error:
        raise SpecError(
            f"{place} has no shape that spends the budget: {error.reason} ({error.near or 'nothing comes near'}); "
            "change the arm, or the budget"
        ) from None
