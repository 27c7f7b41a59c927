"""A standing as lines of a given width: the headline, time left, what runs, the front so far, what failed and why."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import TextIO, cast

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.file_proxy import FileProxy
from rich.live import Live
from rich.text import Text

from analysis.text import words
from trials.machine.native_output import stand_in
from trials.progress.display import CHECK, CHECK_SECONDS, Display, doing_text
from trials.progress.standing import FrontMember, RunningTrial, RunStanding, State, seconds_of

LEAST_WIDTH, USUAL_WIDTH, USUAL_HEIGHT = 20, 100, 40
BAR_WIDTH = 30
LABEL_WIDTH = 8
"""Cells of the words on the left: `running`, `front`, `failed`."""
LEAST_SHAPE_WIDTH = 24
"""What is on the right of a shape is left out before the shape is cut shorter."""
LEAST_FRONT_SHAPE_WIDTH = 12
"""Cells that a shape of the front keeps beside its numbers before the last of these is left out."""
MOST_SHOWN_FAILURES = 3
Line = tuple[str, str]
"""Text and style."""


def standing_lines(standing: RunStanding, width: int, height: int, now: float) -> list[Line]:
    """Lines of at most so many cells, at most so many of them; `now` is the time of day in seconds."""
    lines = [*_head(standing, width, now)]
    room = max(4, height - len(lines) - 1)
    failures = standing.failures[-MOST_SHOWN_FAILURES:] if room >= 8 else standing.failures[-1:]
    room -= len(failures)
    running = standing.running[: max(1, room // 2)]
    front = standing.front[: max(1, room - len(running) - 2)]
    lines += [*_running(standing, running, width, now), *_front(standing, front, width)]
    for place, failure in enumerate(failures):
        left = _left(f"failed {standing.failed}" if not place else "", f"#{failure.number} {failure.outcome}: ")
        lines.append((left + _cut(failure.reason or "", width - cell_len(left)), "red"))
    return [(_cut(text, width), style) for text, style in lines[: max(1, height - 1)]]


def _head(standing: RunStanding, width: int, now: float) -> Iterator[Line]:
    yield (
        f"{_cut(_plain(standing.study), max(8, width // 3))}: {standing.counts}" if standing.of is not None else _plain(standing.study),
        "bold",
    )
    if standing.of:
        share = min(1.0, standing.done / standing.of)
        said = f" {share:.0%}{'' if standing.left is None else f', {standing.left}'}"
        full = max(0, min(BAR_WIDTH, width - cell_len(said)))
        yield "━" * round(share * full) + "─" * (full - round(share * full)) + said, "cyan"
    since = words.duration(max(0.0, now - seconds_of(standing.stage_since)))
    if standing.state is State.RUNNING:
        yield f"{standing.stage}, {since}: waits for {standing.waits_for}", ""


def _running(standing: RunStanding, shown: Sequence[RunningTrial], width: int, now: float) -> Iterator[Line]:
    numbers = max((len(f"{trial.number}") for trial in shown), default=0)
    for place, trial in enumerate(shown):
        since = words.duration(max(0.0, now - seconds_of(trial.started_at)))
        left = _left("running" if not place else "", f"#{trial.number:<{numbers}} ")
        shape = trial.shape if trial.name is None else f"{trial.name} {trial.shape}"
        yield _spread(left, shape, (doing_text(trial), since), width), ""
    if more := standing.running_count - len(shown):
        yield _left("", f"and {more} more"), "dim"


def _front(standing: RunStanding, shown: Sequence[FrontMember], width: int) -> Iterator[Line]:
    if not shown:
        return
    from analysis.objectives.registry import OBJECTIVES  # numpy, and nothing to show before there is a front

    names = list(shown[0].values)
    known = [OBJECTIVES.get(name) for name in names]
    heads = [
        name if objective is None else objective.words.short or objective.words.label for name, objective in zip(names, known, strict=True)
    ]
    rows = [
        [
            f"{value:g}" if objective is None else objective.words.write(value)
            for value, objective in ((member.values.get(name, 0.0), objective) for name, objective in zip(names, known, strict=True))
        ]
        for member in shown
    ]
    widths = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    numbers = max(len(f"{member.number}") for member in shown)
    blank, shapes = _left("front", " " * (numbers + 2)), max(cell_len(_plain(member.shape)) for member in shown)
    while widths and width - cell_len(blank) - sum(widths) - 2 * len(widths) < min(LEAST_FRONT_SHAPE_WIDTH, shapes):
        widths.pop()  # for all of them: beside numbers, a row without any would be read as another's
    right = ["  ".join(cell.rjust(wide) for cell, wide in zip(row, widths, strict=False)) for row in (heads, *rows)]
    yield _beside(blank, "", right[0], width), "dim"
    for member, cells in zip(shown, right[1:], strict=True):
        yield _beside(_left("", f"#{member.number:<{numbers}} "), member.shape, cells, width), "green"
    if more := standing.front_size - len(shown):
        yield _left("", f"and {more} more"), "dim"


def _left(label: str, text: str) -> str:
    return f"{label:<{LABEL_WIDTH}} {text}"


def _spread(left: str, shape: str, right: Sequence[str], width: int) -> str:
    """What is on the left, a shape cut as short as it must be, and as much of the right as then has room, at the right."""
    room, shown = width - cell_len(left), list(right)
    while shown and room - cell_len("  ".join(shown)) - 2 < min(LEAST_SHAPE_WIDTH, cell_len(shape)):
        shown.pop()
    return _beside(left, shape, "  ".join(shown), width)


def _beside(left: str, shape: str, end: str, width: int) -> str:
    """What is on the left, a shape as long as there is room, and the end at the right."""
    room = width - cell_len(left)
    wide = min(48, room - cell_len(end) - 2) if end else room
    return f"{left}{set_cell_size(_cut(shape, wide), max(0, wide))}  {end}".rstrip()


def _cut(text: str, width: int) -> str:
    text = _plain(text)
    return text if cell_len(text) <= width else f"{set_cell_size(text, max(0, width - 1)).rstrip()}…"


def _plain(text: str) -> str:
    """A text but for what would move a cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def drawn(standing: RunStanding, width: int, height: int, now: float) -> Group:
    """The lines for rich, which colours them, and an empty one: whatever is said next stands on a line of its own."""
    lines = standing_lines(standing, width, height - 1, now)
    return Group(*(Text(text, style, no_wrap=True, overflow="ellipsis") for text, style in lines), Text(""))


class _Terminal(Console):
    """A terminal whose cursor stays visible: whatever ends this process leaves it so."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


class LiveView(Display):
    """Lines at the end of a terminal that are drawn over themselves; what others say stands above them."""

    def __init__(self, stream: TextIO) -> None:
        """`stream` is the terminal; nothing is drawn before the check is over or takes long."""
        self._stream, self._console = stream, _Terminal(file=stream)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)

    def tick(self, standing: RunStanding) -> None:
        """Draw it anew."""
        now = time.time()
        if standing.stage == CHECK and now - seconds_of(standing.stage_since) < CHECK_SECONDS:
            return
        width, height = terminal_size(self._stream)
        self._console.width, self._console.height = width, height
        if not self._live.is_started:
            self._live.start()
            stand_in(cast(TextIO, FileProxy(self._console, self._stream)))
        self._live.update(drawn(standing, width, height, now), refresh=True)

    def close(self, standing: RunStanding) -> None:
        """What was drawn goes away, unless the run was interrupted: then it says how far it was."""
        if self._live.is_started:
            stand_in(None)
            self._live.transient = standing.state is not State.INTERRUPTED
            self._live.stop()


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Columns and lines of a terminal; usual ones where it does not say."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return USUAL_WIDTH, USUAL_HEIGHT
    return max(LEAST_WIDTH, size.columns or USUAL_WIDTH), size.lines or USUAL_HEIGHT
