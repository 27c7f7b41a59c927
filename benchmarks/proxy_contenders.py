"""The ways of training a shape that `benchmarks.proxy` compares; each gives the finished losses of one run and what they cost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from search_space.architecture import Architecture
from trials.corpus.blocks import TokenBlocks
from trials.study.spec import ProxySpec

AVERAGED_SHARE = 0.3
"""Last part of a run whose weights are averaged: as long as the decay that it takes the place of."""
AVERAGED_POINTS = 8


@dataclass(frozen=True)
class Point:
    """A finished loss: what a recipe with that many tokens would have ended at."""

    tokens: int
    bits_per_byte: float
    core_seconds: float | None
    """Of a run that ends there; None where a GPU made it."""


Contender = Callable[[Architecture, TokenBlocks, ProxySpec, int], list[Point]]
"""Trains a shape with a recipe and a seed; its points ascend in tokens."""


def ours(shape: Architecture, blocks: TokenBlocks, proxy: ProxySpec, seed: int) -> list[Point]:
    """The recipe as a study trains it, with its cooldowns."""
    from trials.training.proxy_run import train  # here, so that the parent process does not load torch

    _, training = train(shape, blocks, proxy, seed=seed)
    assert training.validation is not None
    each = training.process_seconds / training.tokens
    points = [Point(cooldown.tokens, cooldown.bits_per_byte, cooldown.tokens * each) for cooldown in training.cooldowns]
    return [*points, Point(training.tokens, training.validation.bits_per_byte, training.process_seconds)]


def averaged(shape: Architecture, blocks: TokenBlocks, proxy: ProxySpec, seed: int) -> list[Point]:
    """The rate stays at its peak to the end, and the mean of the weights along the last part is judged (arXiv 2306.03241)."""
    import torch

    from trials.training.evaluation import evaluate
    from trials.training.proxy_run import ProxyRun

    run = ProxyRun(shape, blocks, proxy.model_copy(update={"decay": 0.0, "evaluation_tokens": proxy.context_tokens}), seed=seed)
    tokens = proxy.tokens or 0
    means = [torch.zeros_like(parameter) for parameter in run.network.parameters()]
    for point in range(1, AVERAGED_POINTS + 1):
        run.run(until_tokens=round(tokens * (1 - AVERAGED_SHARE * (1 - point / AVERAGED_POINTS))))
        for mean, parameter in zip(means, run.network.parameters(), strict=True):
            mean += parameter.detach() / AVERAGED_POINTS
    with torch.no_grad():
        for mean, parameter in zip(means, run.network.parameters(), strict=True):
            parameter.copy_(mean)
    found = evaluate(run.network, blocks, "validation", proxy.evaluation_tokens, proxy.context_tokens)
    return [Point(run.tokens, found.bits_per_byte, run.tally.process_seconds)]


def trainer(shape: Architecture, blocks: TokenBlocks, proxy: ProxySpec, seed: int) -> list[Point]:
    """Transformers' Trainer on its network, which stores shared blocks once; AdamW and cosine with the Trainer's own defaults."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, PrinterCallback, Trainer, TrainingArguments, set_seed

    from trials.catalogue.hugging_face_config import hugging_face_config
    from trials.network.decoder import Network
    from trials.training.evaluation import evaluate

    torch.set_num_threads(1)
    set_seed(seed)
    steps = max(1, round((proxy.tokens or 0) / (proxy.batch_sequences * proxy.context_tokens)))
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**hugging_face_config(shape, proxy.context_tokens)))
    _share(model, shape)
    batches = (blocks.batch(seed, step, proxy.batch_sequences, proxy.context_tokens) for step in range(steps))
    rows = [{"input_ids": torch.from_numpy(row[:-1]), "labels": torch.from_numpy(row[:-1])} for batch in batches for row in batch]
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=steps,
            per_device_train_batch_size=proxy.batch_sequences,
            learning_rate=proxy.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=round(proxy.warmup * steps),
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            train_sampling_strategy="sequential",
        )
        made = Trainer(model, arguments, train_dataset=rows)
        made.remove_callback(PrinterCallback)
        made.train()
    seconds = time.process_time() - begun
    network, weights = Network(shape), model.state_dict()
    network.load_state_dict({name: weights[name] for name in network.state_dict()})
    found = evaluate(network, blocks, "validation", proxy.evaluation_tokens, proxy.context_tokens)
    return [Point(steps * proxy.batch_sequences * proxy.context_tokens, found.bits_per_byte, seconds)]


CONTENDERS: dict[str, Contender] = {"ours": ours, "averaged": averaged, "trainer": trainer}


def _share(model: Any, shape: Architecture) -> None:
    """Give the layers that run one stored part the same parameters; the modules stay apart, for the cache numbers them."""
    layers = model.model.layers
    for depth, (attention, mlp) in enumerate(zip(shape.attention_schedule, shape.mlp_schedule, strict=True)):
        first_attention, first_mlp = layers[shape.attention_schedule.index(attention)], layers[shape.mlp_schedule.index(mlp)]
        for source, names in ((first_attention, ("self_attn", "input_layernorm")), (first_mlp, ("mlp", "post_attention_layernorm"))):
            for name in names:
                _take_parameters(getattr(layers[depth], name), getattr(source, name))


def _take_parameters(module: Any, source: Any) -> None:
    for name, parameter in source.named_parameters(recurse=False):
        setattr(module, name, parameter)
    for name, child in source.named_children():
        _take_parameters(getattr(module, name), child)
