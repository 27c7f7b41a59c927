"""A training beside a study that waits for another node, when that goes too, is asked for anew; nothing stays in the cluster's store."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import WorkerCrashedError

from tests.support import fakes
from trials.driver import workplace_on_ray
from trials.driver.workplace_on_ray import OnRay
from trials.experiments.workplace import TrainingCall

STUDY, _ = fakes.small_study()


class Placed(OnRay):
    """A workplace whose tasks are numbers, in the order in which they were asked for."""

    def __init__(self) -> None:
        super().__init__(lambda: None, ExitStack(), is_joined=False)
        self.asked: list[list[str]] = []
        """The nodes that each was to avoid."""
        self.tokens: list[str] = []

    def _begun(self, work: Any, token: str, training: TrainingCall, avoided: Any) -> int:
        self.asked.append(list(avoided))
        self.tokens.append(token)
        return len(self.asked) - 1


@pytest.mark.parametrize("has_begun", [False, True])
def test_what_waits_for_a_node_that_is_gone_is_asked_for_anew_and_counts_as_no_loss(
    has_begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, cancelled, looks = Placed(), list[int](), list[float]()
    store: dict[bytes, bytes] = {}
    nodes = {"first", "second"}

    def wait(tasks: list[int], timeout: float) -> tuple[list[int], list[int]]:
        """The first ends at once, the second never where its node is gone, and every other one."""
        looks.append(timeout)
        begins = tasks[0] != 1 or has_begun
        if begins:
            store[workplace_on_ray._node_key(place.tokens[tasks[0]])] = b"first" if tasks[0] == 0 else b"second"
        if tasks[0] == 1:
            nodes.discard("second")
        return ([], tasks) if tasks[0] == 1 and len(looks) < 4 else (tasks[:1], [])

    def result_of(task: int) -> str:
        if task == 0:
            raise WorkerCrashedError
        return "trained"

    kept = SimpleNamespace(
        _internal_kv_get=lambda key, namespace: store.get(key), _internal_kv_del=lambda key, namespace: store.pop(key, None)
    )
    monkeypatch.setattr(workplace_on_ray, "internal_kv", kept)
    monkeypatch.setattr(workplace_on_ray, "ray", SimpleNamespace(wait=wait, cancel=lambda task, force: cancelled.append(task)))
    monkeypatch.setattr(workplace_on_ray, "result_of", result_of)
    monkeypatch.setattr(workplace_on_ray, "others_of", lambda avoided, _: sorted(avoided) if avoided and nodes - avoided else [])
    found: list[tuple[int, Any]] = list(place.side_by_side(lambda: None, [TrainingCall(STUDY, 270, ())], 1, lower="workers.count"))
    assert found == [(0, "trained")]
    assert (place.asked, cancelled) == (([[], ["first"]], []) if has_begun else ([[], ["first"], []], [1]))
    assert all(timeout is not None for timeout in looks)
    assert store == {}
