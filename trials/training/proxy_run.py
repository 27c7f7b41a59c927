"""A short training run of one shape: its curve, what it learnt, and what that took."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from analysis.records.training import Cooldown, CurvePoint, Diagnostics, Quality, Training
from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.corpus.blocks import TokenBlocks
from trials.machine.memory import PeakMemory, usable_bytes
from trials.network.decoder import Network
from trials.rounding.network import rounded
from trials.rounding.table import trained_rounding
from trials.study.spec import ProxySpec
from trials.training.compilation import compiled_blocks
from trials.training.conditions import ALONE, Conditions, own_sequences
from trials.training.diagnostics import diagnose
from trials.training.evaluation import Scores, score
from trials.training.failures import Diverged, OutOfMemory, TimedOut, TrainingFailed, memory_errors
from trials.training.footprint import fit_batch
from trials.training.lightning_loop import Batches, Stretch, trainer
from trials.training.optimizers import average, make_optimizers, own_part, set_rates
from trials.training.parametrization import reparametrize
from trials.training.schedules import RunLength, ending_at, rate_factor
from trials.training.tally import Tally

CURVE_POINTS = 32
"""Points of a whole run's curve, evenly spaced; an evaluation between two of them adds its own."""
STEPS_BETWEEN_CHECKS = 16
"""How often the loss is looked at: looking makes a GPU wait, and a sum that was once not finite stays so."""


def train(
    architecture: Architecture,
    blocks: TokenBlocks,
    proxy: ProxySpec,
    *,
    seed: int,
    conditions: Conditions = ALONE,
    progress: Callable[[CurvePoint], None] | None = None,
) -> tuple[Network, Training]:
    """Train a shape by the recipe from its first step to its last; the arguments are those of ProxyRun.

    Raises Diverged, OutOfMemory or TimedOut, with what was measured until then. The network comes back on the CPU.
    """
    run = ProxyRun(architecture, blocks, proxy, seed=seed, conditions=conditions, progress=progress)
    for _ in run.stretches():
        pass
    return run.network, replace(run.result(), diagnostics=run.diagnose())


class ProxyRun:
    """One shape on its way through the recipe, in as many stretches as the caller likes.

    A run that stops at a rung and goes on from its state, in this process or in another one, makes the same steps as a run that
    does not, bit for bit on the same kind of machine with the same number of threads. Only where the budget is seconds do the
    schedule and the end follow the clock.
    """

    def __init__(
        self,
        architecture: Architecture,
        blocks: TokenBlocks,
        proxy: ProxySpec,
        *,
        seed: int,
        conditions: Conditions = ALONE,
        progress: Callable[[CurvePoint], None] | None = None,
    ) -> None:
        """Build the network; `seed` decides its weights and the order of the data.

        The deadline of the `conditions` is for training and evaluation together. `progress` gets every new point of the curve. A batch
        that does not fit into their memory goes through in parts whose gradients are summed; raises OutOfMemory where not even one
        sequence fits.
        """
        proxy = proxy.plain()
        if blocks.vocab_size != architecture.vocab_size:
            raise SpecError(
                f"the shape's vocab_size must be that of its token blocks ({blocks.vocab_size}), found {architecture.vocab_size}; "
                "prepare the corpus for the shape's vocabulary"
            )
        self._device = torch.device(conditions.device)
        available = usable_bytes(self._device) if conditions.memory_bytes is None else conditions.memory_bytes
        own = proxy.model_copy(update={"batch_sequences": own_sequences(proxy.batch_sequences, conditions.part)})
        self.micro_batches = fit_batch(architecture, own, available, device=self._device.type).micro_batches
        with memory_errors():
            self.network = Network(architecture, seed)
            reparametrize(self.network, proxy)
        self._parameters = list(self.network.parameters())  # finding them takes longer than clipping, where a step is short
        self.optimizers = make_optimizers(self.network, proxy)
        self.plan = RunLength.of(proxy, architecture)
        self._blocks, self._proxy, self._seed = blocks, proxy, seed
        self._conditions, self._progress = conditions, progress
        self._rounding = trained_rounding(proxy)
        self.tally = Tally()
        self.scores: Scores | None = None
        """What the last evaluation was made of; None before the first, and after a `restore`."""
        self._losses: list[Tensor] = []
        self._loss_sum, self._loss_steps = 0.0, 0
        self._process_since = 0.0

    @property
    def compiles_loss(self) -> bool:
        """Whether torch compiles the loss too: a processor reads a piece's logits from its caches, and compiling costs seconds."""
        return self._proxy.compile is True and self._device.type == "cuda"

    @property
    def steps(self) -> int:
        """Steps made so far."""
        return self.tally.steps

    @property
    def tokens(self) -> int:
        """Tokens trained on so far."""
        return self.steps * self.plan.tokens_per_step

    def run(self, until_tokens: int | None = None) -> None:
        """Train to the end, or until at least so many tokens have been seen in all, and evaluate there.

        Raises Diverged, OutOfMemory or TimedOut; `result` still tells what was measured until then.
        """
        if self._ends_here(until_tokens):
            return
        torch.set_num_threads(self._conditions.threads)
        memory, self._process_since = PeakMemory(self._device), time.process_time()
        try:
            with memory_errors(), warnings.catch_warnings(), compiled_blocks(self.network, self._proxy.compile is True):
                # Lightning 2.6 asks torch 2.13 for a class that torch is about to drop
                warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)`", category=FutureWarning)
                trainer(self._device, self._proxy.precision).fit(Stretch(self, until_tokens), Batches(self))
        finally:
            peaks = [peak for peak in (memory.peak_bytes(), self.tally.peak_memory_bytes) if peak is not None]
            self.tally.peak_memory_bytes = max(peaks, default=None)
            self._count_process_seconds()

    def stretches(self, looks: Sequence[float] = ()) -> Iterator[int]:
        """Train to the end with the recipe's cooldowns; yields, evaluated, the tokens at each of these shares of the run before it goes on.

        A run that was restored goes on from where it is: cooldowns that it has are not made again, and looks behind it are passed over.
        Raises as `run` does, with what was measured until then.
        """
        shares = [
            (ending_at(self._proxy, self.plan, share)[1], share, True) for share in self._proxy.cooldowns[len(self.tally.cooldowns) :]
        ]
        shares += [(self.plan.look_tokens(share) // self.plan.tokens_per_step, share, False) for share in looks]
        try:
            for steps, share, is_cooldown in sorted(shares):
                if is_cooldown:
                    self.add_cooldown(share)
                elif self.steps <= steps and not self._ends_here(None):
                    self.run(until_tokens=steps * self.plan.tokens_per_step)
                    yield self.tokens
            self.run()
        except TrainingFailed as failure:
            failure.training = self.result() if self.steps else None
            raise

    def branch(self, share: float) -> ProxyRun:
        """The run that ends at that share of this one's tokens, brought to its decay; this one is taken there too and stays as it is.

        `run` on the branch gives the finished loss there. It is, bit for bit, the run whose budget ends there with this one's warm-up,
        because until its decay the two make the same steps. This run must not have gone farther than that.
        """
        proxy, start = ending_at(self._proxy, self.plan, share)
        if self.steps > start:
            raise ValueError(f"a branch that decays from step {start} cannot leave a run that has made {self.steps}")
        self.run(until_tokens=start * self.plan.tokens_per_step)
        branch = ProxyRun(self.network.architecture, self._blocks, proxy, seed=self._seed, conditions=self._conditions)
        branch.restore(self.state())
        branch.tally.share = branch.plan.share(branch.steps, branch.tally.training_seconds)
        return branch

    def add_cooldown(self, share: float) -> None:
        """Have a branch decay to that share of the tokens and keep its finished loss; its seconds count towards the deadline only."""
        branch = self.branch(share)
        before = branch.tally.seconds
        branch.run()
        self.tally.branch_seconds += branch.tally.seconds - before
        found = branch.result().validation
        assert found is not None  # a run that came to its end was evaluated there
        self.tally.cooldowns.append(Cooldown(tokens=branch.tokens, loss=found.loss, bits_per_byte=found.bits_per_byte))

    def result(self) -> Training:
        """What was measured so far; ValueError where no step was made."""
        if not self.steps:
            raise ValueError("a run has no result before its first step")
        tally = self.tally
        evaluated_here = bool(tally.curve) and tally.curve[-1].tokens == self.tokens and tally.curve[-1].validation_loss is not None
        return Training(
            tokens=self.tokens,
            planned_tokens=self.plan.planned_tokens(self.steps, tally.training_seconds),
            steps=self.steps,
            parameters=sum(parameter.numel() for parameter in self.network.parameters()),
            validation=tally.validation if evaluated_here else None,
            tokens_per_second=self.tokens / tally.training_seconds,
            wall_seconds=tally.training_seconds,
            process_seconds=tally.process_seconds,
            evaluation_seconds=tally.evaluation_seconds,
            cooldown_seconds=tally.branch_seconds,
            peak_memory_bytes=tally.peak_memory_bytes,
            device=str(self._device),
            precision=self._proxy.precision,
            compiled=self._proxy.compile is True,
            threads=self._conditions.threads,
            micro_batches=self.micro_batches,
            corpus_sha256=self._blocks.corpus_sha256,
            text_tokens=len(self._blocks.train),
            curve=tuple(tally.curve),
            cooldowns=tuple(tally.cooldowns),
        )

    def diagnose(self) -> Diagnostics | None:
        """What the network does inside by now, for the end of a run; None where there is no memory to look."""
        if self._conditions.pause is not None:
            self._conditions.pause()
        proxy = self._proxy
        try:
            with memory_errors():
                network = self.network.to(self._device)
                return diagnose(network, self._blocks, proxy.batch_sequences * proxy.context_tokens, proxy.context_tokens)
        except OutOfMemory:
            return None  # a trial that was trained to its end is not lost for a look at it
        finally:
            self.network.cpu()

    def state(self) -> dict[str, Any]:
        """A copy, between two steps, of all that `restore` needs: tensors and plain values."""
        state = {
            "weights": {name: parameter.detach().clone() for name, parameter in self.network.named_parameters()},
            "optimizers": [copy.deepcopy(optimizer.state_dict()) for optimizer in self.optimizers],
            "tally": self.tally.as_dict(),
        }
        if self._losses or self._loss_steps:  # since the last point of the curve
            state["losses"] = {"new": [loss.clone() for loss in self._losses], "sum": self._loss_sum, "steps": self._loss_steps}
        return state

    def _count_process_seconds(self) -> None:
        now = time.process_time()
        self.tally.process_seconds += now - self._process_since
        self._process_since = now

    def restore(self, state: dict[str, Any]) -> None:
        """Go to the moment of a `state` that a run of the same shape, recipe and seed gave."""
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                parameter.copy_(state["weights"][name])
        for optimizer, values in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(copy.deepcopy(values))
        self.tally, self.scores = Tally.from_dict(state["tally"]), None
        since = state.get("losses", {"new": [], "sum": 0.0, "steps": 0})
        self._losses, self._loss_sum, self._loss_steps = [loss.to(self._device) for loss in since["new"]], since["sum"], since["steps"]

    def before_step(self) -> Tensor:
        """Wait where the machine must be quiet, set the learning rates and return the next batch, [sequences, context + 1]."""
        self._hold()
        if self._conditions.between_steps is not None:
            self.tally.leave_out(self._conditions.between_steps())
        proxy = self._proxy
        set_rates(self.optimizers, rate_factor(proxy, self.plan.share(self.steps + 0.5, self.tally.training_seconds)))
        batch = torch.from_numpy(self._blocks.batch(self._seed, self.steps, proxy.batch_sequences, proxy.context_tokens))
        return own_part(batch, self._conditions.part)

    def as_trained(self) -> AbstractContextManager[None]:
        """The context of a step's passes forward and backward: rounded over the last share of the run, where the recipe asks for that."""
        wanted = self._proxy.quantisation_aware
        share = self.plan.share(self.steps + 0.5, self.tally.training_seconds)
        return rounded(self.network, self._rounding if wanted is not None and share > 1 - wanted.last else None)

    def step(self, loss: Tensor) -> None:
        """Follow the gradient of this loss, which is computed already; the loss itself has none.

        Where several processes train, gradients and loss are first averaged over them: each then makes the same step.
        """
        if self._conditions.part[1] > 1:
            average(self._parameters, loss)
        clip_grad_norm_(self._parameters, self._proxy.gradient_clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self._losses.append(loss)

    def after_step(self, until_tokens: int | None) -> bool:
        """Count the step and add to the curve where it is due; whether the stretch ends here."""
        tally, before = self.tally, self.tally.share
        tally.steps += 1
        tally.tick()
        tally.share = self.plan.share(tally.steps, tally.training_seconds)
        ends = self._ends_here(until_tokens)
        evaluates = ends or _crosses(before, tally.share, self._proxy.evaluations)
        if evaluates or _crosses(before, tally.share, CURVE_POINTS):
            self._add_point(evaluates)
        elif len(self._losses) == STEPS_BETWEEN_CHECKS:
            self._look_at_losses()
        return ends

    def _ends_here(self, until_tokens: int | None) -> bool:
        return self.tally.share >= 1 or (until_tokens is not None and self.tokens >= until_tokens)

    def _add_point(self, evaluates: bool) -> None:
        self._look_at_losses()
        training_loss = self._loss_sum / self._loss_steps
        self._loss_sum, self._loss_steps = 0.0, 0
        validation = self._evaluate() if evaluates else None
        point = CurvePoint(
            tokens=self.tokens,
            seconds=self.tally.training_seconds,
            training_loss=training_loss,
            validation_loss=None if validation is None else validation.loss,
            learning_rate=self.optimizers[0].param_groups[0]["lr"],
        )
        self.tally.curve.append(point)
        self._count_process_seconds()
        if self._progress is not None:
            since = time.perf_counter()
            self._progress(point)
            self.tally.leave_out(time.perf_counter() - since)  # a state may be written there

    def _look_at_losses(self) -> None:
        """Add the newest losses to the mean that the next point of the curve will show; raises Diverged where one is no number."""
        total = torch.stack(self._losses).sum().item()
        self._require_finite(total)
        self._loss_sum += total
        self._loss_steps += len(self._losses)
        self._losses.clear()

    def _evaluate(self) -> Quality:
        proxy = self._proxy
        with self.tally.evaluating():
            self.scores = score(self.network, self._blocks, "validation", proxy.evaluation_tokens, proxy.context_tokens, pause=self._hold)
        found = self.scores.quality()
        self._require_finite(found.loss)
        self.tally.validation = found
        return found

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            rates = "proxy.muon_learning_rate and proxy.learning_rate" if self._proxy.optimizer == "muon" else "proxy.learning_rate"
            last = f"it was {self.tally.curve[-1].training_loss:.2f} before" if self.tally.curve else "from the start"
            raise Diverged(f"the loss was {loss} nats per token by {self.tokens:,} tokens ({last}); lower {rates}")

    def _hold(self) -> None:
        """Let a measurement pass, and see whether the deadline has."""
        pause, deadline_seconds = self._conditions.pause, self._conditions.deadline_seconds
        if pause is not None:
            self.tally.leave_out(pause())
        self.tally.tick()
        if deadline_seconds is not None and self.tally.seconds + self.tally.branch_seconds > deadline_seconds:
            raise TimedOut(
                f"the deadline of {deadline_seconds:g} seconds passed after {self.tokens:,} tokens, "
                f"{self.tally.share:.0%} of the proxy; raise workers.deadline_seconds or shorten the proxy"
            )


def _crosses(before: float, after: float, parts: int) -> bool:
    """Whether the way from one share to another passes the end of one of that many equal parts."""
    return math.floor(after * parts) > math.floor(before * parts)
