"""What is said after a search keeps to the width of a terminal: the tables and sentences of its verbs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.fidelity.promotion import Promoted, Promotion
from analysis.tasks.api_calling import ApiScores
from analysis.tasks.pairwise import Preference
from analysis.tasks.published import published_figures
from analysis.tasks.task_result import HarnessFigure, TaskResult
from analysis.terminal.comparison_text import comparison_text
from analysis.terminal.experiment_text import promotion_text
from analysis.terminal.pairwise_text import preference_text
from analysis.terminal.task_text import TASK_MEANING, harness_text, published_text, tasks_text
from analysis.terminal.tuning_text import scores_text
from tests.analysis.report.test_terms import SHARE, compared
from trials.commands.talk import at_width

MODEL = "runs/quickstart, trial 7"
WAYS = ("float16", "w8a8", "int8", "int4", "prune50+int8")
TASKS = [TaskResult(name, 1_838, 0.5, SHARE, SHARE, 1.234, {}) for name in ("piqa", "arc_easy", "winogrande")]
SCORES = ApiScores(calls=100, texts=100, intent=SHARE, structure=SHARE, rouge_1=SHARE, rouge_l=SHARE)
PREFERENCE = Preference(pairs=100, unread=3, preferred=SHARE, placed_first=SHARE)
PROMOTED = Promoted(
    number=7, shape="4x64 2/1x32 f160", known={"total_ms": 12.3}, before=2.071, after=1.9, reason=None, low=1.8, high=2.0,
    on_front_before=True, on_front_after=True,
)  # fmt: skip


def shown(width: int | None) -> dict[str, str]:
    """Each text as it is printed on a terminal of that width."""
    rows = [replace(compared(way), model=MODEL, tasks=TASKS, more_accuracy={each.task: SHARE for each in TASKS}) for way in WAYS]
    return {
        "compare": comparison_text(rows, width),
        "evaluate": f"{tasks_text(MODEL, TASKS, {each.task: SHARE for each in TASKS}, 'runs/other', width)}\n{TASK_MEANING}",
        "published": published_text(published_figures(), width),
        "harness": harness_text(MODEL, [HarnessFigure("arc_challenge", "acc_norm", 0.25, 0.01, 1_000)], width),
        "judge": preference_text([(f"{MODEL} against itself", PREFERENCE)], width),
        "tune": scores_text([("before", SCORES), ("after", SCORES)], width),
        "promote": promotion_text(Promotion(times=4.0, shapes=(PROMOTED,), not_forecast=None), width),
    }


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("verb", shown(None))
def test_no_line_is_wider_than_the_terminal_and_nothing_is_cut(verb: str, width: int) -> None:
    said = at_width(shown(width)[verb], width, indent=2)
    assert max(map(len, said.splitlines())) <= width
    assert "…" not in said
    assert {*said.split()} >= {*shown(None)[verb].split()}
