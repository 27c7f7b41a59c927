"""A stretch of a proxy run as Lightning sees it, which brings the network to its device and precision and turns the loop."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor

from trials.network.decoder import Network
from trials.training.lean_lightning import lightning
from trials.training.loss import cross_entropy
from trials.training.tally import Tally

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # Lightning greets on stderr at every Trainer


class StepSource(Protocol):
    """What a stretch turns: a network with its optimizers, and what is to be done before and after each step."""

    network: Network
    optimizers: list[torch.optim.Optimizer]
    micro_batches: int
    """Parts that each batch is split into; their gradients are summed."""
    tally: Tally

    @property
    def compiles_loss(self) -> bool:
        """Whether torch compiles the loss."""

    def before_step(self) -> Tensor:
        """The next batch, tokens [sequences, context + 1], with the learning rates set for its step."""

    def as_trained(self) -> AbstractContextManager[None]:
        """The context of a step's passes forward and backward."""

    def step(self, loss: Tensor) -> None:
        """Update the weights by the gradients that stand there; `loss` is the batch's, in nats per token."""

    def after_step(self, until_tokens: int | None) -> bool:
        """Keep count, and say whether the stretch ends here."""


class Stretch(lightning.LightningModule):  # type: ignore[misc]  # Lightning is not typed for mypy's strict mode
    """The network, and what one step of it does."""

    def __init__(self, run: StepSource, until_tokens: int | None) -> None:
        super().__init__()
        self.automatic_optimization = False  # Lightning's own way knows one optimizer only
        self.network = run.network
        self.proxy_run, self.until_tokens = run, until_tokens
        self.compiled_loss = run.compiles_loss

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """The run's own, so that their states follow the network to its device."""
        return self.proxy_run.optimizers

    def on_train_start(self) -> None:
        """Take the optimizers' step counts to the device too: torch's fused AdamW wants them there, and Lightning leaves them behind."""
        for optimizer in self.proxy_run.optimizers:
            for parameter, values in optimizer.state.items():
                for name, value in values.items():
                    if isinstance(value, Tensor):
                        values[name] = value.to(parameter.device)

    def training_step(self, batch: Tensor) -> None:
        """Forward, backward and update for tokens [sequences, context + 1]."""
        total = torch.zeros((), device=batch.device)
        with self.proxy_run.as_trained():
            for part in torch.split(batch, -(-len(batch) // self.proxy_run.micro_batches)):
                states = self.network.hidden_states(part[:, :-1])
                loss = cross_entropy(states.flatten(0, 1), self.network.output_weight, part[:, 1:].flatten(), compiled=self.compiled_loss)
                self.manual_backward(loss * (len(part) / len(batch)))
                total += loss.detach() * (len(part) / len(batch))
        self.proxy_run.step(total)

    def on_train_batch_end(self, *_: object) -> None:
        """End the loop where the stretch ends."""
        if self.proxy_run.after_step(self.until_tokens):
            self.trainer.should_stop = True


class Batches:
    """The batches of a run from its present step on, without end."""

    def __init__(self, run: StepSource) -> None:
        self._run = run

    def __len__(self) -> int:
        """A length as good as endless; without one, Lightning would ask for a batch before the step in front of it is done."""
        return 1 << 40

    def __iter__(self) -> Iterator[Tensor]:
        self._run.tally.start_clock()  # Lightning's own preparations are not training
        while True:
            yield self._run.before_step()


LIGHTNING_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}
"""What Lightning calls the precision of the products, by the name in `proxy.precision`; weights stay float32."""


def trainer(device: torch.device, precision: str) -> lightning.Trainer:
    """A Trainer that writes no file and no line."""
    return lightning.Trainer(
        accelerator=device.type,
        devices=1 if device.index is None else [device.index],
        precision=LIGHTNING_PRECISIONS[precision],
        plugins=[lightning.pytorch.plugins.environments.LightningEnvironment()],  # or a SLURM job's variables would have a say
        min_epochs=0,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
