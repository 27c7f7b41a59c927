"""A finished study's front on another device: the losses that were trained, with the latencies that the device's table predicts.

Nothing is trained or measured; `analysis.report.device_page` says so wherever it shows this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.fronts.front import Front, front_of
from analysis.fronts.membership import Membership, membership
from analysis.latency.device_table import DeviceTable, Header
from analysis.latency.errors import Errors
from analysis.latency.latency_model import Prediction
from analysis.records.record import FinalRecord, Latency, TrialRecord
from search_space.errors import SpecError


@dataclass(frozen=True)
class Retargeted:
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
    sure: Membership
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


def retarget(records: Sequence[TrialRecord], device: DeviceTable, finals: Mapping[int, FinalRecord] | None = None) -> Retargeted:
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
    moved = tuple(
        replace(record, latency=_latency(predictions[record.number], header)) if record.number in measured else record for record in records
    )
    front = front_of(moved)
    return Retargeted(
        name=device.name,
        header=header,
        records=moved,
        measured=measured,
        predictions=predictions,
        front=front,
        sure=membership(front, {number: prediction.total.deviation for number, prediction in predictions.items()}),
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
