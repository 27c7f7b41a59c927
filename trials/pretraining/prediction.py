"""What a study's records say of the loss of a long training before it is made, and whether that came true."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from analysis.records.training import FARTHEST, Training
from analysis.text.words import bits_text, plural
from search_space.cost import parameters
from search_space.errors import SpecError
from trials.experiments.promote import foreseen
from trials.pretraining.statement import Statement
from trials.pretraining.subject import Subject

if TYPE_CHECKING:
    from trials.reporting.stored_study import StoredStudy

LENGTH = ("tokens", "tokens_per_parameter", "flops", "cooldowns", "evaluations", "compile")
"""Keys of a recipe in which a longer training may differ from the study's and still be foreseen by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossPrediction:
    """A loss and how sure it is."""

    unit: str
    """`bits_per_byte` or `nats`, nats per token."""
    low: float
    """Lower end of the 90 % interval of what one training would measure."""
    expected: float
    high: float
    basis: str
    """What it rests on, in words."""

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """`0.982 bits per byte expected, 0.970 to 0.995 with 90 %, by ...`."""
        low, middle, high = (_figure(self.unit, value) for value in (self.low, self.expected, self.high))
        return f"{middle} {_words(self.unit)} expected, {low} to {high} with 90 %, by {self.basis}"

    def judged(self, training: Training) -> str:
        """What came of it, in a sentence."""
        found = None if training.validation is None else getattr(training.validation, "loss" if self.unit == "nats" else self.unit)
        if found is None:
            return f"nothing to hold against it: {self.sentence}"
        held = "inside" if self.low <= found <= self.high else "below" if found < self.low else "above"
        low, high = (_figure(self.unit, value) for value in (self.low, self.high))
        return (
            f"{_figure(self.unit, found)} {_words(self.unit)} measured, {held} the 90 % interval of {low} to {high} that was foreseen by "
            f"{self.basis} ({found / self.expected - 1:+.1%} of what was expected)"
        )


def predicted(subject: Subject, wanted: Statement) -> LossPrediction | str:
    """The loss that the study's records foresee of a training, or why they foresee none, in words."""
    stored = subject.stored
    if stored is None or subject.record is None:
        return "a configuration has no records; name a study's directory"
    if not subject.is_studys_text:
        return "the text is another than the study's"
    theirs, ours = (proxy.plain().model_dump(exclude={*LENGTH}) for proxy in (stored.study.proxy, wanted.proxy))
    if odd := sorted(key for key in theirs if theirs[key] != ours[key]):
        return f"the recipe is another than the study's in {', '.join(odd)}"
    return _by_law(stored, wanted) if stored.study.scaling is not None else _by_front(stored, subject.record.number, wanted)


def _by_law(stored: StoredStudy, wanted: Statement) -> LossPrediction | str:
    from analysis.laws.fit_law import predict_point

    law = stored.law
    if law is None or isinstance(law, str) or law.study is None:
        return law if isinstance(law, str) else "the study has no law of the loss"
    shape = wanted.shape
    point = {
        "params": float(parameters(shape)),
        "tokens": float(wanted.tokens),
        "width": float(shape.hidden_size),
        "depth": float(shape.num_unique_layers),
    }
    try:
        found = predict_point(law.study, point)
    except SpecError as error:
        return str(error)
    basis = f"the law of {stored.study.name} ({law.study.form.name}, {len(law.study.runs)} losses)"
    return LossPrediction(unit="nats", low=found["low"], expected=found["loss"], high=found["high"], basis=basis)


def _by_front(stored: StoredStudy, number: int, wanted: Statement) -> LossPrediction | str:
    tokens = stored.study.proxy.tokens
    if tokens is None:
        return "the study's trainings have no length in tokens in common"
    times = wanted.tokens / tokens
    if not 1 < times <= FARTHEST:
        return f"{times:.3g} times the study's length is not between 1 and {FARTHEST:g} times, as far as it sees"
    ahead = foreseen(stored.records, stored.finals, stored.study.problem, times, stored.longer)
    if isinstance(ahead, str):
        return ahead
    found = next((each for each in ahead.forecasts if each.number == number), None)
    if found is None:
        return f"trial {number} is neither on the front nor near it, nor was it trained longer, and only those are foreseen"
    seen = (
        f"{plural(ahead.longer, 'longer training')} of {stored.study.name} beside its own"
        if ahead.longer
        else f"the cooldowns of {stored.study.name}"
    )
    basis = f"{seen} ({times:.3g} times its tokens)"
    return LossPrediction(unit="bits_per_byte", low=found.low, expected=found.expected, high=found.high, basis=basis)


def _figure(unit: str, value: float) -> str:
    return bits_text(value) if unit == "bits_per_byte" else f"{value:.3f}"


def _words(unit: str) -> str:
    return "bits per byte" if unit == "bits_per_byte" else "nats per token"
