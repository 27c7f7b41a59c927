"""The loss in pieces against torch's own, and the memory that it does not take."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from search_space.architecture import Architecture
from tests.support.sample_network import spread_out
from trials.training import loss
from trials.training.evaluation import _score
from trials.training.loss import cross_entropy

TOKENS, WIDTH, VOCAB = 300, 24, 101


@pytest.fixture(params=["at once", "in three pieces"])
def any_pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in three pieces":
        monkeypatch.setitem(loss.LOGITS_AT_ONCE, "cpu", 1)
        assert -(-TOKENS // loss.tokens_at_once(VOCAB)) == 3


def made_up(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """States, an output projection with which some targets are likely and others are not, and targets."""
    generator = torch.Generator().manual_seed(seed)
    states, weight = torch.randn(TOKENS, WIDTH, generator=generator), torch.randn(VOCAB, WIDTH, generator=generator)
    return states.requires_grad_(), weight.requires_grad_(), torch.randint(VOCAB, (TOKENS,), generator=generator)


@pytest.mark.usefixtures("any_pieces")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_loss_and_gradients_equal_those_of_torch(precision: str) -> None:
    (states, weight, targets), (same_states, same_weight, _) = made_up(), made_up()
    low = precision == "bfloat16"
    with torch.autocast("cpu", torch.bfloat16) if low else contextlib.nullcontext():
        ours = cross_entropy(states, weight, targets)
        theirs = functional.cross_entropy(functional.linear(same_states, same_weight), targets)
    ((ours * 0.5).backward(), (theirs * 0.5).backward())  # type: ignore[no-untyped-call]
    assert ours.dtype is torch.float32
    assert ours.item() == pytest.approx(theirs.item(), rel=2e-3 if low else 1e-6)
    for gradient, expected in ((states.grad, same_states.grad), (weight.grad, same_weight.grad)):
        assert gradient is not None
        assert expected is not None
        assert gradient.dtype is torch.float32
        torch.testing.assert_close(gradient, expected, rtol=0, atol=(0.02 if low else 1e-5) * expected.abs().max().item())


@pytest.mark.usefixtures("any_pieces")
def test_a_network_whose_table_is_read_twice_has_the_gradients_that_it_has_with_all_logits() -> None:
    shape = Architecture(
        vocab_size=VOCAB,
        hidden_size=WIDTH,
        num_unique_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=12,
        intermediate_size=32,
    )
    tokens = torch.randint(VOCAB, (6, TOKENS // 6 + 1), generator=torch.Generator().manual_seed(1))
    inputs, targets = tokens[:, :-1], tokens[:, 1:].flatten()
    pieces, whole = spread_out(shape), spread_out(shape)
    torch.autograd.backward(cross_entropy(pieces.hidden_states(inputs).flatten(0, 1), pieces.output_weight, targets))
    torch.autograd.backward(functional.cross_entropy(whole(inputs).flatten(0, 1), targets))
    for ours, theirs in zip(pieces.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("any_pieces")
def test_an_evaluation_in_pieces_counts_nats_and_hits_of_every_token() -> None:
    states, weight, targets = made_up()
    logits = states @ weight.T
    targets[::2] = logits.argmax(-1)[::2]
    nats, hits = _score(states, weight, targets)
    assert nats.sum().item() == pytest.approx(functional.cross_entropy(logits, targets, reduction="sum").item(), rel=1e-6)
    assert hits == int((logits.argmax(-1) == targets).sum().item()) >= TOKENS // 2


LARGE_VOCABULARY = """
import torch
from trials.machine.memory import PeakMemory
from trials.training.loss import cross_entropy
tokens, vocab = {tokens}, {vocab}
states, weight = torch.randn(tokens, 16, requires_grad=True), torch.zeros(vocab, 16, requires_grad=True)
before, memory = PeakMemory(torch.device("cpu")).peak_bytes(), PeakMemory(torch.device("cpu"))
torch.autograd.backward(cross_entropy(states, weight, torch.zeros(tokens, dtype=torch.long)))
after = memory.peak_bytes()
print(0 if after is None or before is None else after - before)
"""


@pytest.mark.more
def test_the_logits_of_a_large_vocabulary_never_stand_whole_in_memory() -> None:
    """In a process of its own: the peak is that of a whole process, and one that other tests have run in has threads that go on."""
    tokens, vocab = 4096, 64_000
    asked = [sys.executable, "-c", LARGE_VOCABULARY.format(tokens=tokens, vocab=vocab)]
    told = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=300, cwd=Path(__file__).resolve().parents[3])
    assert int(told.stdout) < 4 * tokens * vocab / 2
