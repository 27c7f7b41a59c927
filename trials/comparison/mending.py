"""A model with its smallest weights left out, trained on by its study's recipe: what is left out stays so, the others make up for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from search_space.errors import WorkError
from trials.corpus.blocks import TokenBlocks
from trials.models.loaded_model import LoadedModel
from trials.network.decoder import Network
from trials.rounding.ways import without_smallest
from trials.study.spec import ProxySpec
from trials.training.failures import TrainingFailed
from trials.training.proxy_run import ProxyRun


@dataclass(frozen=True, slots=True)
class Mending:
    """How pruned models are trained on: the recipe's whole schedule once more, as in learning-rate rewinding (arXiv 2003.02389)."""

    blocks: TokenBlocks
    proxy: ProxySpec
    tokens: int
    """Tokens of the further training, which makes whole steps."""
    seed: int
    """Seed of the order of the data."""

    def __call__(self, model: LoadedModel, left_out: float) -> tuple[LoadedModel, int]:
        """The model without that share of its blocks' weights, trained on, and the tokens of that; the one that is given stays as it is.

        Raises WorkError where the training fails.
        """
        budget = {"tokens": self.tokens, "tokens_per_parameter": None, "flops": None, "seconds": None}
        others = {"cooldowns": (), "evaluations": 1, "quantisation_aware": None, "compile": False}
        run = _PrunedRun(model.architecture, self.blocks, self.proxy.model_copy(update=budget | others), seed=self.seed)
        run.begin_from(model.network, left_out)
        try:
            run.run()
        except TrainingFailed as error:
            raise WorkError(f"--retrain of {model.name} with {left_out:.0%} of its weights left out came to no end: {error}") from None
        return replace(model, network=run.network.float().requires_grad_(False)), run.tokens


class _PrunedRun(ProxyRun):
    """A run in which the weights that were left out at its beginning are 0 after every step."""

    _left: tuple[tuple[Tensor, Tensor], ...] = ()

    def begin_from(self, network: Network, left_out: float) -> None:
        """Take a trained network's weights in place of initial ones, and leave that share of the smallest out."""
        with torch.no_grad():
            for own, trained in zip(self.network.parameters(), network.parameters(), strict=True):
                own.copy_(trained)
            matrices = [parameter for parameter in self.network.model.layers.parameters() if parameter.ndim == 2]
            self._left = tuple((matrix, without_smallest(matrix, left_out) != 0) for matrix in matrices)
            self._leave_out()

    def step(self, loss: Tensor) -> None:
        """Follow the gradient, and leave out what was left out."""
        super().step(loss)
        with torch.no_grad():
            self._leave_out()

    def _leave_out(self) -> None:
        for matrix, left in self._left:
            matrix.mul_(left)
