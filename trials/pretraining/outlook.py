"""What a long training will take, before its first step: hours, memory, passes over its text, money."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.objectives.energy import training_joules
from analysis.text.passes import passes_text, repetition_warning
from analysis.text.words import disk, duration, quantity
from search_space import cost
from trials.machine.memory import usable_bytes
from trials.plans.known_paces import ready_paces
from trials.plans.text_size import text_size
from trials.plans.time_plan import energy_text
from trials.pretraining.statement import Statement
from trials.study.spec import StudySpec
from trials.training.footprint import fit_batch, readable_bytes, state_bytes


def outlook_lines(wanted: Statement, price_per_hour: float | None = None) -> Iterator[str]:
    """Lines for a terminal; SpecError where the text cannot be read, OutOfMemory where not a single sequence fits."""
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
    device = wanted.device.partition(":")[0]
    found = fit_batch(shape, proxy, usable_bytes(wanted.device, wanted.devices if device == "cpu" else 1), device=device)
    parts = "" if found.micro_batches == 1 else f", each batch in {found.micro_batches} parts"
    usable, state = readable_bytes(usable_bytes(wanted.device)), disk(state_bytes(shape, proxy))
    yield f"memory      {readable_bytes(found.peak)} of {usable}{parts}; a state is {state}"
    yield f"work        {quantity(flops)} FLOPs, {energy_text(training_joules(flops, proxy.precision))} of arithmetic, an estimate"
    study = as_study(wanted)
    paces = ready_paces(study, [shape], times_latency=False)
    if paces is None:
        yield "time        not known on this machine"
        return
    seconds = wanted.tokens * paces.law.seconds_per_token(shape, proxy) / wanted.devices
    seconds += proxy.evaluations * paces.law.evaluation_seconds(shape, proxy.evaluation_tokens, proxy.context_tokens)
    yield f"time        about {duration(seconds)} on this machine when it is quiet, by {paces.basis}"
    if price_per_hour is not None:
        yield f"money       about {seconds / 3600 * price_per_hour:,.2f} at {price_per_hour:g} an hour"


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
