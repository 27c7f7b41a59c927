"""What a long training will take, before its first step: hours, memory, passes over its text, money."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from analysis.objectives.energy import training_joules
from analysis.text.passes import passes_text, repetition_warning
from analysis.text.words import disk, duration, energy_text, plural, quantity
from search_space import cost
from search_space.errors import SpecError
from trials.machine.memory import usable_bytes
from trials.plans.known_paces import ready_paces
from trials.plans.text_size import text_size
from trials.pretraining.statement import Statement
from trials.study.spec import StudySpec
from trials.training.conditions import own_sequences
from trials.training.footprint import Footprint, fit_batch, footprint, readable_bytes, state_bytes


def outlook_lines(wanted: Statement, price_per_hour: float | None = None, *, trains_here: bool = True) -> Iterator[str]:
    """Lines for a terminal, without memory and time where this machine does not train; SpecError where the text cannot be read."""
    shape, proxy = wanted.shape, wanted.proxy
    flops = wanted.tokens * cost.training_flops_per_token(shape, proxy.context_tokens)
    stored = (
        ""
        if shape.num_hidden_layers == shape.num_unique_layers
        else f", {shape.num_hidden_layers} blocks run, {shape.num_unique_layers} stored"
    )
    yield f"shape       {shape.label}, {cost.parameters(shape):,} parameters{stored}"
    yield (
        f"recipe      {wanted.recipe} ({wanted.recipe_source}): {quantity(wanted.tokens)} tokens in {wanted.steps:,} steps of "
        f"{proxy.batch_sequences:,} x {proxy.context_tokens:,}, {round(proxy.warmup * wanted.steps):,} of them warm-up"
    )
    size = text_size(wanted.corpus, shape.vocab_size)
    if size is None:
        yield "text        its size is known once it is there"
    else:
        passes = wanted.tokens / size.train_tokens
        known = "counted" if size.is_exact else "about, from a sample"
        warning = "" if (said := repetition_warning(passes)) is None else f"; {said}"
        yield f"text        {quantity(size.train_tokens)} training tokens ({known}): {passes_text(passes)}{warning}"
    state = disk(state_bytes(shape, proxy))
    if not trains_here:
        yield f"place       nodes of the cluster that have {_needs(wanted)}; a state is {state}"
        yield _work_line(wanted, flops)
        return
    room = _room(wanted)
    yield f"memory      {f'it cannot be trained here: {room}' if isinstance(room, str) else f'{_memory(wanted, room)}; a state is {state}'}"
    yield _work_line(wanted, flops)
    study = as_study(wanted)
    paces = None if isinstance(room, str) else ready_paces(study, [shape], times_latency=False)
    if paces is None:
        yield "time        not known on this machine"
        return
    seconds = wanted.tokens * paces.law.seconds_per_token(shape, proxy) / wanted.devices
    seconds += proxy.evaluations * paces.law.evaluation_seconds(shape, proxy.evaluation_tokens, proxy.context_tokens)
    yield f"time        about {duration(seconds)} on this machine when it is quiet, by {paces.basis}"
    if price_per_hour is not None:
        yield f"money       about {seconds / 3600 * price_per_hour:,.2f} at {price_per_hour:g} an hour"


def require_machine_for(wanted: Statement) -> None:
    """Raise SpecError where this machine lacks the training's device, or the memory for a step."""
    room = _room(wanted)
    if isinstance(room, str):
        raise SpecError(f"{wanted.title} cannot be trained here: {room}")


def _room(wanted: Statement) -> Footprint | str:
    """What a step takes in each process on this machine; why it cannot be made, in a sentence with the cure."""
    shape, device = wanted.shape, wanted.device.partition(":")[0]
    if device == "cuda" and not torch.cuda.is_available():
        return "the training was begun on a GPU, and this machine has none; go on where one is, or name another folder with --output"
    own = wanted.proxy.model_copy(update={"batch_sequences": own_sequences(wanted.proxy.batch_sequences, (0, wanted.devices))})
    usable, single = _usable_bytes(wanted), footprint(shape, own, device=device, sequences=1)
    if single.peak > usable:
        return (
            f"a step of one sequence of {own.context_tokens:,} tokens must fit into {readable_bytes(usable)}, found "
            f"{readable_bytes(single.peak)}; take a larger machine, fewer --devices on it, or a recipe of less context_tokens"
        )
    return fit_batch(shape, own, usable, device=device)


def _usable_bytes(wanted: Statement) -> int:
    """Memory of each process: those on processors share this machine's."""
    return usable_bytes(wanted.device, 1 if wanted.device.startswith("cuda") else wanted.devices)


def _work_line(wanted: Statement, flops: float) -> str:
    joules = training_joules(flops, wanted.proxy.precision)
    return f"work        {quantity(flops)} FLOPs, {energy_text(joules)} of arithmetic, an estimate"


def _needs(wanted: Statement) -> str:
    """What each process asks a cluster for."""
    gpu = "a GPU and " if wanted.device.startswith("cuda") else ""
    return f"{gpu}{plural(wanted.threads, 'processor')} for each process"


def _memory(wanted: Statement, found: Footprint) -> str:
    each = "" if wanted.devices == 1 else " in each process"
    parts = "" if found.micro_batches == 1 else f", each batch in {found.micro_batches} parts"
    return f"{readable_bytes(found.peak)} of {readable_bytes(_usable_bytes(wanted))}{each}{parts}"


def as_study(wanted: Statement) -> StudySpec:
    """What the table of paces goes by: a study of this shape alone, one training at a time."""
    count = cost.parameters(wanted.shape)
    return StudySpec.model_validate(
        {
            "name": "train",
            "corpus": wanted.corpus.model_dump(exclude_defaults=True),
            "budget": {"parameters": count},
            "proxy": wanted.proxy.model_dump(),
            "search": {"trials": 1},
            "workers": {"count": wanted.devices, "threads": wanted.threads, "gpus": 1 if wanted.device.startswith("cuda") else 0},
        }
    )
