"""What trials said on their way is forgotten however Tune's run ends."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import OutOfMemoryError

from trials.driver import search_on_tune
from trials.progress.watch import RunWatch


def out_of_memory() -> None:
    raise RuntimeError("Tune's own") from OutOfMemoryError("a worker, pid=1")


def broken() -> None:
    raise RuntimeError("Tune's own")


def interrupted() -> None:
    raise KeyboardInterrupt


def done() -> None:
    """Nothing is left."""


@pytest.mark.parametrize(
    ("ends", "raised"), [([done], None), ([out_of_memory, done], None), ([broken], RuntimeError), ([interrupted], KeyboardInterrupt)]
)
def test_what_was_said_is_forgotten(ends: list[Any], raised: type[BaseException] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []

    def run(*_: object) -> None:
        end = ends[sum(what != "forgotten" for what in happened)]
        happened.append(end.__name__)
        end()

    monkeypatch.setattr(search_on_tune, "_run_tune", run)
    monkeypatch.setattr(search_on_tune, "forget", lambda: happened.append("forgotten"))
    agenda: Any = SimpleNamespace(finished=False, interrupted=False, interrupt=lambda: None, give_back=lambda: None)
    nothing: Any = SimpleNamespace(study=None, complaint=None, device=None)
    with nullcontext() if raised is None else pytest.raises(raised):
        search_on_tune.search(agenda, nothing, nothing, nothing, None, RunWatch())
    assert happened == [what for end in ends for what in (end.__name__, "forgotten")]
