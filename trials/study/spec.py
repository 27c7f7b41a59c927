"""A study's whole intent as types: StudySpec, and the ProxySpec of its trainings."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from analysis.objectives.problem import Problem, problem_of
from analysis.objectives.registry import FORECAST, USUAL, task_of, validation_set_of
from analysis.records.training import FARTHEST
from analysis.statistics.noise_prior import NoisePrior, expected_noise
from search_space.budget import Budget
from search_space.errors import SpecError, shortened
from search_space.space import SearchSpace
from trials.study.budget_defaults import size_of
from trials.study.corpus_spec import CorpusSpec
from trials.study.end_listener import require_form
from trials.study.latency_spec import LatencySpec
from trials.study.rounding_spec import QuantisationAwareSpec, with_runtime
from trials.study.scaling_spec import ScalingSpec, require_constants, with_scaling
from trials.study.search_spec import AUTO, FinalsSpec, LimitsSpec, SearchSpec, TargetSpec, WorkersSpec
from trials.study.section import MOST_LISTED, AboveZero, Number, PlainName, Positive, Seconds, Section, Share, Size

LATER_KEYS = ("quantisation_aware",)
"""Keys of a recipe that came after the first training was hashed."""
DEFAULT_RATES = {"muon": 4e-2, "adamw": 4e-3}
"""Rates of AdamW, by the recipe's optimizer (docs/findings.md, 2026-11-25: one learning rate for every shape is the default)."""


class BaseShape(Section):
    """The shape at which `mup` and `completep` have the study's rates as they stand; heads span its width, its MLP is 8/3 as wide."""

    hidden_size: Size = 64
    """Width of the base shape."""
    num_hidden_layers: Size = 4
    """Executed blocks of the base shape."""
    head_dim: Size = 16
    """The width of its heads."""


class ProxySpec(Section):
    """The recipe of the short training run; the same for every shape of the study. Exactly one of the four budgets."""

    tokens: Positive | None = None
    """Training tokens of every trial."""
    tokens_per_parameter: AboveZero | None = None
    """Training tokens per stored parameter."""
    flops: AboveZero | None = None
    """Training FLOPs of every trial, as docs/method.md counts them (such as 1e12); the tokens then differ."""
    seconds: Seconds | None = None
    """Training seconds of every trial, pauses left out; the tokens then differ."""
    context_tokens: Positive = 64
    """Tokens of one sequence."""
    batch_sequences: Positive = 16
    """Sequences of one step."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """`muon`: Muon for the matrices of the blocks and AdamW for the rest; `adamw`: AdamW for all."""
    learning_rate: AboveZero = Field(default_factory=lambda given: DEFAULT_RATES[given.get("optimizer", "muon")])
    """Peak rate of AdamW; by default 0.02 beside Muon (0.04 in a grid), 0.004 where it moves everything (docs/findings.md, 2026-11-29:
    which rate, batch and context the defaults of a quarter of a million parameters have)."""
    muon_learning_rate: AboveZero = 4e-2
    """Peak rate of Muon; read only where the optimizer is `muon`."""
    parametrization: Literal["standard", "mup", "completep"] = "mup"
    """How rates and initial weights follow the shape: not at all, its width (arXiv 2203.03466), or width and depth (2505.01618)."""
    base: BaseShape = BaseShape()
    """Read only where the parametrization is `mup` or `completep`."""
    weight_decay: Annotated[float, Number, Field(ge=0, le=1e6)] = 0.1
    """Weight decay on matrices only; norms and the embedding have none."""
    gradient_clip: AboveZero = 1.0
    """Largest norm of the gradient."""
    schedule: Literal["wsd", "cosine"] = "wsd"
    """Warm-up, stable, linear decay to zero (arXiv 2404.06395); or warm-up and cosine to a tenth."""
    warmup: Share = 0.05
    """Share of the steps that warm up."""
    decay: Share = 0.3
    """Share of the steps that decay; read only where the schedule is `wsd`."""
    cooldowns: tuple[Annotated[float, Number, Field(gt=0, lt=1)], ...] = Field(
        default=(), max_length=MOST_LISTED, serialization_alias="rungs"
    )
    """Ascending shares of the tokens at which a branch of a `wsd` run decays to a finished loss; each costs `decay` of its share."""
    precision: Literal["auto", "float32", "bfloat16"] = AUTO
    """Precision of the products; weights and optimizer states stay float32. `auto`: what a short calibration of the machine favours."""
    compile: Literal["auto"] | bool = AUTO
    """Whether torch compiles the blocks, once for each shape, which its seconds count; `auto`: where trials are long enough to win that
    time back, and have another budget than seconds."""
    evaluations: Annotated[int, Number, Field(ge=1, le=10_000)] = 4
    """Evaluations on the validation split over the run, the last at its end."""
    evaluation_tokens: Positive = 65_536
    """Tokens of each evaluation, always the same ones."""
    quantisation_aware: QuantisationAwareSpec | None = None
    """Rounding in the forward pass over the last share of the training; None trains in float32 or bfloat16 throughout."""

    def as_keyed(self) -> dict[str, Any]:
        """The recipe in JSON's types, by the names that its keys had when the first training was hashed: those never change.

        A key that came later is absent where it says nothing, so that trainings of before are the same ones.
        """
        return self.model_dump(mode="json", by_alias=True, exclude=self.silent)

    @property
    def silent(self) -> set[str]:
        """Keys that came after the first training was hashed and say nothing here: no hash has them."""
        return {name for name in LATER_KEYS if getattr(self, name) is None}

    def plain(self) -> ProxySpec:
        """The recipe as it is followed where nothing has been calibrated: in float32 and not compiled where that is left open."""
        ways = {"precision": "float32", "compile": False}
        return self.model_copy(update={name: way for name, way in ways.items() if getattr(self, name) == AUTO})

    def with_tokens(self, tokens: int) -> ProxySpec:
        """The recipe with this budget."""
        return self.model_copy(update={"tokens_per_parameter": None, "flops": None, "seconds": None, "tokens": tokens})

    @model_validator(mode="after")
    def _one_budget(self) -> ProxySpec:
        stated = [name for name in ("tokens", "tokens_per_parameter", "flops", "seconds") if getattr(self, name) is not None]
        if len(stated) != 1:
            raise ValueError(
                "must have exactly one of `tokens`, `tokens_per_parameter`, `flops` and `seconds`, found "
                f"{', '.join(stated) or 'none'}; state one"
            )
        if self.compile is True and self.seconds is not None:
            raise ValueError("must not be compiled where its budget is `seconds`, which compiling would use up; state another budget")
        if self.schedule == "wsd" and self.warmup + self.decay > 1:
            raise ValueError(f"warmup and decay must not exceed 1 together, found {self.warmup:g} and {self.decay:g}")
        return self

    @model_validator(mode="after")
    def _rounds_within_the_decay(self) -> ProxySpec:
        wanted = self.quantisation_aware
        if wanted is not None and self.schedule == "wsd" and wanted.last > self.decay:
            raise ValueError(
                f"quantisation_aware.last must be the decay ({self.decay:g}) at most, found {wanted.last:g}; lower it, or raise decay"
            )
        return self

    @model_validator(mode="after")
    def _cooldowns_follow_the_trunk(self) -> ProxySpec:
        if self.cooldowns and (self.schedule != "wsd" or self.seconds is not None):
            raise ValueError("cooldowns need the schedule wsd and a budget that is not seconds; drop them, or change those")
        if list(self.cooldowns) != sorted(set(self.cooldowns)):
            raise ValueError(f"cooldowns must ascend, found {shortened(', '.join(f'{share:g}' for share in self.cooldowns))}")
        if self.cooldowns and self.cooldowns[0] * (1 - self.decay) < self.warmup:
            raise ValueError(f"the first cooldown must not begin to decay within the warm-up, found {self.cooldowns[0]:g}; raise it")
        return self


class StudySpec(Section):
    """One study."""

    name: PlainName
    """Letters, digits, dots, dashes and underscores; MLflow's experiment has it too."""
    corpus: CorpusSpec
    scaling: ScalingSpec | None = None
    """Where given, the study is a grid of sizes, shapes and token counts in place of a search."""
    budget: dict[str, Any] | None = None
    """What every shape spends (see above); a scaling study has `scaling.budgets` instead."""
    space: dict[str, Any] = Field(default_factory=dict)
    """What there is to choose (see above); what a search leaves open follows its budget. Of a scaling study constants alone:
    `head_dim`, the `intermediate_size.multiple_of`, and what references take from the study."""
    latency: LatencySpec = LatencySpec()
    objectives: tuple[str, ...] = USUAL
    """Two or three objectives by name (see above): what a front is made of, and what proposals follow."""
    limits: LimitsSpec = LimitsSpec()
    proxy: ProxySpec
    search: SearchSpec = SearchSpec()
    workers: WorkersSpec = WorkersSpec()
    finals: FinalsSpec = FinalsSpec()
    target: TargetSpec | None = None
    """A longer training at which the front is forecast; needs `proxy.tokens` and `proxy.cooldowns`."""
    references: Annotated[tuple[str, ...], Field(max_length=16)] = ("deep-thin", "wide-shallow")
    """Shapes that every front is compared with: `deep-thin`, `wide-shallow`, a family's name (scaled to the budget),
    or a file: an architecture's, or a published model's `config.json`, taken as it is."""

    on_end: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_LISTED)] | None = None
    """Who hears how a run of the study ended: a URL, which gets the JSON by POST, a `$NAME` of the environment that holds one, or a
    command with its arguments, run without a shell, which gets it on standard input (see above)."""

    defaults: dict[str, dict[str, Any]] = Field(default_factory=dict, exclude=True)
    """What archfront filled in of `space` and `proxy` when the study began; in a directory's study alone, so that it stays what it was."""

    @field_validator("proxy", mode="before")
    @classmethod
    def _rounds_as_the_latency_s_runtime(cls, proxy: object, given: ValidationInfo) -> object:
        latency = given.data.get("latency")
        return proxy if latency is None else with_runtime(proxy, latency.engine)

    @field_validator("proxy", mode="before")
    @classmethod
    def _scaling_states_the_budget(cls, proxy: object, given: ValidationInfo) -> object:
        scaling = given.data.get("scaling")
        return proxy if scaling is None else with_scaling(proxy, scaling)

    @field_validator("on_end", mode="before")
    @classmethod
    def _one_word_is_a_list_too(cls, listener: object) -> object:
        return (listener,) if isinstance(listener, str) else listener

    @field_validator("on_end")
    @classmethod
    def _has_a_form(cls, listener: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if listener is not None:
            require_form(listener)
        return listener

    @model_validator(mode="after")
    def _objectives_exist(self) -> StudySpec:
        problem = self.problem
        for name in (*problem.names, *problem.limits):
            wanted = validation_set_of(name)
            if wanted is not None and wanted not in self.corpus.validation:
                found = shortened(", ".join(self.corpus.validation) or "none")
                raise ValueError(
                    f"the objective {name} needs the validation set {wanted} in corpus.validation, found {found}; name it there"
                )
            task = task_of(name)
            if task is not None and task not in self.corpus.tasks:
                found = shortened(", ".join(self.corpus.tasks) or "none")
                raise ValueError(f"the objective {name} needs the task {task} in corpus.tasks, found {found}; name it there")
        return self

    @model_validator(mode="after")
    def _one_kind(self) -> StudySpec:
        if self.scaling is None:
            if self.budget is None:
                raise ValueError("budget is missing; add it")
            if not self.search.trials:
                raise ValueError("search.trials is missing or 0; say how many shapes to sample, or state `scaling`")
        else:
            if self.budget is not None or self.search.trials:
                raise ValueError("a study with `scaling` must have neither budget nor search.trials; leave them out")
            require_constants(self.space)
        return self

    @model_validator(mode="after")
    def _stops_at_equal_tokens(self) -> StudySpec:
        if self.search.early_stopping != "none" and (self.scaling is not None or self.proxy.tokens is None):
            found = "a study with `scaling`" if self.scaling is not None else "another budget"
            raise ValueError(f"search.early_stopping compares trials at equal tokens and needs proxy.tokens, found {found}; set it to none")
        if self.search.early_stopping != "none" and self.problem.forecast_place is None:
            raise ValueError(
                f"search.early_stopping forecasts {FORECAST} and needs it as the only objective that a training tells, found "
                f"{', '.join(self.objectives)}; set it to none, or change the objectives"
            )
        return self

    @model_validator(mode="after")
    def _forecasts_from_cooldowns(self) -> StudySpec:
        if self.target is not None:
            if self.scaling is not None or self.proxy.tokens is None or not self.proxy.cooldowns:
                raise ValueError("target needs a search with proxy.tokens and proxy.cooldowns, such as [0.25, 0.5]; add them or drop it")
            if self.problem.forecast_place is None:
                raise ValueError(
                    f"target forecasts {FORECAST} and needs it as the only objective that a training tells, found "
                    f"{', '.join(self.objectives)}; drop it, or change the objectives"
                )
            if not self.proxy.tokens < self.target.tokens <= FARTHEST * self.proxy.tokens:
                raise ValueError(
                    f"target.tokens must be above proxy.tokens ({self.proxy.tokens:,}) and at most {FARTHEST:g} times as many, "
                    f"found {self.target.tokens:,}"
                )
        return self

    @property
    def problem(self) -> Problem:
        """What the study is read for."""
        return problem_of(self.objectives, self.limits.of_shapes, self._expected_noise)

    @property
    def _expected_noise(self) -> NoisePrior:
        """How much a seed is expected to move its trainings: by optimizer, size and length."""
        try:
            size = None if self.budget is None else size_of(Budget.parse(self.budget))
        except SpecError:  # said where the space is read
            size = None
        per, tokens = self.proxy.tokens_per_parameter, self.proxy.tokens
        return expected_noise(self.proxy.optimizer, size, tokens if per is None or size is None else per * size)

    @cached_property
    def search_space(self) -> SearchSpace:
        """The parsed space with its budget; SpecError for a scaling study, which has nothing to search."""
        if self.scaling is not None:
            raise SpecError(f"{self.name} must be a search here, found a study with `scaling`; name a study with budget and space")
        return self.space_at(Budget.parse(self.budget))

    def space_at(self, budget: Budget) -> SearchSpace:
        """The space with another budget than the study's."""
        return SearchSpace.parse(self.space, budget)
