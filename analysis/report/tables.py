"""The report's tables: the front with its references, every trial, and those that did not finish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.fronts.front import Front
from analysis.fronts.membership import Membership, picks
from analysis.fronts.rows import front_rows, trial_row
from analysis.records.record import FinalRecord, TrialRecord
from analysis.report.html import Html, element, html, table
from analysis.text import words

TABLE_CAPTION = (
    "The front from fast to slow, then the references that are beaten. The search chose by the validation split; the test split was "
    "measured once, after it. “In search” is the latency that the search saw; “after” was measured again when nothing else ran. "
    "“Credible, 90 %” is its interval of the validation quality with the selection bias taken out; “on the front” the probability that no "
    "other shape truly beats this one. Shapes marked “tie” cannot be told from the most accurate one."
)


def front_table(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership) -> Html:
    """The front from fast to slow and the references, with both latencies, both splits and how sure each place is."""
    chosen = picks(front, membership)
    columns = {
        "Trial": False, "Shape": False, "Parameters": True, "latency after, ms": True, "latency in search, ms": True,
        "bits per byte, validation": True, "credible, 90 %": True, "on the front": True, "bits per byte, test": True,
        "accuracy, validation": True, "accuracy, test": True,
    }  # fmt: skip
    found = front_rows(records, finals, front, membership)
    rows = [
        (
            _name(r["trial"], r["name"], [*chosen.get(r["trial"], []), *(["tie"] if front.most_accurate in r["ties"] else [])]),
            element("code", r["shape"]),
            f"{r['parameters']:,}",
            *(words.milliseconds(r[name]).removesuffix(" ms") for name in ("final_latency_ms", "searched_latency_ms")),
            words.quality(r["validation_bits_per_byte"], "bits_per_byte"),
            words.interval(r["credible_bits_per_byte_low"], r["credible_bits_per_byte_high"], "bits_per_byte"),
            words.probability(r["front_probability"]),
            words.quality(r["test_bits_per_byte"], "bits_per_byte"),
            *(words.quality(r[f"{split}_next_token_accuracy"], "next_token_accuracy") for split in ("validation", "test")),
        )
        for r in found
    ]
    return table(columns, rows, TABLE_CAPTION, [place for place, r in enumerate(found) if r["trial"] in chosen])


def validation_tables(
    records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership
) -> list[Html]:
    """The same shapes on each validation set that the study names; nothing where it names none."""
    judged = {record.number: record.training.validations for record in records if record.training and record.training.validations}
    if not judged:
        return []
    names = sorted({name for sets in judged.values() for name in sets})
    found = front_rows(records, finals, front, membership)
    rows = [
        (
            _name(r["trial"], r["name"], []),
            element("code", r["shape"]),
            words.quality(r["validation_bits_per_byte"], "bits_per_byte"),
            *(words.quality(set_.bits_per_byte if set_ else None, "bits_per_byte") for set_ in map(judged.get(r["trial"], {}).get, names)),
        )
        for r in found
    ]
    columns = {"Trial": False, "Shape": False, "held-out split": True} | dict.fromkeys(names, True)
    return [table(columns, rows, "Bits per byte on the validation sets that the study names; the search has chosen by the held-out split.")]


def _name(number: int, name: str | None, titles: Sequence[str]) -> Html:
    tags = [element("span", title, class_="tag") for title in titles]
    tags += [element("span", name, class_="tag reference")] if name else []
    return Html(" ".join([html(f"#{number}"), *tags]))


def all_trials(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership) -> Html:
    """Every trial on one line."""
    columns = {"Trial": False, "Shape": False, "Outcome": False, "Parameters": True, "ms": True, "bits per byte": True, "accuracy": True}
    columns["on the front"] = True
    rows = []
    for record in records:
        r = trial_row(record, finals.get(record.number), front, membership)
        again = "" if record.replicates is None else f" replicate of #{record.replicates},"
        ending = "on the front" if r["on_front"] else f"{again} {words.OUTCOMES[record.outcome]}".strip()
        ending += f", training of {r['reused_from']}" if r["reused_from"] else ""
        latency = words.milliseconds(r["latency_ms"]).removesuffix(" ms")
        bits = words.quality(r["validation_bits_per_byte"] if record.finished else None, "bits_per_byte")
        odds = words.probability(r["front_probability"])
        accuracy = words.quality(r["validation_next_token_accuracy"] if record.finished else None, "next_token_accuracy")
        rows.append(
            (
                _name(record.number, record.name, []),
                element("code", r["shape"]),
                ending,
                f"{r['parameters']:,}",
                latency,
                bits,
                accuracy,
                odds,
            )
        )
    caption = "Every trial in the order of its number; the quality of a trial that ended early is left out, for it is not comparable."
    return table(columns, rows, caption)


def unfinished(records: Sequence[TrialRecord]) -> Html:
    """The trials that did not finish, how they ended and why."""
    rows = [
        (
            _name(record.number, record.name, []),
            element("code", record.architecture.label),
            element("span", words.OUTCOMES[record.outcome], class_="nowrap"),
            f"{record.training.tokens:,}" if record.training else words.ABSENT,
            record.reason or words.ABSENT,
        )
        for record in records
        if not record.finished
    ]
    columns = {"Trial": False, "Shape": False, "How it ended": False, "Tokens trained": True, "Why": False}
    return table(columns, rows, "None of these stands on a front.")
