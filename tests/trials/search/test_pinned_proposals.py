"""Proposals of fixed seeds stay what they were, with a latency that is known and with one that is learnt."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trials.search.test_front_sampler import SPACE, active, latency, loss, study_with
from trials.search.front_sampler import FrontSampler

PINNED = {
    ("cheap", 0): (
        "00000000000 23122222222 12011111110 03011111111 13122222222 22022222220 03122222222 13002222222 23022222222 "
        "03000000000 03022222222 12022220220 13022222222 23022222102 01020000000 13022102202 03022212111 23122122222 "
        "23022022222 03020001001 23100000000 13100000000 23021101111 23022111211 "
    ),
    ("cheap", 1): (
        "00000000000 23122222222 12011111110 03011111111 13122222222 23100000000 23022222220 03122222222 13022222220 "
        "01100000000 23000022222 23022222222 13000011222 03100002222 23000000222 13100022222 23100222222 03000000021 "
        "00100000000 23001222222 20111222000 23000110222 13000222222 00111111000 "
    ),
    ("learnt", 0): (
        "00000000000 23122222222 13011111111 10011111000 03022222222 23022222222 23100000000 00022222000 22000001120 "
        "03011111111 23000012222 22000000010 13011112222 13100222222 02100000220 02000202020 03111222222 13122222222 "
        "23111012222 23000000222 01100000000 23001122222 03100002121 12010112220 "
    ),
    ("learnt", 1): (
        "00000000000 23122222222 10022222000 23100000000 20100000000 20000000000 22122222210 00022222000 20022222000 "
        "10000000000 23100011111 22100000000 23122122200 10000211000 20100201000 20101222000 23110201220 23100200000 "
        "23111212222 00011111000 20111111000 23100112222 23100002001 22100000110 "
    ),
}
"""By latency and seed: every trial's levels, one figure an axis, as the first version of this sampler proposed them."""


@pytest.mark.parametrize(("known", "seed"), PINNED)
def test_the_proposals_of_a_seed_are_those_of_old(known: str, seed: int) -> None:
    study = study_with(FrontSampler(SPACE, cheap={1: latency} if known == "cheap" else None, active=active, seed=seed))
    luck = np.random.default_rng(seed)
    pinned = PINNED[known, seed].split()
    for _ in pinned:
        trial = study.ask(SPACE)
        study.tell(trial, [loss(trial.params) + luck.normal(0, 0.02), latency(trial.params)])
    assert ["".join(map(str, levels(trial.params))) for trial in study.trials] == pinned


def levels(params: dict[str, object]) -> list[int]:
    """The place of each value among those that its axis has."""
    values = [list(getattr(axis, "choices", range(getattr(axis, "low", 0), 100))) for axis in SPACE.values()]
    return [choices.index(params[name]) for name, choices in zip(SPACE, values, strict=True)]
