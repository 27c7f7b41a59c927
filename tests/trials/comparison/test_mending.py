"""Pruned models that are trained on: what is left out stays out, and the others get better than they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from search_space.errors import WorkError
from search_space.sharing import Sharing
from tests.support.sample_gguf import SHAPE
from tests.support.weighed_study import weighed_study
from trials.catalogue.ways import read_way
from trials.comparison.mending import Mending
from trials.comparison.passages import score_study
from trials.models.trained_model import load_trained
from trials.reporting.stored_study import read_study
from trials.rounding.ways import way_of
from trials.study.directory import tokenizer_file, weights_file
from trials.training.failures import Diverged, OutOfMemory, TrainingFailed
from trials.training.proxy_run import ProxyRun


@pytest.mark.parametrize("sharing", [Sharing(), Sharing("immediate", 2)], ids=["plain", "shared"])
def test_a_pruned_model_gets_better_and_stays_pruned(sharing: Sharing, tmp_path: Path) -> None:
    shape = replace(SHAPE, vocab_size=300, sharing=sharing)
    blocks = weighed_study(tmp_path, [shape])
    model = load_trained("m", shape, weights_file(tmp_path, 0), tokenizer_file(tmp_path, 300), 32)
    before = {name: weight.clone() for name, weight in model.network.named_parameters()}
    way, windows = way_of(read_way("prune60")), (blocks, "validation", 2048, 32)
    with way.applied(model.network):
        pruned = score_study(model, *windows).bits_per_byte.value
    found, tokens = Mending(blocks, read_study(tmp_path).study.proxy, 20_000, seed=1)(model, 0.6)
    assert abs(tokens - 20_000) < 1_000, "whole steps"
    with way.applied(found.network):
        again = score_study(found, *windows).bits_per_byte.value
    assert score_study(found, *windows).bits_per_byte.value == pytest.approx(again, abs=0.01), "it is pruned already"
    assert again < pruned - 0.3
    for name, weight in found.network.model.layers.named_parameters():
        if weight.ndim == 2:
            assert int((weight == 0).sum()) == int(0.6 * weight.numel()), name
    assert all((weight == before[name]).all() for name, weight in model.network.named_parameters())


@pytest.mark.parametrize("failure", [Diverged, OutOfMemory])
def test_a_further_training_that_fails_is_one_sentence(
    failure: type[TrainingFailed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise failure("the loss is no number after 3 steps")

    shape = replace(SHAPE, vocab_size=300)
    blocks = weighed_study(tmp_path, [shape])
    model = load_trained("m", shape, weights_file(tmp_path, 0), tokenizer_file(tmp_path, 300), 32)
    monkeypatch.setattr(ProxyRun, "run", failing)
    with pytest.raises(WorkError, match="--retrain of m with 50% of its weights left out came to no end: the loss is no number after 3"):
        Mending(blocks, read_study(tmp_path).study.proxy, 20_000, seed=1)(model, 0.5)
