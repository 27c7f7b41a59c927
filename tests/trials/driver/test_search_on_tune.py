"""However Tune's run ends, what trials said on their way is forgotten, and no folder of its is left."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import tune
from ray.exceptions import OutOfMemoryError

from tests.support import fakes
from trials.cluster.held_folders import held_folder
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


def test_no_folder_of_tunes_is_left_and_that_of_a_killed_driver_goes_with_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with held_folder(search_on_tune.TUNE_PREFIX) as left:
        (left / "trial").mkdir()
    seen: list[list[Path]] = []

    def run(*_: object, storage_path: str, **__: object) -> None:
        (Path(storage_path) / "study").mkdir()
        seen.append(list(tmp_path.iterdir()))
        raise KeyboardInterrupt

    monkeypatch.setattr(tune, "run", run)
    monkeypatch.setattr(tune, "with_parameters", lambda *_, **__: object)
    monkeypatch.setattr(tune, "with_resources", lambda *_: object)
    equipment: Any = SimpleNamespace(study=fakes.small_study()[0])
    nothing: Any = None
    with pytest.raises(KeyboardInterrupt):
        search_on_tune._run_tune(equipment, nothing, nothing, nothing)
    assert [len(found) for found in seen] == [1]
    assert left not in seen[0]
    assert list(tmp_path.iterdir()) == []
