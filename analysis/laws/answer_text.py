"""The answer of `archfront fit` as plain text, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.laws.accuracy import accuracy_sentences


def answer_text(answer: Mapping[str, Any]) -> str:
    """The law with its intervals, its backtest, predictions, effects and notes; `answer` is what `fit_command` returns."""
    lines = [f"{answer['form']}: {answer['formula']}" if "formula" in answer else str(answer["form"])]
    lines += [_parameter(name, value, answer) for name, value in answer.get("parameters", {}).items()]
    if answer.get("allocation"):
        low, high = answer["allocation"]["interval"]
        lines.append(f"best N grows as FLOPs to the {answer['allocation']['exponent']:.3f} [{low:.3f}, {high:.3f}]")
    if answer.get("backtest"):
        lines.append(f"backtest: {answer['backtest']['headline']}")
    for prediction in answer.get("predictions", ()):
        lines.append("predicted: " + ", ".join(f"{name} {_short(value)}" for name, value in prediction.items() if value is not None))
    lines += [effect["sentence"] for effect in answer.get("effects", ())]
    if "accuracy" in answer:
        lines += accuracy_sentences(answer["accuracy"])
    return "\n".join([*lines, *answer.get("notes", ())])


def _parameter(name: str, value: float, answer: Mapping[str, Any]) -> str:
    interval = answer.get("intervals", {}).get(name)
    range_text = f"[{interval[0]:.4g}, {interval[1]:.4g}]" if interval else ""
    reason = answer.get("unidentified", {}).get(name)
    return f"  {name:<6} {value:<12.6g} {range_text}{f'  not identified: {reason}' if reason else ''}".rstrip()


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return "(" + ", ".join(f"{k} {_short(v)}" for k, v in value.items()) + ")" if isinstance(value, Mapping) else str(value)
