"""What the shapes of a front take to run, and what their study took, as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.fronts.front import Front
from analysis.objectives.energy import training_joules
from analysis.objectives.observed import Observed
from analysis.objectives.running_cost import COUNTED_TOKENS, Rates, RunningCost, running_cost
from analysis.records.record import FinalRecord, TrialRecord
from analysis.records.stages import Taken
from analysis.text.columns import aligned
from analysis.text.words import ABSENT, duration, energy_text, three_digits

GRAM_UNITS = ((1e6, "t"), (1e3, "kg"), (1.0, "g"), (1e-3, "mg"), (1e-6, "µg"))
COST_MEANING = (
    "time and price: by the measured time of a decoded token, one after the other; energy: an estimate from arithmetic and bytes read "
    "(joules_per_token), not a measurement, and without the rest of the device"
)


def running_costs(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, rates: Rates) -> dict[int, RunningCost]:
    """The cost of a million decoded tokens of each member of the front, by its trial's number."""
    by_number = {record.number: record for record in records}
    return {number: running_cost(Observed.of(by_number[number], finals.get(number)), rates) for number in front.members}


def costs_text(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, rates: Rates, taken: Taken) -> str:
    """A table of the front's members for a million tokens, and a sentence on what the study took."""
    by_number = {record.number: record for record in records}
    heading = ("trial", "shape", "time", "price", "energy, estimated", "CO2, estimated")
    rows = [heading]
    rows += [
        (
            f"#{number}",
            by_number[number].architecture.label,
            ABSENT if cost.seconds is None else duration(cost.seconds),
            _price(cost.price),
            energy_text(cost.estimated_joules),
            _grams(cost.estimated_grams),
        )
        for number, cost in running_costs(records, finals, front, rates).items()
    ]
    table = "\n".join(aligned(rows, (0, 1)))
    return f"{COUNTED_TOKENS:,} decoded tokens\n{table}\n{COST_MEANING}\n\n{study_sentence(records, rates, taken)}"


def study_sentence(records: Sequence[TrialRecord], rates: Rates, taken: Taken) -> str:
    """What the study's own trainings and runs took."""
    own = [record for record in records if record.training is not None and record.training.reused_from is None]
    joules = sum(
        training_joules(record.training.tokens * record.costs.training_flops_per_token, record.training.precision)
        for record in own
        if record.training is not None
    )
    seconds = sum(taken.seconds.values()) or None
    price, grams = rates.price(seconds), rates.grams(joules)
    runs = "how long the study's runs took was not kept" if seconds is None else f"the study's runs took {duration(seconds)}"
    runs += f" and {_price(price)}" if price is not None else ""
    runs += f" ({taken.begun - taken.ended} that were cut off not counted)" if seconds is not None and taken.begun > taken.ended else ""
    spent = f"the arithmetic of its {len(own)} trials' own trainings took an estimated {energy_text(joules)}"
    return f"{runs}; {spent}" + (f" and {_grams(grams)} of CO2" if grams is not None else "")


def _price(price: float | None) -> str:
    return ABSENT if price is None else f"{price:,.2f}" if price >= 0.1 or price == 0 else three_digits(price)


def _grams(grams: float | None) -> str:
    if grams is None:
        return ABSENT
    size, unit = next(((size, unit) for size, unit in GRAM_UNITS if grams >= 0.9995 * size), GRAM_UNITS[-1])
    return f"{three_digits(grams / size)} {unit}"
