"""Each health check fails on a network that was made sick so, passes on a healthy one, and reaches those who look."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.fronts.rows import trial_row
from analysis.records.health_checks import HEALTH_CHECKS, check_results, failed_checks, plateau, run_checks
from analysis.records.record import TrialRecord, append, read_records
from analysis.records.training import Diagnostics
from analysis.report.study_page import report_page
from search_space.architecture import Architecture
from search_space.sharing import Sharing
from tests.support.sample_study import sample_records, sample_summary
from trials.corpus.blocks import TokenBlocks
from trials.network.decoder import Attention, Block, Network
from trials.study.spec import ProxySpec
from trials.tracking.mlflow_trial_content import trial_run
from trials.training.diagnostics import attention_maps, diagnose
from trials.training.proxy_run import train

CONTEXT = 32
SHAPE = Architecture(
    vocab_size=32, hidden_size=32, num_unique_layers=8, num_attention_heads=4, num_key_value_heads=2, head_dim=8, intermediate_size=48
)
SHARED = dataclasses.replace(SHAPE, num_unique_layers=4, sharing=Sharing("immediate", 2), mlp="relu", layer_types=("full_attention",))


@pytest.fixture(scope="module")
def copied_text() -> TokenBlocks:
    """Words of eight random letters, each said twice: the second time can be told from the first by looking back."""
    words = np.random.default_rng(0).integers(1, 32, (900, 1, 8))
    ids = np.repeat(words, 2, axis=1).reshape(-1).astype(np.uint16)
    return TokenBlocks(ids[:12_000], ids[12_000:], ids[12_000:], 32, np.full(32, 2, np.int32), "words", "0" * 64, None)


@pytest.fixture(scope="module")
def healthy(copied_text: TokenBlocks) -> dict[Architecture, Network]:
    recipe = ProxySpec(tokens=51_200, context_tokens=CONTEXT, batch_sequences=16, evaluations=1, evaluation_tokens=512, learning_rate=0.02, muon_learning_rate=0.02)  # fmt: skip  # noqa: E501
    return {shape: train(shape, copied_text, recipe, seed=0)[0] for shape in (SHAPE, SHARED)}


def ills(network: Network, blocks: TokenBlocks) -> set[str]:
    found = diagnose(network, blocks, 512, CONTEXT)
    return {result.check.name for result in run_checks(found, network.architecture) if result.fires}


def layers(network: Network) -> list[Block]:
    return [block for block in network.model.layers if isinstance(block, Block)]


def same_queries(attention: Attention) -> None:
    width = attention.head_dim
    for first in range(0, attention.q_proj.weight.shape[0], 2 * width):  # two query heads to a group
        attention.q_proj.weight[first + width : first + 2 * width] = attention.q_proj.weight[first : first + width]


def same_heads(attention: Attention) -> None:
    for matrix in (attention.q_proj.weight, attention.k_proj.weight):
        matrix.copy_(matrix[: attention.head_dim].repeat(len(matrix) // attention.head_dim, 1))


def every_attention(change: Callable[[Attention], None]) -> Callable[[Network], None]:
    def apply(network: Network) -> None:
        for block in layers(network):
            change(block.self_attn)

    return apply


def look_everywhere(attention: Attention) -> None:
    attention.q_proj.weight.zero_()


def look_at_one(attention: Attention) -> None:
    attention.q_proj.weight.mul_(1000)


def flat_embedding(network: Network) -> None:
    table = network.model.embed_tokens.weight
    table.copy_(torch.outer(torch.linspace(-1, 1, len(table)), torch.ones(table.shape[1])))


def cone(network: Network) -> None:
    network.model.embed_tokens.weight.add_(3 * network.model.embed_tokens.weight.norm(dim=1).mean())


def deaf_first_blocks(network: Network) -> None:
    """What they write is multiplied with next to nothing, so that next to no gradient comes back."""
    for block in layers(network)[:2]:
        for matrix in (block.self_attn.v_proj, block.self_attn.o_proj, block.mlp.up_proj, block.mlp.down_proj):
            matrix.weight.mul_(1e-3)


def silent_last_blocks(network: Network) -> None:
    for block in layers(network)[5:]:
        block.self_attn.o_proj.weight.zero_()
        block.mlp.down_proj.weight.zero_()


def second_pass_in_vain(network: Network) -> None:
    """Each block pushes the stream over its ReLU's edge, so that the second pass finds nothing to do."""
    network.model.embed_tokens.weight[:, :4] = network.model.embed_tokens.weight.norm(dim=1).mean()
    for number, block in enumerate(layers(network)[::2]):
        block.self_attn.o_proj.weight.zero_()
        for matrix in (block.mlp.up_proj, block.mlp.down_proj):
            matrix.weight.zero_()
        block.mlp.up_proj.weight[0, number] = 1.0
        block.mlp.down_proj.weight[number, 0] = -100.0
        block.post_attention_layernorm.weight.fill_(1.0)


SICK = {
    "alike_heads_in_group": (SHAPE, every_attention(same_queries)),
    "alike_heads_across_groups": (SHAPE, every_attention(same_heads)),
    "uniform_attention": (SHAPE, every_attention(look_everywhere)),
    "pointed_attention": (SHAPE, every_attention(look_at_one)),
    "low_rank_embedding": (SHAPE, flat_embedding),
    "embedding_cone": (SHAPE, cone),
    "vanishing_gradient": (SHAPE, deaf_first_blocks),
    "idle_blocks": (SHAPE, silent_last_blocks),
    "idle_passes": (SHARED, second_pass_in_vain),
}


def test_every_sign_has_a_sickness_that_shows_it() -> None:
    assert list(SICK) == [check.name for check in HEALTH_CHECKS]
    assert all("arXiv" in check.source and check.meaning.endswith(".") for check in HEALTH_CHECKS)


@pytest.mark.parametrize("shape", [SHAPE, SHARED], ids=lambda shape: shape.label)
def test_a_healthy_network_shows_no_sign(shape: Architecture, healthy: dict[Architecture, Network], copied_text: TokenBlocks) -> None:
    assert ills(healthy[shape], copied_text) == set()


@pytest.mark.parametrize("check", SICK)
def test_a_network_made_sick_fails_its_check(check: str, healthy: dict[Architecture, Network], copied_text: TokenBlocks) -> None:
    shape, make_sick = SICK[check]
    network = Network(shape)
    network.load_state_dict(healthy[shape].state_dict())
    with torch.no_grad():
        make_sick(network)
    assert check in ills(network, copied_text)


def test_looking_changes_nothing_and_sees_the_same_twice(healthy: dict[Architecture, Network], copied_text: TokenBlocks) -> None:
    network = healthy[SHAPE]
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    first, second = (diagnose(network, copied_text, 512, CONTEXT) for _ in range(2))
    assert first == second
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(block._forward_hooks for block in layers(network))


def test_attention_maps_are_those_that_the_network_attends_with() -> None:
    """With values that are the tokens' places, what comes out of the heads is the maps themselves."""
    shape = dataclasses.replace(SHAPE, head_dim=16, layer_types=("sliding_attention",), sliding_window=5)
    attention = layers(Network(shape, seed=3))[0].self_attn
    states = torch.randn(2, 16, 32, generator=torch.Generator().manual_seed(0)) * 5
    rotary = torch.ones(16, 16), torch.zeros(16, 16)
    attention.v_proj.forward = lambda states: torch.eye(16).repeat(2, 1, 2)  # type: ignore[method-assign]
    attention.o_proj.forward = lambda states: states  # type: ignore[method-assign]
    mixed = attention(states, rotary, 5, None, 0).view(2, 16, 4, 16).transpose(1, 2)
    torch.testing.assert_close(attention_maps(attention, states, rotary, 5), mixed)


@pytest.mark.parametrize(("groups", "within", "across"), [(1, True, False), (2, True, True), (4, False, True)])
def test_similarities_that_a_shape_cannot_have_are_absent(groups: int, within: bool, across: bool, copied_text: TokenBlocks) -> None:
    shape = dataclasses.replace(SHAPE, num_key_value_heads=groups)
    found = diagnose(Network(shape), copied_text, 64, CONTEXT)
    assert (found.head_similarities_in_group is not None, found.head_similarities_across_groups is not None) == (within, across)
    names = {result.check.name for result in run_checks(found, shape)}
    assert ("alike_heads_in_group" in names, "alike_heads_across_groups" in names) == (within, across)
    assert "idle_passes" not in names


def test_a_single_block_with_a_single_head_can_be_looked_at(copied_text: TokenBlocks) -> None:
    shape = dataclasses.replace(SHAPE, num_unique_layers=1, num_attention_heads=1, num_key_value_heads=1, layer_types=("full_attention",))
    found = diagnose(Network(shape), copied_text, 10_000, 1)
    assert found.tokens == 1024
    assert found.attention_entropies == ((0.0,),)
    assert "vanishing_gradient" not in {result.check.name for result in run_checks(found, shape)}


def test_a_plateau_is_the_idle_blocks_at_the_end() -> None:
    assert [plateau(changes) for changes in ([0.5, 0.01, 0.3], [0.5, 0.01, 0.0], [0.0, 0.0])] == [0, 2, 2]


@pytest.fixture(scope="module")
def sick_record(copied_text: TokenBlocks) -> TrialRecord:
    record = sample_records(3)[2]
    assert record.training is not None
    depth = record.architecture.num_hidden_layers
    found = Diagnostics(
        tokens=1024,
        attention_entropies=((0.5,) * record.architecture.num_attention_heads,) * depth,
        head_similarities_in_group=None,
        head_similarities_across_groups=(0.4,) * depth,
        embedding_effective_rank=0.1,
        embedding_mean_cosine=0.2,
        gradient_norms=(0.3,) * depth,
        residual_changes=(0.3,) + (0.001,) * (depth - 1),
    )
    return dataclasses.replace(record, training=dataclasses.replace(record.training, diagnostics=found))


def test_diagnostics_survive_the_record(tmp_path: Path, sick_record: TrialRecord) -> None:
    append(tmp_path, sick_record)
    assert read_records(tmp_path) == [sick_record]


def test_diagnostics_with_a_number_that_is_not_finite_are_absent(tmp_path: Path, sick_record: TrialRecord) -> None:
    assert sick_record.training is not None
    assert sick_record.training.diagnostics is not None
    broken = dataclasses.replace(sick_record.training.diagnostics, gradient_norms=(float("nan"), 1.0))
    append(tmp_path, dataclasses.replace(sick_record, training=dataclasses.replace(sick_record.training, diagnostics=broken)))
    [read] = read_records(tmp_path)
    assert read.training is not None
    assert read.training.diagnostics is None
    assert check_results(read) == []


def test_what_fires_stands_in_report_rows_and_mlflow(sick_record: TrialRecord) -> None:
    names = [result.check.name for result in failed_checks(sick_record)]
    assert names[:2] == ["low_rank_embedding", "idle_blocks"]
    told = ", ".join(names)
    page = report_page(sample_summary(), [sick_record], {})
    depth = sick_record.architecture.num_hidden_layers
    assert "1 of 1 diagnosed trial shows a failed health check" in page
    assert f"The stream is on a plateau: the last {depth - 1} of {depth} are idle." in page
    assert "arXiv 1907.12009" in page
    assert trial_row(sick_record, None, front_of([sick_record]), estimate_membership(front_of([sick_record])))["failed_checks"] == told
    run = trial_run(sick_record)
    assert run.tags["archfront.failed_checks"] == told
    assert run.parameters["check_low_rank_embedding"] == "0.1"


def test_a_trial_without_diagnostics_says_nothing() -> None:
    record = sample_records(3)[2]
    assert trial_row(record, None, front_of([record]), estimate_membership(front_of([record])))["failed_checks"] is None
    assert "archfront.failed_checks" not in trial_run(record).tags
    assert "Health checks" not in report_page(sample_summary(), [record], {})


def test_training_leaves_diagnostics_that_json_can_hold(copied_text: TokenBlocks) -> None:
    recipe = ProxySpec(tokens=1024, context_tokens=16, batch_sequences=4, evaluations=1, evaluation_tokens=64)
    _, training = train(SHAPE, copied_text, recipe, seed=0)
    assert training.diagnostics is not None
    assert training.diagnostics.tokens == 64
    json.dumps(dataclasses.asdict(training.diagnostics), allow_nan=False)


def test_a_trained_network_is_not_lost_where_there_is_no_memory_to_look(copied_text: TokenBlocks, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Diagnostics:
        raise MemoryError

    monkeypatch.setattr("trials.training.proxy_run.diagnose", full)
    _, training = train(SHAPE, copied_text, ProxySpec(tokens=512, context_tokens=16, batch_sequences=4, evaluation_tokens=64), seed=0)
    assert training.diagnostics is None
    assert training.validation is not None


@pytest.mark.parametrize("name", ["attention_entropies", "gradient_norms", "residual_changes"])
def test_a_sign_is_absent_where_a_record_has_lost_what_it_is_seen_by(name: str) -> None:
    records = read_records(Path(__file__).parents[2] / "data/schema-1/search")
    found = [(record.training.diagnostics, record.architecture) for record in records if record.training and record.training.diagnostics]
    assert found
    for whole, architecture in found:
        lost = {result.check.name for result in run_checks(dataclasses.replace(whole, **{name: ()}), architecture)}  # type: ignore[arg-type]
        assert lost < {result.check.name for result in run_checks(whole, architecture)} or architecture.num_hidden_layers == 1
