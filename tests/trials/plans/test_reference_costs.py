"""A reference is planned by its own size, however far from the study's that is."""

from __future__ import annotations

import json
from pathlib import Path

from search_space import cost
from search_space.architecture import Architecture
from search_space.families import FAMILIES
from tests.support.fakes import small_study
from trials.plans.plan_study import plan_study

SIZES = ("hidden_size", "num_unique_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size")


def file_of(shape: Architecture, path: Path) -> str:
    path.write_text(json.dumps(shape.as_dict()))
    return str(path)


def test_a_reference_costs_its_own_size_and_one_of_a_hundred_trials_is_doubted(tmp_path: Path) -> None:
    alone, _ = small_study(references=[])
    shape = next(iter(alone.search_space.table()))[1]
    big = Architecture(**{**{name: getattr(FAMILIES["mobilellm-125m"], name) for name in SIZES}, "vocab_size": shape.vocab_size})
    names = [file_of(shape, tmp_path / "own.json"), file_of(big, tmp_path / "big.json")]
    study, _ = small_study(references=names)
    plan, without = plan_study(study), plan_study(alone)
    own, beside = plan.compared
    for found, wanted in ((own, shape), (beside, big)):
        per_token = cost.training_flops_per_token(wanted, study.proxy.context_tokens)
        assert found.cost.parameters == cost.parameters(wanted)
        assert found.cost.training_flops == found.cost.training_tokens * per_token
        assert f" {found.cost.training_flops:.2e} FLOPs" in str(found)
    flops, tokens = [sum(getattr(each.cost, name) for each in plan.compared) for name in ("training_flops", "training_tokens")]
    assert plan.training_flops == without.training_flops + flops
    assert plan.training_tokens == without.training_tokens + tokens
    assert plan.disk_bytes > without.disk_bytes + 4 * cost.parameters(big)
    assert beside.memory.peak_bytes > 4 * plan.memory.peak_bytes
    assert plan.time.estimated_seconds is not None
    assert beside.cost.training_seconds is not None
    assert plan.time.estimated_seconds > beside.cost.training_seconds
    assert beside.trials > 100 > 2 > own.trials
    assert "trials of this study: is it meant? else leave it out, or name a smaller shape" in str(beside)
    assert "is it meant" not in str(own)
    assert f"reference   {own}\n            {beside}\n" in str(plan)
