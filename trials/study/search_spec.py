"""What a study says of its search, its limits, of the workers that train, of its finalists and of the length that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from search_space.errors import quoted
from search_space.sizes import written_number
from trials.study.section import LARGEST_SEED, MOST_LISTED, AboveZero, ClassPath, Few, Number, Positive, Seconds, Section, Share

AUTO: Literal["auto"] = "auto"
"""What a calibration of the machine decides (trials/trial/calibration.py)."""
RUNGS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)


class SearchSpec(Section):
    """How the shapes to try are chosen."""

    trials: Annotated[int, Number, Field(ge=0, le=10**9)] = 0
    """Shapes to sample, at least one but beside `scaling`; references and replicates come on top."""
    replicates: Annotated[float, Number, Field(ge=0, le=0.9)] = 0.15
    """Share of the trials, references not counted, that train a contender for the front again with another seed, once all shapes were
    tried: they tell seed noise from quality (docs/method.md); 0 for none."""
    seed: Annotated[int, Number, Field(ge=0, le=LARGEST_SEED)] = 0
    """Decides proposals, initial weights and the order of the data; a replicate has a later one."""
    sampler: Literal["front", "nsga2", "tpe", "random"] | ClassPath = "front"
    """What proposes the next shape: ours, which models the front (docs/method.md), one of Optuna's, or any sampler of Optuna's form by its
    module, which is installed or lies in the working directory, and its class."""
    sampler_options: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the constructor of a sampler that is named by module and class; its `seed` follows from `search.seed`."""
    latency_table: str | None = None
    """A table of `archfront profile-device`, a `.jsonl` file or its name: proposals then follow the latencies that it predicts, and can be
    replayed; a copy stays in the study's directory. Every trial is measured all the same."""
    reuse: bool = True
    """Whether a training that is finished already in any study's directory on this storage, of the same shape, text, recipe and seed, is
    taken over instead of made again; a budget in seconds is always made again (docs/method.md)."""
    early_stopping: Literal["none", "front"] = "none"
    """`front`: a trial stops at a rung once it is unlikely to add to the front (docs/method.md); references and replicates never do."""
    rungs: Annotated[tuple[Annotated[float, Number, Field(gt=0, lt=1)], ...], Field(max_length=MOST_LISTED)] = RUNGS
    """Ascending shares of the tokens at which a trial is evaluated and judged; read only where trials may stop early."""

    @property
    def is_sampler_by_class(self) -> bool:
        """Whether the sampler is named by module and class."""
        return ":" in self.sampler

    @model_validator(mode="after")
    def _options_have_a_class(self) -> SearchSpec:
        if self.sampler_options and not self.is_sampler_by_class:
            raise ValueError(f"sampler_options must be left out where sampler is {self.sampler}, found {quoted(self.sampler_options)}")
        return self

    @model_validator(mode="after")
    def _rungs_ascend(self) -> SearchSpec:
        if list(self.rungs) != sorted(set(self.rungs)) or not self.rungs:
            raise ValueError(f"rungs must be at least one share, ascending, found {list(self.rungs)}")
        return self

    def replicates_of(self, shapes: int) -> int:
        """How many trials repeat a shape where so many shapes are sampled."""
        return int(shapes * self.replicates / (1 - self.replicates) + 1e-9)


class LimitsSpec(Section):
    """The worst value that a shape may have, by the name of any objective (see above), such as `total_ms: 40`; and how much may fail."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, AboveZero] = Field(init=False)

    failed_share: Share = 0.5
    """Share of the trials that may come to nothing (diverge, run out of memory or time, fail or be lost): a study in which more did has
    failed, and ends with exit code 1; 1 never."""

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, limits: object) -> object:
        """Limits in the unit that each objective's name ends in, such as `peak_memory_bytes: 2GB`."""
        if not isinstance(limits, Mapping):
            return limits
        found = {name: written_number(value, str(name)) if isinstance(value, str) else value for name, value in limits.items()}
        return {name: limits[name] if value is None else value for name, value in found.items()}

    @property
    def of_shapes(self) -> dict[str, float]:
        """The limits that a shape may pass, by the names of objectives."""
        return dict(self.__pydantic_extra__)


class WorkersSpec(Section):
    """Where trials train, how many at a time, and how long one may take."""

    count: Few = 2
    """Trials that run side by side."""
    threads: Literal["auto"] | Few = AUTO
    """Processor threads of each trial; `auto`: as many of its share of the machine's processors as a calibration finds fastest."""
    gpus: Annotated[float, Number, Field(ge=0, le=1024)] = 0.0
    """GPUs of each trial; a fraction shares one."""
    peak_flops: AboveZero | None = None
    """FLOPs a second of each trial's device at its best, for the record's utilisation; by default those of a GPU that is known."""
    deadline_seconds: Seconds = 3600.0
    """A trial that takes longer is ended and recorded as timed out; its latency, and the wait for the device, are not counted."""

    @property
    def trial_threads(self) -> int:
        """Threads of each trial; 1 where nothing has been calibrated."""
        return 1 if self.threads == AUTO else self.threads

    @property
    def device(self) -> str:
        """Where trials train, in torch's words."""
        return "cuda" if self.gpus else "cpu"


class FinalsSpec(Section):
    """What is trained of the shapes that the report names (recommended, most accurate, knee, fastest), after the search."""

    fresh_seed: bool = True
    """Whether each is trained once more with a seed that chose nothing: the test split then says how much of its gain was selection
    bias."""
    learning_rate_bracket: bool = True
    """Whether each is also trained at half and at twice the learning rate: a member of the front whose rank flips with it is flagged."""


class TargetSpec(Section):
    """The training that the front is wanted for."""

    tokens: Positive
    """Tokens of a training, at most eight times the proxy's: the report then says what the front's shapes should reach (docs/method.md)."""


def is_table_file(name: str) -> bool:
    """Whether a device's table is named by its file rather than by its name among this user's, which may have dots in it."""
    return name.endswith(".jsonl") or "/" in name
