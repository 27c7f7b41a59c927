"""A finished study's front on another device: the losses that were trained, with the latencies that the device's table predicts.

Nothing is trained or measured; `analysis.report.device_page` says so wherever it shows this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.fronts.front import Front, front_of
from analysis.fronts.membership import Membership, estimate_membership
from analysis.fronts.rounding import rounds_otherwise
from analysis.latency.device_table import DeviceTable, Header
from analysis.latency.errors import Errors
from analysis.latency.latency_model import Prediction
from analysis.objectives.objective import Known
from analysis.objectives.observed import Observed
from analysis.objectives.problem import STANDARD, Problem
from analysis.objectives.registry import OBJECTIVES, find_objective
from analysis.records.latency import Activations, Latency
from analysis.records.record import FinalRecord, Kind, Outcome, TrialRecord
from analysis.records.replicates import averaged
from analysis.text.words import joined, plural, probability
from search_space.cost import weight_bytes
from search_space.errors import SpecError

EVERYTHING: tuple[Known, ...] = ("shape", "device", "training")
"""What limits are asked of: on another device those that a trial was asked before its training may be passed by what was trained."""


@dataclass(frozen=True)
class DeviceTransfer:
    """A study with predicted latencies."""

    name: str
    """Name of the table."""
    header: Header
    activations: Activations | None
    """What products of rounded weights read on the device; None as for `Latency.activations`."""
    records: tuple[TrialRecord, ...]
    """Every trial with the latency that is predicted for its shape, its training as it was."""
    measured: dict[int, Latency]
    """What the study measured, by trial; after the search where it did so again."""
    predictions: dict[int, Prediction]
    deviations: dict[int, dict[int, float]]
    """Deviations of the logarithm of each predicted objective, by its place in the study's order and then by trial."""
    front: Front
    membership: Membership
    measured_front: Front
    left_out: Errors
    """Errors on the shapes that the table was fitted to, each predicted from the others."""
    checks: Errors | None
    """Errors on the shapes that were measured to judge the table."""

    @property
    def untrained(self) -> list[TrialRecord]:
        """Trials that were over a limit on the study's own device, and so are on no front, whatever this one would say."""
        return [record for record in self.records if record.outcome is Outcome.OVER_LIMIT and record.number in self.measured]

    @property
    def outside(self) -> dict[int, str]:
        """Trials of the front whose shape is outside of the table's range, and by which number."""
        found = {number: self.predictions[number].outside for number in self.front.members}
        return {number: text for number, text in found.items() if text is not None}


def transfer_to_device(
    records: Sequence[TrialRecord],
    device: DeviceTable,
    finals: Mapping[int, FinalRecord] | None = None,
    problem: Problem = STANDARD,
    *,
    far: bool = False,
) -> DeviceTransfer:
    """Give every measured trial the latency that the table predicts.

    Raises SpecError where the table is of another workload, an objective is measured on a device and no table predicts it, or a shape is
    too far outside of the table, unless `far`.
    """
    _require_predicted(problem, device.name)
    again = {number: final.latency for number, final in (finals or {}).items() if final.latency is not None}
    measured = {record.number: again.get(record.number, record.latency) for record in records if record.latency is not None}
    if not measured:
        raise SpecError("a front can be drawn for another device when trials have been measured, found none; run the study first")
    header = device.header
    for latency in measured.values():
        here, there = ((one.prompt_tokens, one.new_tokens) for one in (latency, header))
        if here != there:
            raise SpecError(
                f"the table {device.name} must be of the study's workload, {here[0]} prompt and {here[1]} new tokens, found {there[0]} and "
                f"{there[1]}; run `archfront profile-device` on that device with the study's YAML"
            )
    shapes = [record.architecture for record in records if record.number in measured]
    predictions = dict(zip(measured, device.predict(shapes, far=far), strict=True))
    transfer = tuple(_moved(record, predictions.get(record.number), header) for record in records)
    front, deviations = front_of(transfer, problem=problem, known=EVERYTHING), _deviations(problem, predictions)
    return DeviceTransfer(
        name=device.name,
        header=header,
        activations=device.activations,
        records=transfer,
        measured=measured,
        predictions=predictions,
        deviations=deviations,
        front=front,
        membership=estimate_membership(front, deviations),
        measured_front=front_of(records, finals, problem),
        left_out=device.left_out_errors,
        checks=device.check_errors(),
    )


def _require_predicted(problem: Problem, table: str) -> None:
    for objective in problem.objectives:
        if objective.known == "device" and objective.phase is None:
            predicted = joined([each.name for each in OBJECTIVES.values() if each.phase is not None])
            raise SpecError(
                f"the objectives must be what the table {table} predicts ({predicted}) or need no device, found {objective.name}; "
                "name others with --objectives"
            )


def _deviations(problem: Problem, predictions: Mapping[int, Prediction]) -> dict[int, dict[int, float]]:
    phases = {place: objective.phase for place, objective in enumerate(problem.objectives) if objective.phase is not None}
    return {
        place: {number: getattr(prediction, phase).deviation for number, prediction in predictions.items()}
        for place, phase in phases.items()
    }


def _moved(record: TrialRecord, prediction: Prediction | None, header: Header) -> TrialRecord:
    """The trial as the device would have it; as it is where nothing was measured."""
    if prediction is None:
        return record
    costs = replace(record.costs, weight_bytes=weight_bytes(record.architecture, header.precision))
    return replace(record, latency=_latency(prediction, header), costs=costs)


def _latency(prediction: Prediction, header: Header) -> Latency:
    """The prediction in a record's form, for fronts and figures: the percentiles are its own."""
    return Latency(
        total_ms=prediction.total.spread,
        prefill_ms=prediction.prefill.spread,
        decode_ms_per_token=prediction.decode.spread,
        repeats=1,
        prompt_tokens=header.prompt_tokens,
        new_tokens=header.new_tokens,
        runtime=header.runtime,
        runtime_version=header.runtime_version,
        precision=header.precision,
        threads=header.threads,
        pinned_cpus=None,
        device=header.device,
        load_average=None,
        disturbed=False,
        protocol="predicted",
    )


def transfer_rows(transfer: DeviceTransfer) -> dict[str, Any]:
    """Ready for JSON: the table and the front, and the references that it beats."""
    return {
        "table": transfer.name,
        "device": str(transfer.header),
        "predicted": True,
        "left_out_median_error": transfer.left_out.median_error,
        "check_median_error": None if transfer.checks is None else transfer.checks.median_error,
        "front": [_row(transfer, number) for number in _shown(transfer)],
    }


def _shown(transfer: DeviceTransfer) -> list[int]:
    """The front as it is listed, the references beside it, and what was on the measured front and is not on this one."""
    front = transfer.front
    others = [
        number
        for number, point in sorted(front.points.items(), key=lambda each: front.costs(each[0])[front.problem.ordering])
        if number not in front.members and (point.kind is Kind.REFERENCE or number in transfer.measured_front.members)
    ]
    return [*front.members, *others]


def _row(transfer: DeviceTransfer, number: int) -> dict[str, Any]:
    """Every phase that the table predicts, those among the objectives with what was measured, and the other objectives."""
    record = next(record for record in averaged(transfer.records) if record.number == number)
    prediction, front = transfer.predictions[number], transfer.front
    measured = Observed(architecture=record.architecture, costs=record.costs, latency=transfer.measured[number])
    row: dict[str, Any] = {
        "trial": number,
        "name": record.name,
        "shape": record.architecture.label,
        "parameters": record.costs.parameters,
    }
    for objective in OBJECTIVES.values():
        if objective.phase is not None:
            row[f"predicted_{objective.name}"] = getattr(prediction, objective.phase).ms
    for objective, value in zip(front.objectives, front.points[number].values, strict=True):
        if objective.phase is None:
            row[objective.name] = value
            continue
        low, high = getattr(prediction, objective.phase).between()
        row |= {f"predicted_{objective.name}_low": low, f"predicted_{objective.name}_high": high}
        row[f"measured_{objective.name}"] = objective.value(measured)
    return row | {
        "outside": prediction.outside,
        "infeasible": front.points[number].infeasible,
        "on_front": number in front.members,
        "on_measured_front": number in transfer.measured_front.members,
        "front_probability": transfer.membership.posteriors[number].on_front,
    }


def device_columns(transfer: DeviceTransfer) -> tuple[str, ...]:
    """Headings of `device_cells`."""
    objectives = [transfer.front.objectives[place] for place in transfer.front.problem.columns]
    predicted = [objective for objective in objectives if objective.phase is not None]
    names = {objective.name: "" if len(predicted) == 1 else f" {objective.words.label}" for objective in predicted}
    columns = [
        (f"predicted{names[o.name]}", "90 %", f"measured{names[o.name]}") if o.name in names else (o.words.label,) for o in objectives
    ]
    return ("trial", "shape", *(column for some in columns for column in some), "on front", "")


def device_cells(row: Mapping[str, Any], transfer: DeviceTransfer) -> tuple[str, ...]:
    """A row of `transfer_rows` as people read it, under `device_columns`."""
    cells: list[str] = []
    for place in transfer.front.problem.columns:
        objective = transfer.front.objectives[place]
        name, write = objective.name, objective.words.write
        if objective.phase is None:
            cells.append(write(row[name]))
        else:
            ends = objective.between_text(row[f"predicted_{name}_low"], row[f"predicted_{name}_high"])
            cells += [write(row[f"predicted_{name}"]), ends, write(row[f"measured_{name}"])]
    return f"#{row['trial']}", row["shape"], *cells, probability(row["front_probability"]), "; ".join(_notes(row))


def _notes(row: Mapping[str, Any]) -> list[str]:
    notes = [row["name"]] if row["name"] else []
    if row["on_front"] != row["on_measured_front"]:
        notes.append("not on the measured front" if row["on_front"] else "on the measured front only")
    elif not row["on_front"]:
        notes.append("not on the front")
    notes += [row["infeasible"]] if row["infeasible"] else []
    return notes + ([f"outside of the table's range: {row['outside']}"] if row["outside"] else [])


def transfer_sentences(transfer: DeviceTransfer) -> list[str]:
    """What is to be known of the prediction, first that it is one."""
    both = len(set(transfer.front.members) & set(transfer.measured_front.members))
    found = [
        f"Latencies are predicted, not measured: from the table {transfer.name} ({transfer.header}).",
        f"Its shapes, each predicted from the others: {transfer.left_out}.",
    ]
    found += [f"Shapes measured to check it: {transfer.checks}."] if transfer.checks is not None else []
    found.append(f"The predicted front has {plural(len(transfer.front.members), 'shape')}, of which the measured one has {both}.")
    return found + caveats(transfer)


def caveats(transfer: DeviceTransfer) -> list[str]:
    """Shapes over the study's limits, here or before they were trained, another rounding, limits that no table tells, and members outside
    of the table.
    """
    points, limits = transfer.front.points, transfer.front.problem.limits
    found, over = [], [number for number, point in points.items() if point.infeasible is not None]
    if over:
        said = "shape that was trained is" if len(over) == 1 else "shapes that were trained are"
        found.append(f"{len(over)} {said} over a limit here, and so not on the front: of #{over[0]}, {points[over[0]].infeasible}.")
    if untrained := transfer.untrained:
        kept = sum(transfer.front.problem.passed_limit(Observed.of(record), "shape", "device") is None for record in untrained)
        were = "shape was" if len(untrained) == 1 else "shapes were"
        found.append(
            f"{len(untrained)} {were} over a limit on the study's own device and not trained, and so not judged here; by the table {kept} "
            f"would keep to the limits."
        )
    found += rounds_otherwise(transfer.records, transfer.header.runtime, transfer.header.precision, transfer.activations)
    unknown = [name for name in limits if (each := find_objective(name)).known == "device" and each.phase is None]
    found += [f"limits.{name} is not asked: the table does not predict it." for name in unknown]
    return found + [f"#{number} is outside of what the table has seen: {text}." for number, text in transfer.outside.items()]
