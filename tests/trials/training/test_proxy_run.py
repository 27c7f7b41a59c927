"""Training as a trial uses it, on tiny corpora: what is learnt, what is counted, and what happens when it goes wrong."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from analysis.records.training import CurvePoint
from search_space.architecture import Architecture
from search_space.cost import parameters, training_flops_per_token
from search_space.errors import SpecError
from search_space.sharing import Sharing
from trials.corpus.blocks import TokenBlocks
from trials.machine.memory import PeakMemory
from trials.network.decoder import Network
from trials.study.spec import ProxySpec
from trials.training.conditions import Conditions
from trials.training.evaluation import evaluate
from trials.training.failures import Diverged, OutOfMemory, TimedOut, memory_errors
from trials.training.muon import Muon, orthogonalised
from trials.training.optimizers import make_optimizers
from trials.training.proxy_run import ProxyRun, train
from trials.training.schedules import COSINE_FLOOR, RunLength, evaluations_made, rate_factor

VOCAB = 32
SHAPE = Architecture(
    vocab_size=VOCAB, hidden_size=16, num_unique_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8, intermediate_size=32
)
STEP = 64
"""Tokens of a step of these recipes."""


def recipe(**changes: object) -> ProxySpec:
    budget = {} if {"tokens", "seconds", "tokens_per_parameter", "flops"} & changes.keys() else {"tokens": 40 * STEP}
    rates = {"learning_rate": 2e-3, "muon_learning_rate": 1e-2, "parametrization": "standard"}
    usual = {"context_tokens": 16, "batch_sequences": 4, "evaluation_tokens": 256, "evaluations": 2, **rates}
    return ProxySpec.model_validate({**usual, **budget, **changes})


def made_of(train_ids: np.ndarray, others: np.ndarray, bytes_per_token: np.ndarray | None = None) -> TokenBlocks:
    sizes = np.full(VOCAB, 2, np.int32) if bytes_per_token is None else bytes_per_token
    return TokenBlocks(train_ids, others, others, VOCAB, sizes, "made up", "0" * 64, None)


@pytest.fixture(scope="module")
def periodic() -> TokenBlocks:
    """A text that repeats every seven tokens."""
    ids = np.resize(np.arange(0, 28, 4), 4000).astype(np.uint16)
    return made_of(ids, ids[:600])


@pytest.fixture(scope="module")
def noise() -> TokenBlocks:
    ids = np.random.default_rng(0).integers(0, VOCAB, 4600).astype(np.uint16)
    return made_of(ids[:4000], ids[4000:])


@pytest.fixture
def even_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock by which every step takes as long as any other, 1/128 s, however busy the machine is."""
    readings = itertools.count()
    monkeypatch.setattr("trials.training.tally.time", SimpleNamespace(perf_counter=lambda: next(readings) / 256))


@pytest.mark.parametrize(("optimizer", "schedule"), [("muon", "wsd"), ("adamw", "cosine")])
def test_a_text_that_repeats_is_learnt(periodic: TokenBlocks, optimizer: str, schedule: str) -> None:
    _, training = train(
        SHAPE,
        periodic,
        recipe(optimizer=optimizer, schedule=schedule, tokens=60 * STEP, learning_rate=0.02, muon_learning_rate=0.04),
        seed=0,
    )
    assert training.validation is not None
    assert training.validation.loss < 0.5 < math.log(VOCAB)
    assert training.validation.next_token_accuracy > 0.9


def test_noise_is_not_learnt(noise: TokenBlocks) -> None:
    _, training = train(SHAPE, noise, recipe(), seed=0)
    assert training.validation is not None
    assert training.validation.loss == pytest.approx(math.log(VOCAB), abs=0.1)
    assert training.validation.next_token_accuracy < 0.2


def test_the_record_says_what_was_done(periodic: TokenBlocks) -> None:
    seen: list[CurvePoint] = []
    network, training = train(SHAPE, periodic, recipe(), seed=0, progress=seen.append)
    assert training.tokens == training.planned_tokens == 40 * STEP
    assert training.steps == 40
    assert training.parameters == sum(p.numel() for p in network.parameters())
    assert training.curve == tuple(seen)
    assert training.tokens_per_second == pytest.approx(training.tokens / training.wall_seconds)
    assert training.process_seconds > 0
    assert training.peak_memory_bytes is not None
    assert training.peak_memory_bytes > 10_000_000
    assert (training.device, training.precision, training.threads, training.corpus_sha256) == ("cpu", "float32", 1, "0" * 64)


def test_the_curve_has_losses_at_growing_tokens_and_evaluations_where_the_recipe_asks(periodic: TokenBlocks) -> None:
    _, training = train(SHAPE, periodic, recipe(tokens=100 * STEP, evaluations=4), seed=0)
    tokens = [point.tokens for point in training.curve]
    assert tokens == sorted(set(tokens))
    assert [point.tokens for point in training.curve if point.validation_loss is not None] == [n * 25 * STEP for n in (1, 2, 3, 4)]
    assert all(point.training_loss is not None and point.learning_rate is not None for point in training.curve)
    assert training.validation is not None
    assert training.curve[-1].validation_loss == training.validation.loss
    assert training.wall_seconds == training.curve[-1].seconds


def test_the_same_seed_gives_the_same_losses_bit_for_bit_and_another_seed_does_not(periodic: TokenBlocks) -> None:
    losses = [[point.training_loss for point in train(SHAPE, periodic, recipe(), seed=seed)[1].curve] for seed in (3, 3, 4)]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_run_that_stops_at_a_rung_and_goes_on_elsewhere_equals_one_that_does_not(
    periodic: TokenBlocks, optimizer: str, tmp_path: Path
) -> None:
    whole = ProxyRun(SHAPE, periodic, recipe(optimizer=optimizer), seed=1)
    whole.run()
    first = ProxyRun(SHAPE, periodic, recipe(optimizer=optimizer), seed=1)
    first.run(until_tokens=13 * STEP - 1)
    assert first.tokens == 13 * STEP
    torch.save(first.state(), tmp_path / "state.pt")
    second = ProxyRun(SHAPE, periodic, recipe(optimizer=optimizer), seed=1)
    second.run(until_tokens=STEP)
    second.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    second.run(until_tokens=20 * STEP)
    second.restore(second.state())
    assert second.result().planned_tokens == 40 * STEP
    second.run()
    for ours, theirs in zip(second.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert second.result().validation == whole.result().validation
    assert second.result().steps == 40
    at_20 = [point for run in (whole, second) for point in run.result().curve if point.tokens == 20 * STEP]
    assert at_20[0].validation_loss == at_20[1].validation_loss


def test_a_state_does_not_change_when_its_run_goes_on(periodic: TokenBlocks) -> None:
    run = ProxyRun(SHAPE, periodic, recipe(), seed=0)
    run.run(until_tokens=5 * STEP)
    state = run.state()
    before = {name: value.clone() for name, value in state["weights"].items()}
    run.run()
    assert all(torch.equal(before[name], value) for name, value in state["weights"].items())


def test_a_run_that_is_done_stays_as_it_is(periodic: TokenBlocks) -> None:
    run = ProxyRun(SHAPE, periodic, recipe(), seed=0)
    run.run()
    result = run.result()
    run.run()
    assert run.result() == result


def test_a_run_has_no_result_before_its_first_step(periodic: TokenBlocks) -> None:
    with pytest.raises(ValueError, match="first step"):
        ProxyRun(SHAPE, periodic, recipe(), seed=0).result()


def test_shared_blocks_are_trained_once(periodic: TokenBlocks) -> None:
    shared = dataclasses.replace(SHAPE, sharing=Sharing("repeat_all_over", 2))
    network, training = train(shared, periodic, recipe(), seed=0)
    parameters = [p for optimizer in make_optimizers(network, recipe()) for group in optimizer.param_groups for p in group["params"]]
    assert len(parameters) == len({id(p) for p in parameters}) == len(list(network.parameters()))
    assert training.parameters == sum(p.numel() for p in parameters)


def test_bits_per_byte_count_the_bytes_of_the_predicted_tokens() -> None:
    sizes = np.arange(VOCAB, dtype=np.int32)  # token n stands for n bytes, token 0 for the end of a text
    ids = np.random.default_rng(5).integers(0, VOCAB, 65).astype(np.uint16)
    blocks, network = made_of(ids, ids, sizes), Network(SHAPE, seed=0)
    quality = evaluate(network, blocks, "test", tokens=64, context_tokens=16)
    nats, hits, size = 0.0, 0, 0
    with torch.no_grad():
        for start in range(0, 64, 16):
            window = torch.from_numpy(ids[start : start + 17].astype(np.int64))
            probabilities = torch.softmax(network(window[None, :-1])[0].double(), -1)
            for place, target in enumerate(window[1:].tolist()):
                nats -= math.log(probabilities[place, target].item())
                hits += int(probabilities[place].argmax().item() == target)
                size += target
    assert quality.tokens == 64
    assert quality.loss == pytest.approx(nats / 64, rel=1e-5)
    assert quality.bits_per_byte == pytest.approx(nats / math.log(2) / size, rel=1e-5)
    assert quality.next_token_accuracy == hits / 64
    assert (quality.documents, quality.standard_error) == (None, None)


def test_a_loss_knows_how_many_documents_it_is_of() -> None:
    sizes, ids = np.ones(VOCAB, np.int32), np.random.default_rng(5).integers(1, VOCAB, 65).astype(np.uint16)
    starts = np.arange(0, 65, 13)
    blocks = dataclasses.replace(made_of(ids, ids, sizes), unit_starts={"test": starts})
    quality = evaluate(Network(SHAPE, seed=0), blocks, "test", tokens=64, context_tokens=16)
    assert quality.documents == len(starts) == 5
    assert quality.standard_error is not None
    assert 0 < quality.standard_error < quality.bits_per_byte / 4
    units = blocks.evaluated_units("test", 64, 16)
    assert units is not None
    assert np.bincount(units.ravel()).tolist() == [12, 13, 13, 13, 13]  # the first token is no target


def test_an_evaluation_in_several_passes_pauses_before_each_and_gives_one_result(
    noise: TokenBlocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(SHAPE, seed=0)
    whole = evaluate(network, noise, "validation", 256, 16)
    monkeypatch.setattr("trials.training.evaluation.TOKENS_AT_ONCE", 4 * 16)
    pauses: list[int] = []
    pieces = evaluate(network, noise, "validation", 256, 16, pause=lambda: pauses.append(1))
    assert len(pauses) == 4
    assert pieces.loss == pytest.approx(whole.loss, rel=1e-6)
    assert pieces.next_token_accuracy == whole.next_token_accuracy


def test_muon_has_the_matrices_of_the_blocks_and_adamw_the_rest() -> None:
    network = Network(dataclasses.replace(SHAPE, tie_word_embeddings=False), seed=0)
    names = {id(p): name for name, p in network.named_parameters()}
    adamw, muon = make_optimizers(network, recipe(weight_decay=0.2, learning_rate=0.003, muon_learning_rate=0.03))
    assert isinstance(adamw, torch.optim.AdamW)
    assert isinstance(muon, Muon)
    matrices = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    assert matrices == {name for name in names.values() if "_proj." in name}
    rest = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    assert {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"} < rest
    assert [(group["lr"], group["weight_decay"]) for group in muon.param_groups] == [(0.03, 0.2)]
    assert [(group["lr"], group["weight_decay"], group["betas"], group["eps"]) for group in adamw.param_groups] == [
        (0.003, 0.0, (0.9, 0.95), 1e-8)
    ]


def test_adamw_alone_decays_the_matrices_of_the_blocks_only() -> None:
    network = Network(SHAPE, seed=0)
    (adamw,) = make_optimizers(network, recipe(optimizer="adamw", weight_decay=0.2))
    decay = {id(p): group["weight_decay"] for group in adamw.param_groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        assert decay[id(parameter)] == (0.2 if "_proj." in name else 0.0), name


def test_muon_moves_matrices_as_torch_does() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(24, 24), (8, 24), (24, 8), (24, 24), (8, 24), (1, 24)]
    ours = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    one, other = Muon(ours, lr=0.02, weight_decay=0.1), torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1)
    for _ in range(3):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn(p.shape, generator=generator)
            q.grad = p.grad.clone()
        one.step()
        other.step()  # type: ignore[no-untyped-call]
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, atol=0.003, rtol=0)  # torch iterates in bfloat16; a step is 0.02 to 0.035 in its direction


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    matrices = torch.randn(3, 12, 40, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-4, 1.0, 1e4])[:, None, None]
    for batch in (matrices, matrices.mT):
        values = torch.linalg.svdvals(orthogonalised(batch))
        assert values.min() > 0.6
        assert values.max() < 1.3


def test_warm_up_stable_and_decay() -> None:
    proxy = recipe(warmup=0.1, decay=0.4)
    assert [rate_factor(proxy, share) for share in (0.0, 0.05, 0.1, 0.6)] == [0.0, 0.5, 1.0, 1.0]
    assert rate_factor(proxy, 0.8) == pytest.approx(0.5)
    assert rate_factor(proxy, 1.0) == 0.0
    assert rate_factor(recipe(warmup=0.0, decay=0.0), 0.0) == rate_factor(recipe(warmup=0.0, decay=0.0), 1.0) == 1.0
    assert rate_factor(recipe(warmup=0.0, decay=1.0), 0.25) == 0.75


def test_cosine_falls_to_a_tenth() -> None:
    proxy = recipe(schedule="cosine", warmup=0.2)
    assert [rate_factor(proxy, share) for share in (0.1, 0.2)] == [0.5, 1.0]
    assert rate_factor(proxy, 0.6) == pytest.approx((1 + COSINE_FLOOR) / 2)
    assert rate_factor(proxy, 1.0) == pytest.approx(COSINE_FLOOR)


def test_the_plan_rounds_tokens_to_steps_and_counts_tokens_per_parameter_and_flops() -> None:
    assert RunLength.of(recipe(tokens=1000), SHAPE).steps == 16
    assert RunLength.of(recipe(tokens=1), SHAPE).steps == 1
    assert RunLength.of(recipe(tokens_per_parameter=2.5), SHAPE).steps == round(2.5 * parameters(SHAPE) / STEP)
    assert RunLength.of(recipe(flops=1e9), SHAPE).steps == round(1e9 / training_flops_per_token(SHAPE, 16) / STEP)
    assert RunLength.of(recipe(seconds=3.0), SHAPE).share(7, 1.5) == 0.5
    assert RunLength.of(recipe(seconds=3.0), SHAPE).planned_tokens(7, 1.5) == 14 * STEP


@pytest.mark.parametrize("changes", [{"tokens": 40 * STEP}, {"flops": 2e8}])
def test_shapes_meet_the_same_batches_in_the_same_order_and_spend_what_the_study_says(
    periodic: TokenBlocks, changes: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[np.ndarray] = []
    batch = TokenBlocks.batch

    def recorded(self: TokenBlocks, seed: int, step: int, sequences: int, context_tokens: int) -> np.ndarray:
        taken.append(batch(self, seed, step, sequences, context_tokens))
        return taken[-1]

    monkeypatch.setattr(TokenBlocks, "batch", recorded)
    trained = []
    for shape in (SHAPE, dataclasses.replace(SHAPE, num_unique_layers=4, sharing=Sharing("immediate", 2))):
        start = len(taken)
        trained.append((train(shape, periodic, recipe(**changes), seed=0)[1], taken[start:], training_flops_per_token(shape, 16)))
    (one, ours, our_flops), (other, theirs, their_flops) = trained
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=False))
    if "tokens" in changes:
        assert one.tokens == other.tokens == 40 * STEP
    else:
        assert one.tokens > 1.5 * other.tokens
        assert one.tokens * our_flops == pytest.approx(2e8, abs=STEP * our_flops / 2)
        assert other.tokens * their_flops == pytest.approx(2e8, abs=STEP * their_flops / 2)


def test_tokens_per_parameter_train_larger_shapes_longer(periodic: TokenBlocks) -> None:
    _, training = train(SHAPE, periodic, recipe(tokens_per_parameter=0.5), seed=0)
    assert training.tokens == round(training.parameters * 0.5 / STEP) * STEP


@pytest.mark.usefixtures("even_clock")
def test_a_budget_of_seconds_ends_with_the_clock_and_decays_to_its_end(periodic: TokenBlocks) -> None:
    _, training = train(SHAPE, periodic, recipe(seconds=0.5), seed=0)
    assert 0.5 <= training.wall_seconds < 0.52
    assert training.planned_tokens == training.tokens
    assert [point.seconds > 0.24 for point in training.curve if point.validation_loss is not None] == [True, True]
    rates = [point.learning_rate or 0.0 for point in training.curve]
    assert rates[-1] < 0.1 * max(rates)


def test_pauses_count_in_no_time_that_is_reported(periodic: TokenBlocks) -> None:
    def pause() -> float:
        time.sleep(0.01)
        return 0.01

    began = time.perf_counter()
    _, training = train(SHAPE, periodic, recipe(), seed=0, conditions=Conditions(pause=pause, deadline_seconds=30))
    paused = 0.01 * 40
    assert training.wall_seconds < time.perf_counter() - began - paused


def test_a_loss_that_is_no_number_is_a_divergence_that_keeps_what_was_measured(periodic: TokenBlocks) -> None:
    with pytest.raises(Diverged, match=r"loss was (nan|inf) nats per token by [\d,]+ tokens.*lower proxy\.learning_rate") as caught:
        train(SHAPE, periodic, recipe(optimizer="adamw", learning_rate=1e30, gradient_clip=1e30, warmup=0.0), seed=0)
    training = caught.value.training
    assert training is not None
    assert training.tokens < training.planned_tokens
    assert training.validation is None


@pytest.mark.usefixtures("even_clock")
def test_the_deadline_ends_a_run_and_says_how_far_it_came(noise: TokenBlocks) -> None:
    with pytest.raises(TimedOut, match=r"deadline of 0\.3 seconds passed after [\d,]+ tokens, \d+% of the proxy") as caught:
        train(SHAPE, noise, recipe(tokens=10**9), seed=0, conditions=Conditions(deadline_seconds=0.3))
    training = caught.value.training
    assert training is not None
    assert training.tokens < training.planned_tokens == pytest.approx(10**9, rel=1e-6)


def test_what_was_evaluated_earlier_is_not_the_result_of_a_run_that_fell_later(periodic: TokenBlocks) -> None:
    calls: list[int] = []

    def fall() -> float:
        calls.append(1)
        if len(calls) == 30:
            raise RuntimeError("the machine is on fire")
        return 0.0

    run = ProxyRun(SHAPE, periodic, recipe(evaluations=4), seed=0, conditions=Conditions(pause=fall))
    with pytest.raises(RuntimeError, match="on fire"):
        run.run()
    result = run.result()
    assert 20 * STEP < result.tokens < 30 * STEP
    assert result.validation is None
    assert [point.tokens for point in result.curve if point.validation_loss is not None] == [10 * STEP, 20 * STEP]


def test_a_deadline_that_has_passed_already_makes_no_step(noise: TokenBlocks) -> None:
    with pytest.raises(TimedOut) as caught:
        train(SHAPE, noise, recipe(), seed=0, conditions=Conditions(deadline_seconds=-1.0))
    assert caught.value.training is None


def test_memory_that_torch_cannot_have_is_recognised() -> None:
    with pytest.raises(OutOfMemory, match=r"lower proxy\.batch_sequences"), memory_errors():
        torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(OutOfMemory, match=r"lower proxy\.batch_sequences"), memory_errors():
        bytearray(1 << 60)
    with pytest.raises(RuntimeError, match="size of tensor"), memory_errors():
        torch.ones(2) + torch.ones(3)


def test_a_batch_that_no_memory_holds_is_out_of_memory(periodic: TokenBlocks) -> None:
    with pytest.raises(OutOfMemory) as caught:
        train(SHAPE, periodic, recipe(batch_sequences=10**15), seed=0)
    assert caught.value.training is None


def test_peak_memory_is_that_of_the_run_and_not_of_an_earlier_one() -> None:
    device = torch.device("cpu")
    large = PeakMemory(device)
    torch.ones(100_000_000 // 4)
    first, after = large.peak_bytes(), PeakMemory(device).peak_bytes()
    assert first is not None
    assert after is None or after < first - 50_000_000


def test_bfloat16_products_learn_too_and_keep_float32_weights(periodic: TokenBlocks) -> None:
    network, training = train(
        SHAPE, periodic, recipe(precision="bfloat16", tokens=60 * STEP, learning_rate=0.02, muon_learning_rate=0.04), seed=0
    )
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert training.precision == "bfloat16"
    assert training.validation is not None
    assert training.validation.loss < 0.5


def test_blocks_of_another_vocabulary_are_refused(periodic: TokenBlocks) -> None:
    with pytest.raises(SpecError, match=r"vocab_size must be that of its token blocks \(32\), found 64"):
        train(dataclasses.replace(SHAPE, vocab_size=64), periodic, recipe(), seed=0)


def test_training_writes_no_file_and_no_line(
    periodic: TokenBlocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    train(SHAPE, periodic, recipe(), seed=0)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("changes", "looks"),
    [
        ({"evaluations": 1}, ()),
        ({"evaluations": 4}, (0.25, 0.5, 0.75)),
        ({"evaluations": 4}, (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)),
        ({"evaluations": 3, "tokens": 50 * STEP}, (1 / 16, 1 / 3, 0.9)),
        ({"evaluations": 30, "tokens": 7 * STEP}, (0.5,)),
        ({"evaluations": 1, "cooldowns": [0.25, 0.5], "schedule": "wsd"}, ()),
        ({"evaluations": 2, "cooldowns": [0.4], "schedule": "wsd"}, ()),
    ],
)
def test_a_plan_counts_the_evaluations_that_a_run_makes(
    periodic: TokenBlocks, changes: dict[str, object], looks: tuple[float, ...]
) -> None:
    run = ProxyRun(SHAPE, periodic, recipe(**changes), seed=0)
    for _ in run.stretches(looks):
        pass
    made = sum(point.validation_loss is not None for point in run.result().curve)
    assert evaluations_made(SHAPE, recipe(**changes), looks) == made
