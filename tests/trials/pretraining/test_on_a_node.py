"""A long training on a node of a cluster: what comes home is what this machine trains, though its worker is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from analysis.records.training import CurvePoint
from search_space.errors import WorkError
from tests.support.processes import below
from tests.trials.pretraining.test_train import RECIPE, SHAPE, folder
from trials.corpus.prepare import prepare_corpus
from trials.experiments.workplace import TrainingsLost
from trials.pretraining import curve_watch
from trials.pretraining.on_a_node import pretrain_on_a_node
from trials.pretraining.pretrain import pretrain
from trials.pretraining.recipes import TrainingRecipe
from trials.pretraining.statement import CURVE, RESULT, STATE, TRAINED_WEIGHTS, Statement
from trials.study.corpus_spec import CorpusSpec

__all__ = ["folder"]


def statement(folder: Path, steps: int) -> Statement:
    proxy = TrainingRecipe("x", "x", {**RECIPE, "steps": steps}).of(SHAPE).plain()
    corpus = CorpusSpec(files=(str(folder / "text.txt"),))
    return Statement(
        title="x", shape=SHAPE, proxy=proxy, recipe="x", recipe_source="x", corpus=corpus, seed=0, threads=1, device="cpu", devices=1
    )


def workers() -> list[int]:
    """Processes below this one in which a training runs."""
    found = []
    for process in below(os.getpid()):
        try:
            title = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::_at_work"):
            found.append(process)
    return found


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_training_on_a_node_is_this_machine_s_bit_for_bit_though_its_worker_is_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve_watch, "LOOKS_SECONDS", 0.02)  # a fast machine is through in a second
    from trials.driver.workplace_on_ray import on_ray

    wanted, here, there = statement(folder, 400), folder / "here", folder / "there"
    here.mkdir()
    there.mkdir()
    pretrain(wanted, prepare_corpus(wanted.corpus, SHAPE.vocab_size), here, state_seconds=60.0, on_point=lambda point, began: None)
    killed, told = list[int](), list[tuple[int, int]]()

    def on_point(point: CurvePoint, began: int) -> None:
        told.append((point.tokens, began))
        if not killed and (there / STATE).exists() and not (there / RESULT).exists():
            killed.extend(workers())
            for process in killed:
                os.kill(process, signal.SIGKILL)

    with on_ray(None, None) as place:
        assert place.trainer() == ("cpu", os.cpu_count())
        found = pretrain_on_a_node(wanted, there, state_seconds=0.02, on_point=on_point, place=place)
    assert killed, "it was over before anybody looked"
    assert found.tokens == wanted.tokens
    assert [tokens for tokens, _ in told] == sorted({tokens for tokens, _ in told}), "each point once"
    ours, theirs = (load_file(place / TRAINED_WEIGHTS) for place in (here, there))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert sorted(file.name for file in there.iterdir()) == sorted([CURVE, RESULT, TRAINED_WEIGHTS])


class Losing:
    """A workplace in which every training is lost; some leave a newer state before."""

    def __init__(self, state: Path, progresses: int) -> None:
        self.state, self.left, self.begun = state, progresses, 0

    def side_by_side(self, *asked: Any, **more: Any) -> Any:
        self.begun += 1
        if self.left:
            self.left -= 1
            self.state.write_bytes(b"x")
            os.utime(self.state, ns=(self.begun, self.begun))
        raise TrainingsLost("lost 3 times")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_who_is_lost_without_a_newer_state_is_given_up_and_who_got_further_is_not(folder: Path) -> None:
    (folder / "out").mkdir()
    place: Any = Losing(folder / "out" / STATE, 2)
    with pytest.raises(WorkError, match="lost 3 times"):
        pretrain_on_a_node(statement(folder, 40), folder / "out", state_seconds=60.0, on_point=lambda point, began: None, place=place)
    assert place.begun == 3
