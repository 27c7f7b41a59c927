"""The tables of a page about a scaling fit: its backtests, parameters, predictions and parabolas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.laws.isoflop import IsoFlop
from analysis.records.record import TrialRecord
from analysis.report.html import Html, element, table
from analysis.text import words

AXIS_SYMBOLS = {"params": "N", "tokens": "D", "flops": "FLOPs"}
"""Short names of the variables that runs are hidden by."""


def backtest_table(backtest: Mapping[str, Any]) -> Html:
    """Every cut with its errors and what its bands held; all cuts in the last row."""
    columns = {
        "Largest hidden by": False, "seen up to": True, "furthest hidden, times that": True, "runs hidden": True, "mean error": True,
        "mean size of the error": True, "90 % bands held": True, "bands' mean width": True,
    }  # fmt: skip
    rows = [
        (
            AXIS_SYMBOLS.get(cut["axis"], cut["axis"]),
            words.quantity(cut["seen_up_to"]),
            f"{cut['times_beyond']:.3g}",
            f"{cut['hidden']:,}",
            f"{cut['mean_error']:+.2%}",
            f"{cut['mean_absolute_error']:.2%}",
            _share(cut["covered"]),
            words.ABSENT if cut["band_width"] is None else f"{cut['band_width']:.1%}",
        )
        for cut in backtest["cuts"]
    ]
    rows.append(("all cuts", "", "", "", "", f"{backtest['mean_absolute_error']:.2%}", _share(backtest["covered"]), ""))
    caption = (
        "The largest runs are hidden, the law is fitted to the rest and predicts them; an error above 0 predicted too high a loss. A band "
        "uses only what smaller cuts had shown, so the first cuts have none."
    )
    return table(columns, rows, caption, [len(rows) - 1], is_sortable=False)


def parameters_table(answer: Mapping[str, Any]) -> Html:
    """Each parameter with its interval and, where the runs do not determine it, the reason."""
    columns = {"Parameter": False, "fitted": True, "90 % from": True, "to": True, "standard error": True, "": False}
    reasons = answer.get("unidentified", {})
    rows = [
        (
            element("code", name),
            _number(value),
            *map(_number, answer["intervals"][name] or (None, None)),
            _number(answer["standard_errors"][name]),
            f"not identified: {reasons[name]}" if name in reasons else "",
        )
        for name, value in answer["parameters"].items()
    ]
    trainings = words.plural(answer["trainings"], "training")
    return table(columns, rows, f"From refits under random weights of whole trainings ({trainings}); the interval is central.")


def predictions_table(predictions: Sequence[Mapping[str, Any]], caption: str) -> Html:
    """Predicted losses with the band of a new run, the law's own interval, and how far outside the runs they are."""
    names = list(dict.fromkeys(name for found in predictions for name in found["at"]))
    columns = {AXIS_SYMBOLS.get(name, name): True for name in names} | {
        "loss expected": True, "90 % of new runs": True, "the law itself, 90 %": True, "times outside the runs": True,
        "by the forms": False,
    }  # fmt: skip
    rows = [
        (
            *(words.quantity(found["at"][name]) if name in found["at"] else words.ABSENT for name in names),
            _number(found["loss"]),
            f"{_number(found['low'])} to {_number(found['high'])}",
            f"{_number(found['law']['low'])} to {_number(found['law']['high'])}",
            f"{max(found['times_beyond_runs'].values()):.3g}" + (" (far)" if found["far"] else "") if found["extrapolated"] else "inside",
            ", ".join(f"{name} {_number(loss)}" for name, loss in found["by_form"].items()),
        )
        for found in predictions
    ]
    return table(columns, rows, caption)


def parabolas_table(found: IsoFlop) -> Html:
    """The minimum at every budget."""
    columns = {"FLOPs": True, "runs": True, "best N": True, "best D": True, "loss there": True}
    rows = [
        (
            words.quantity(parabola.flops),
            f"{len(parabola.rows)}",
            words.quantity(parabola.params),
            words.quantity(parabola.tokens),
            _number(parabola.loss),
        )
        for parabola in found.parabolas
    ]
    return table(columns, rows, "The minimum of each budget's parabola.")


def losses_table(records: Sequence[TrialRecord]) -> Html:
    """Every finished loss of every training, a row each training."""
    columns = {"Training": False, "Shape": False, "Parameters": True, "seed": True, "losses, by tokens": False}
    rows = []
    for record in records:
        training = record.training
        if not record.finished or training is None or training.validation is None:
            continue
        losses = [*((cooldown.tokens, cooldown.loss) for cooldown in training.cooldowns), (training.tokens, training.validation.loss)]
        told = ", ".join(f"{words.quantity(tokens)}: {_number(loss)}" for tokens, loss in losses)
        name = f"#{record.number} {record.name or ''}".rstrip()
        rows.append((name, element("code", record.architecture.label), f"{record.costs.parameters:,}", f"{record.seed}", told))
    return table(columns, rows, "Validation loss in nats per token of every finished training.")


def _share(value: float | None) -> str:
    return words.ABSENT if value is None else f"{value:.0%}"


def _number(value: float | None) -> str:
    """Four digits, as a power of ten only where a number would be long."""
    if value is None:
        return words.ABSENT
    return f"{value:#,.4g}".removesuffix(".") if 1e-3 <= abs(value) < 1e6 else f"{value:.3e}" if value else "0"
