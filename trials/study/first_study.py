"""A study of a person's own, written with comments: their text, budget, device and time; all else follows the budget."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from analysis.records.json_writer import json_of
from trials.catalogue.runtimes import COMMAND, RUNTIMES, USUAL_RUNTIME

USUAL_TRIALS, FEWEST_TRIALS, MOST_TRIALS = 24, 6, 200
"""Trials where no time is given, and the bounds of those that a time is turned into: fewer make no front, more add little to one."""
DAY_SECONDS = 86_400
STATED_RUNTIMES = tuple(name for name in RUNTIMES if name != COMMAND)
"""Runtimes that need nothing more to be said; a command is a person's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStudy:
    """What a person says of their study."""

    name: str
    files: tuple[str, ...] = ()
    """Files or globs, relative to the study's file; the source text of this machine's Python where there are none."""
    parameters: int = 1_000_000
    runtime: str = USUAL_RUNTIME
    """What measures the latency."""
    gpus: int = 0
    """GPUs of a trial: 0 or 1."""
    hours: float | None = None
    """How long the search may take; None where that is not said."""
    trials: int = USUAL_TRIALS

    @property
    def text(self) -> str:
        """The study as YAML, every line with what it is."""
        corpus = f"{{files: {json_of(list(self.files), as_ascii=False)}}}" if self.files else "{name: python-stdlib}"
        seconds = DAY_SECONDS if self.hours is None else max(60, math.ceil(self.hours * 3600))
        time = "" if self.hours is None else f", which is to take about {self.hours:g} hours"
        lines = [
            (f"# `archfront plan` says what this study costs, `archfront run` runs it; the same command continues it{time}.", ""),
            ("# `archfront explain study.KEY` says what a key means; docs/study.md has them all.", ""),
            (f"name: {json_of(self.name)}", "the directory, the page and MLflow's experiment are called so"),
            (f"corpus: {corpus}", "the text that every shape learns from; files are relative to this one"),
            (f"budget: {{parameters: {self.parameters:_}}}", "every shape spends it, within one percent"),
            ("# space:", "what may differ between shapes: depth, width, heads, sharing; by default it follows the budget"),
            (
                f"latency: {{runtime: {self.runtime}, prompt_tokens: 64, new_tokens: 64}}",
                "what is measured of each shape, before it trains: a prompt, and tokens after it",
            ),
            ("objectives: [bits_per_byte, total_ms]", "what shapes are judged by: the first is what you want most"),
            ("# proxy: {tokens: 1M}", "how long each shape trains; by default it follows the budget"),
            (
                f"search: {{trials: {self.trials}, seed: 0}}",
                "shapes that are tried, beside references and a few trained again; more may be added",
            ),
            (
                f"workers: {{count: {1 if self.gpus else 2}, gpus: {self.gpus}, deadline_seconds: {seconds}}}",
                "trials side by side, GPUs of each, and when one is ended",
            ),
            ("references: [deep-thin, wide-shallow]", "two plain shapes that the front is held against"),
        ]
        return "\n".join(f"{line}  # {comment}" if comment else line for line, comment in lines) + "\n"

    def within(self, seconds_a_trial: float, others: float) -> FirstStudy:
        """The study with as many trials as its hours hold, where a trial takes so long and everything else of the study `others`."""
        if self.hours is None:
            return self
        held = int((self.hours * 3600 - others) / seconds_a_trial) if seconds_a_trial > 0 else MOST_TRIALS
        return replace(self, trials=min(MOST_TRIALS, max(FEWEST_TRIALS, held)))
