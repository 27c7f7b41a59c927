"""Tasks of lm-evaluation-harness by its own definitions, scorers and data, answered by our network. It fetches data sets from the hub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from analysis.tasks.task_result import HarnessFigure
from search_space.errors import SpecError, WorkError, quoted, said_by, shortened, unknown_key
from trials.models.loaded_model import LoadedModel
from trials.models.scoring import likelihoods
from trials.network.kv_cache import Cache
from trials.tasks.question import Option

BOOTSTRAPS = 1000
"""Draws behind a standard error that has no formula; none at all would leave out those with one, too."""
MOST_WRITTEN = 256
"""Tokens of an answer where a task says no number; the harness' own."""


def harness_figures(model: LoadedModel, tasks: Sequence[str], shots: int | None, most: int | None) -> list[HarnessFigure]:
    """Every figure that the harness gives for tasks or groups of its own, with so many examples before a question, or the task's number.

    Raises SpecError for a task that it does not have, WorkError where a data set cannot be fetched.
    """
    manager = TaskManager()
    for name in tasks:
        if name not in manager.all_tasks:
            raise unknown_key(f"the harness' task {name}", name, manager.all_tasks)
    try:
        found = simple_evaluate(
            HarnessModel(model),
            tasks=list(tasks),
            num_fewshot=shots,
            limit=most,
            bootstrap_iters=BOOTSTRAPS,
            log_samples=False,
            task_manager=manager,
        )
    except (SpecError, WorkError):
        raise
    except Exception as reason:  # of the harness, its tasks' own code, datasets and the hub
        raise WorkError(
            f"lm-evaluation-harness did not come to an end with {', '.join(tasks)}: {shortened(said_by(reason))}; it needs "
            "the hub for its data, and some tasks further packages; --data in place of --harness takes a file"
        ) from None
    assert found is not None
    figures = []
    for task, values in found["results"].items():
        for key, value in values.items():
            metric, _, kept = key.partition(",")
            if kept and not metric.endswith("_stderr") and isinstance(value, int | float):
                error = values.get(f"{metric}_stderr,{kept}")
                said = metric if kept == "none" else f"{metric} ({kept})"
                count = found.get("n-samples", {}).get(task, {}).get("effective")
                figures.append(HarnessFigure(task, said, float(value), float(error) if isinstance(error, float) else None, count))
    return figures


class HarnessModel(LM):  # type: ignore[misc]
    """Our network where the harness wants a language model."""

    def __init__(self, model: LoadedModel) -> None:
        super().__init__()
        self.model = model

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """How likely each continuation is after its context, and whether it is what the network would write."""
        options = [Option(*request.args) for request in requests]
        return [(each.log_likelihood, each.is_likeliest) for each in likelihoods(self.model, options)]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """How likely whole texts are; one longer than the context is refused, as a study's own loss is the measure of texts."""
        return [each.log_likelihood for each in likelihoods(self.model, [Option("", request.args[0]) for request in requests])]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The likeliest token after each context, and so on, to one of the endings that a task names, which is left out."""
        return [_written(self.model, *request.args) for request in requests]


@torch.inference_mode()
def _written(model: LoadedModel, context: str, wanted: dict[str, Any]) -> str:
    if wanted.get("do_sample") and wanted.get("temperature"):
        raise SpecError(
            f"a task must want the likeliest answer, found a sampled one at temperature {quoted(wanted['temperature'])}; leave it out"
        )
    ends = wanted.get("until") or []
    ends = [end for end in ([ends] if isinstance(ends, str) else ends) if end]
    room = int(wanted.get("max_gen_toks", MOST_WRITTEN))
    if room >= model.context_tokens:
        raise SpecError(
            f"{model.name} must have room for a question and {room} written tokens, found {model.context_tokens}; leave the task out"
        )
    ids = (model.encode(context) or [model.prefix_token_id])[-(model.context_tokens - room) :]
    cache, written = Cache(model.architecture, 1, len(ids) + room), []
    step = torch.tensor([ids])
    for _ in range(room):
        following = int(model.network(step, cache)[0, -1].argmax())
        if following in model.end_token_ids:
            break
        written.append(following)
        text: str = model.tokenizer.decode(written)
        if any(end in text for end in ends):
            return min((text.partition(end)[0] for end in ends), key=len)
        step = torch.tensor([[following]])
    return str(model.tokenizer.decode(written))
