"""A finished study's front on another device: the losses that were trained, with the latencies that the device's table predicts.

Nothing is trained or measured; `analysis.report.device_page` says so wherever it shows this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.fronts.front import Front, front_of
from analysis.fronts.membership import Membership, estimate_membership
from analysis.latency.device_table import DeviceTable, Header
from analysis.latency.errors import Errors
from analysis.latency.latency_model import Prediction
from analysis.records.latency import Latency
from analysis.records.record import FinalRecord, Kind, TrialRecord
from analysis.records.replicates import averaged
from analysis.text import words
from search_space.errors import SpecError


@dataclass(frozen=True)
class DeviceTransfer:
    """A study with predicted latencies."""

    name: str
    """Of the table."""
    header: Header
    records: tuple[TrialRecord, ...]
    """Every trial with the latency that is predicted for its shape, its training as it was."""
    measured: dict[int, Latency]
    """What the study measured, by trial; after the search where it did so again."""
    predictions: dict[int, Prediction]
    front: Front
    membership: Membership
    measured_front: Front
    left_out: Errors
    """Of the shapes that the table was fitted to, each predicted from the others."""
    checks: Errors | None
    """Of the shapes that were measured to judge the table."""

    @property
    def outside(self) -> dict[int, str]:
        """Trials of the front whose shape is outside of the table's range, and by which number."""
        found = {number: self.predictions[number].outside for number in self.front.members}
        return {number: text for number, text in found.items() if text is not None}


def transfer_to_device(
    records: Sequence[TrialRecord], device: DeviceTable, finals: Mapping[int, FinalRecord] | None = None
) -> DeviceTransfer:
    """Give every measured trial the latency that the table predicts; raises SpecError where the table is of another workload."""
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
    predictions = dict(zip(measured, device.predict(shapes), strict=True))
    transfer = tuple(
        replace(record, latency=_latency(predictions[record.number], header)) if record.number in measured else record for record in records
    )
    front = front_of(transfer)
    return DeviceTransfer(
        name=device.name,
        header=header,
        records=transfer,
        measured=measured,
        predictions=predictions,
        front=front,
        membership=estimate_membership(front, {number: prediction.total.deviation for number, prediction in predictions.items()}),
        measured_front=front_of(records, finals),
        left_out=device.left_out_errors,
        checks=device.check_errors(),
    )


def _latency(prediction: Prediction, header: Header) -> Latency:
    """In a record's form, for fronts and figures: the percentiles are those of the prediction."""
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
    """The front from fast to slow, the references beside it, and what was on the measured front and is not on this one."""
    others = [
        number
        for number, place in sorted(transfer.front.places.items(), key=lambda each: each[1].latency_ms)
        if number not in transfer.front.members and (place.kind is Kind.REFERENCE or number in transfer.measured_front.members)
    ]
    return [*transfer.front.members, *others]


def _row(transfer: DeviceTransfer, number: int) -> dict[str, Any]:
    record = next(record for record in averaged(transfer.records) if record.number == number)
    prediction, place = transfer.predictions[number], transfer.front.places[number]
    low, high = prediction.total.between()
    return {
        "trial": number,
        "name": record.name,
        "shape": record.architecture.label,
        "parameters": record.costs.parameters,
        "predicted_latency_ms": prediction.total.ms,
        "predicted_low_ms": low,
        "predicted_high_ms": high,
        "predicted_prefill_ms": prediction.prefill.ms,
        "predicted_decode_ms_per_token": prediction.decode.ms,
        "outside": prediction.outside,
        "measured_latency_ms": transfer.measured[number].total_ms.median,
        "validation_bits_per_byte": place.quality,
        "on_front": number in transfer.front.members,
        "on_measured_front": number in transfer.measured_front.members,
        "front_probability": transfer.membership.posteriors[number].on_front,
    }


DEVICE_COLUMNS = ("trial", "shape", "predicted", "90 %", "measured", "bits per byte", "on front", "")


def device_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row of `transfer_rows` as people read it, under `DEVICE_COLUMNS`."""
    return (
        f"#{row['trial']}",
        row["shape"],
        words.milliseconds(row["predicted_latency_ms"]),
        f"{words.milliseconds(row['predicted_low_ms']).removesuffix(' ms')} to {words.milliseconds(row['predicted_high_ms'])}",
        words.milliseconds(row["measured_latency_ms"]),
        words.quality(row["validation_bits_per_byte"], "bits_per_byte"),
        words.probability(row["front_probability"]),
        "; ".join(_notes(row)),
    )


def _notes(row: dict[str, Any]) -> list[str]:
    notes = [row["name"]] if row["name"] else []
    if row["on_front"] != row["on_measured_front"]:
        notes.append("not on the measured front" if row["on_front"] else "on the measured front only")
    elif not row["on_front"]:
        notes.append("not on the front")
    return notes + ([f"outside of the table's range: {row['outside']}"] if row["outside"] else [])


def transfer_sentences(transfer: DeviceTransfer) -> list[str]:
    """What is to be known of the prediction, first that it is one."""
    both = len(set(transfer.front.members) & set(transfer.measured_front.members))
    found = [
        f"Latencies are predicted, not measured: from the table {transfer.name} ({transfer.header}).",
        f"Its shapes, each predicted from the others: {transfer.left_out}.",
    ]
    found += [f"Shapes measured to check it: {transfer.checks}."] if transfer.checks is not None else []
    found.append(f"The predicted front has {words.plural(len(transfer.front.members), 'shape')}, of which the measured one has {both}.")
    return found + [f"#{number} is outside of what the table has seen: {text}." for number, text in transfer.outside.items()]
