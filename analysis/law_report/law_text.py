"""Losses of a scaling study and their law as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.laws.accuracy import accuracy_sentences
from analysis.laws.run_table import columns_sentences
from analysis.records.record import TrialRecord
from analysis.text import words
from analysis.text.columns import aligned


def loss_rows(records: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """Every finished loss of the grid, cooldowns included, in the order of the trials; a training that did not finish has one of None."""
    return [row for record in sorted(records, key=lambda record: record.number) for row in _losses(record)]


def losses_text(records: Sequence[TrialRecord]) -> str:
    """A line for each training with its losses by tokens, and what did not finish, each with its reason."""
    lines, failed = _losses_table(records)
    return "\n".join([*lines, *failed])


def _losses_table(records: Sequence[TrialRecord]) -> tuple[list[str], list[str]]:
    """The table's lines, and a line for each training that did not finish."""
    lines = [("trial", "name", "shape", "parameters", "seed", "loss (nats per token) at tokens")]
    failed = []
    for record in sorted(records, key=lambda record: record.number):
        found = [row for row in _losses(record) if row["loss"] is not None]
        losses = "  ".join(f"{row['loss']:.4f} at {words.short(row['tokens'])}" for row in found)
        if not found:
            losses = f"{record.outcome}"
            failed.append(f"#{record.number} {record.outcome}: {record.reason}")
        shape = record.architecture.label
        lines.append((f"#{record.number}", record.name or "", shape, f"{record.costs.parameters:,}", f"{record.seed}", losses))
    return aligned(lines, (1, 2, 5)), failed


def _losses(record: TrialRecord) -> list[dict[str, Any]]:
    known = {
        "trial": record.number,
        "name": record.name,
        "shape": record.architecture.label,
        "parameters": record.costs.parameters,
        "seed": record.seed,
    }
    training = record.training
    if not record.finished or training is None or training.validation is None:
        return [{**known, "tokens": None, "loss": None, "bits_per_byte": None}]
    last = training.validation
    losses = [
        *((cooldown.tokens, cooldown.loss, cooldown.bits_per_byte) for cooldown in training.cooldowns),
        (training.tokens, last.loss, last.bits_per_byte),
    ]
    return [{**known, "tokens": tokens, "loss": loss, "bits_per_byte": bits} for tokens, loss, bits in losses]


def law_last_text(records: Sequence[TrialRecord], law: Mapping[str, Any] | str) -> str:
    """The losses as a table and at most three sentences: what finished, the law, and how well it foretells; `law` may say what it lacks."""
    lines, failed = _losses_table(records)
    finished = f"{len(records) - len(failed)} of {words.plural(len(records), 'training')} finished"
    first = f"{finished}; {failed[0]}{'; ...' if len(failed) > 1 else ''}." if failed else f"{finished}."
    if isinstance(law, str):
        return "\n".join([*lines, "", first, f"There is no law yet: {law}."])
    formula = f"{law['form']}: {law['formula']}" if "formula" in law else str(law["form"])
    said = [first, f"The law is {formula}."]
    if law.get("backtest"):
        said.append(f"Its backtest: {str(law['backtest']['headline']).rstrip('.')}.")
    return "\n".join([*lines, "", *said])


def fit_text(answer: Mapping[str, Any]) -> str:
    """The law with its intervals, its backtest, predictions, effects and notes; `answer` is that of `analysis.laws.fit_result`."""
    lines = [f"{answer['form']}: {answer['formula']}" if "formula" in answer else str(answer["form"])]
    lines += [_parameter(name, value, answer) for name, value in answer.get("parameters", {}).items()]
    if answer.get("allocation"):
        low, high = answer["allocation"]["interval"]
        ends = ", ".join(words.interval_ends(low, high, 3))
        lines.append(f"best N grows as FLOPs to the {answer['allocation']['exponent']:.3f} [{ends}]")
    if answer.get("backtest"):
        lines.append(f"backtest: {answer['backtest']['headline']}")
    for prediction in answer.get("predictions", ()):
        lines.append("predicted: " + ", ".join(f"{name} {_short(value)}" for name, value in prediction.items() if value is not None))
    lines += [effect["sentence"] for effect in answer.get("effects", ())]
    if "accuracy" in answer:
        lines += accuracy_sentences(answer["accuracy"])
    return "\n".join([*lines, *columns_sentences(answer.get("columns", {})), *answer.get("notes", ())])


def _parameter(name: str, value: float, answer: Mapping[str, Any]) -> str:
    interval = answer.get("intervals", {}).get(name)
    range_text = f"[{', '.join(words.interval_ends(*interval))}]" if interval else ""
    reason = answer.get("unidentified", {}).get(name)
    return f"  {name:<6} {value:<12.6g} {range_text}{f'  not identified: {reason}' if reason else ''}".rstrip()


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return "(" + ", ".join(f"{k} {_short(v)}" for k, v in value.items()) + ")" if isinstance(value, Mapping) else str(value)
