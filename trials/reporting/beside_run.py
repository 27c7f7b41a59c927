"""What trainings beside a study look like as MLflow runs: promotions, validations, checks of learning rates, ablations. Pure data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from analysis.fidelity.lr_transfer import RateCheck, rate_check_sentence, rate_rows
from analysis.fidelity.promotion import Promotion, promotion_sentences
from analysis.fidelity.rank_validity import Validity, validity_sentences
from analysis.records.checked import LARGEST_NUMBER, Range
from analysis.report.html import Html, paragraphs, sections_page, table
from analysis.terminal.experiment_text import TableRows, ablation_rows, promotion_rows, time_rows
from analysis.terminal.rounding_table import rounding_rows
from analysis.text import words
from analysis.text.columns import ON_THE_LEFT, markdown_table

if TYPE_CHECKING:
    from trials.experiments.ablation import AblationResult

PROMOTION_KIND, VALIDATION_KIND, RATE_CHECK_KIND, ABLATION_KIND = "promotion", "validation", "lr-check", "ablation"
"""What a run beside a study may be, its tag `archfront.kind`."""
FACTORS_JOINT = " and "
"""What stands between the factors of an arm in the name of a metric, where MLflow takes no plus sign."""
LONGEST_PARAMETER = 500
"""Characters; MLflow refuses parameters of more than 6,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideRun:
    """Everything that MLflow is told of one of them."""

    kind: str
    study: str
    """Name of the study that it stands beside; of an ablation, its own."""
    name: str
    """Name of the run, and what it is found by: two of one name in one study are one."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What its name fixes."""
    metrics: Mapping[str, Annotated[float, Range(-LARGEST_NUMBER)]]
    verdict: tuple[str, ...]
    """Sentences."""
    tables: Mapping[str, tuple[tuple[str, ...], ...]]
    """TableRows of cells by title, each table's heading first."""
    data: Any
    """The answer as `--json` prints it."""

    @property
    def markdown(self) -> str:
        """Verdict and tables, as the run's description has them."""
        parts = [*self.verdict, *(f"**{title}**\n\n{markdown_table(rows)}" for title, rows in self.tables.items())]
        return "\n\n".join(parts)

    def page(self) -> str:
        """Verdict and tables as a page that needs nothing but itself."""
        lead, *rest = self.verdict
        bodies = {f"table-{place}": [_table(rows, title)] for place, (title, rows) in enumerate(self.tables.items())}
        titles = dict(zip(bodies, self.tables, strict=True))
        said = {"verdict": [paragraphs(rest)]} if rest else {}
        return sections_page(f"{self.study}: {self.name}", lead, {"verdict": "What it says", **titles}, {**said, **bodies}, Html(""))


def promotion_run(study: str, found: Promotion) -> BesideRun:
    """Shapes of a front that were trained longer."""
    done = {shape.number: shape.after for shape in found.shapes if shape.after is not None}
    before = [shape for shape in found.shapes if shape.on_front_before]
    seen = [s.low <= done[s.number] <= s.high for s in found.shapes if s.number in done and s.low is not None and s.high is not None]
    metrics: dict[str, float | None] = {
        "promoted_shapes": len(found.shapes),
        "finished_shapes": len(done),
        "front_members_before": len(before),
        "front_members_held": sum(shape.on_front_after for shape in before),
        "front_members_joined": sum(shape.on_front_after and not shape.on_front_before for shape in found.shapes),
        "share_inside_forecast": sum(seen) / len(seen) if seen else None,
        **{f"bits_per_byte_before/trial {shape.number}": shape.before for shape in found.shapes},
        **{f"bits_per_byte_after/trial {number}": bits for number, bits in done.items()},
    }
    return BesideRun(
        kind=PROMOTION_KIND,
        study=study,
        name=f"promotion, {found.times:g} times longer",
        parameters={"times": f"{found.times:g}"},
        metrics=_known(metrics),
        verdict=tuple(promotion_sentences(found)),
        tables={"Each shape before and after": _table_of(promotion_rows(found))},
        data=asdict(found),
    )


def validation_run(study: str, found: Validity) -> BesideRun:
    """Shapes over the whole range of losses that were trained longer, to see whether the short trainings rank alike."""
    whole = found.correlations[-1].correlation if found.correlations else None
    metrics: dict[str, float | None] = {
        "shapes": len(found.shapes) + len(found.failed),
        "finished_shapes": len(found.shapes),
        "kendall_tau": None if whole is None else whole.tau,
        "kendall_tau_low": None if whole is None else whole.low,
        "kendall_tau_high": None if whole is None else whole.high,
        "trusted_difference_bits_per_byte": found.trusted_difference,
        **{f"kendall_tau_at/{each.share:g} of the training": each.correlation.tau for each in found.correlations[:-1]},
        **{f"bits_per_byte_before/trial {number}": short for number, _, short, _ in found.shapes},
        **{f"bits_per_byte_after/trial {number}": long for number, _, _, long in found.shapes},
    }
    shapes = [(f"#{number}", shape, *map(words.bits_text, bits)) for number, shape, *bits in found.shapes]
    return BesideRun(
        kind=VALIDATION_KIND,
        study=study,
        name=f"validation, {found.times:g} times longer",
        parameters={"times": f"{found.times:g}"},
        metrics=_known(metrics),
        verdict=tuple(validity_sentences(found)),
        tables={"Each shape, the best long training first": (("trial", "shape", "short", "long"), *shapes)},
        data=asdict(found),
    )


def rate_check_run(study: str, recipe: str, found: RateCheck) -> BesideRun:
    """A spread of shapes at several learning rates by one recipe."""
    finished = {factor for shape in found.shapes for factor, loss in shape.losses.items() if loss is not None}
    near = {f"lost_bits_per_byte/{each.shape}": each.lost for each in found.shapes}
    best = {f"best_rate_factor/{each.shape}": each.best_factor for each in found.shapes}
    metrics: dict[str, float | None] = {
        "shapes": len(found.shapes),
        "rates": len(finished),
        "shapes_near_the_common_rate": sum(each.near for each in found.shapes),
        "shapes_losing_less_than_noise": found.cheap,
        "seed_noise_bits_per_byte": found.seed_noise,
        "better_rate_factor": found.better_factor,
        "gain_bits_per_byte": found.gain,
    }
    return BesideRun(
        kind=RATE_CHECK_KIND,
        study=study,
        name=f"lr-check {recipe}",
        parameters={"recipe": recipe},
        metrics=_known(metrics | near | best),
        verdict=(rate_check_sentence(found),),
        tables={"Bits per byte of each shape by multiple of the study's rates": _table_of(rate_rows(found))},
        data=found.as_dict(),
    )


def ablation_run(found: AblationResult) -> BesideRun:
    """The arms of an ablation at one scale, beside what was published."""
    metrics, tables = dict[str, float | None](), dict[str, tuple[tuple[str, ...], ...]]()
    for difference in found.differences:
        arm, (low, high) = difference.arm.replace("+", FACTORS_JOINT), difference.interval or (None, None)
        metrics |= {f"gain_bits_per_byte/{arm}": difference.gain}
        metrics |= {f"gain_low_bits_per_byte/{arm}": low, f"gain_high_bits_per_byte/{arm}": high}
    for ratio in found.times:
        arm = ratio.arm.replace("+", FACTORS_JOINT)
        metrics |= {f"decode_ratio {ratio.workload}/{arm}": ratio.decode, f"prefill_ratio {ratio.workload}/{arm}": ratio.prefill}
    if found.differences:
        tables["What each arm saves"] = _table_of(ablation_rows([(found.ablation.question, found.differences)]))
    if found.times:
        tables["What each arm takes"] = _table_of(time_rows(found.times))
    if found.roundings:
        tables["What rounding costs each arm"] = _table_of(rounding_rows(found.roundings))
    return BesideRun(
        kind=ABLATION_KIND,
        study=found.ablation.name,
        name=f"{found.ablation.name}, scale {found.scale}",
        parameters={
            "scale": found.scale,
            "baseline": found.ablation.baseline,
            "published": found.ablation.published.source[:LONGEST_PARAMETER],
        },
        metrics=_known({"arms": len(found.arms), "failed_trainings": len(found.failures)} | metrics),
        verdict=tuple(_ablation_verdict(found)),
        tables=tables,
        data=found.as_dict(),
    )


def _ablation_verdict(found: AblationResult) -> Iterable[str]:
    yield found.ablation.question
    for difference in found.differences:
        between = "" if difference.interval is None else f" (90 % interval {difference.interval[0]:+.4f} to {difference.interval[1]:+.4f})"
        saved = "has not finished" if difference.gain is None else f"saves {difference.gain:+.4f} bits per byte{between}"
        yield f"{difference.arm} against {difference.baseline}: {saved}; beside what was published: {difference.conclusion}."
    for record in found.failures:
        yield f"{record.architecture.label}, seed {record.seed}, did not finish: {record.reason}."


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}


def _table_of(rows: TableRows) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(row) for row in rows)


def _table(rows: Sequence[Sequence[str]], title: str) -> Html:
    heading, *others = rows
    return table({name: name not in (*ON_THE_LEFT, "question", "arm") for name in heading}, others, title)
