"""A synthetic study: plausible records of real shapes, with seeded numbers instead of training.

The numbers come from two smooth formulas and a little noise: depth helps until it does not, every executed block costs the time of
launching it. Nothing here was measured.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from analysis.records.latency import Activations, Latency, Spread
from analysis.records.record import Costs, FinalRecord, Kind, Outcome, TrialRecord
from analysis.records.summary import StudySummary
from analysis.records.training import CurvePoint, Quality, RoundedQuality, Training
from search_space import cost
from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.space import SearchSpace

SPACE = SearchSpace.parse(
    {
        "vocab_size": 512,
        "num_unique_layers": {"from": 1, "to": 12},
        "hidden_size": {"from": 32, "to": 128, "step": 8},
        "head_dim": [16, 32],
        "num_attention_heads": {"ratio_of_hidden": [0.5, 1.0]},
        "num_key_value_heads": [1, 2, 4],
        "intermediate_size": {"solve": True, "multiple_of": 4, "ratio": [1, 6]},
        "mlp": ["swiglu", "relu"],
        "sharing": ["none", {"strategy": "immediate", "repeats": 2}, {"strategy": "repeat_all_over", "repeats": 2}],
    },
    Budget.parse({"parameters": 250_000}),
)
TOKENS, CONTEXT_TOKENS, STEP_TOKENS = 400_000, 64, 512
PROMPT_TOKENS, NEW_TOKENS = 64, 64
BYTES_PER_TOKEN = 2.1
FAILURES = {
    7: (Outcome.STOPPED, "ended by the scheduler after 100,352 of 400,000 tokens"),
    11: (Outcome.DIVERGED, "the training loss became NaN at step 212; lower proxy.learning_rate"),
    13: (Outcome.FAILED, "RuntimeError: expected <4> heads & found '5'"),
    17: (Outcome.OUT_OF_MEMORY, "the process asked for more memory than the machine has; lower proxy.batch_sequences"),
    19: (Outcome.STOPPED, "ended by the scheduler after 200,192 of 400,000 tokens"),
    23: (Outcome.TIMED_OUT, "took longer than workers.deadline_seconds (3600)"),
    27: (Outcome.LOST, "its process ended without a word of why; where the kernel's log says that memory ran out, lower workers.count"),
}
"""How the trials of these numbers end; all others finish."""
STOPPED_TOKENS = {7: 100_352, 11: 108_544, 19: 200_192}
"""Where the unfinished trials that trained for a while ended."""
MACHINE = {"host": "sample", "processor": "a synthetic processor, 2 cores", "python": "3.11.9", "torch": "2.13.0"}


def sample_records(count: int = 30, seed: int = 0) -> list[TrialRecord]:
    """Records of `count` trials: two references, then sampled shapes, one of them a replicate; `FAILURES` says which do not finish."""
    records = [_record(0, _reference(deep=True), seed, name="deep-thin"), _record(1, _reference(deep=False), seed, name="wide-shallow")]
    taken = {record.architecture for record in records}
    shapes = [shape for shape in SPACE.sample(count + 2, seed) if shape not in taken]
    records += [_record(number, shape, seed) for number, shape in enumerate(shapes[: max(0, count - 2)], start=2)]
    if count > 21:
        records[21] = _record(21, records[5].architecture, seed + 1, kind=Kind.REPLICATE, replicates=5)
    return records[:count]


def as_rounded(
    record: TrialRecord,
    cost: float,
    error: float | None = 0.002,
    *,
    read: Activations | None = None,
    word: Activations | None = None,
) -> TrialRecord:
    """The record of a study in int4 that rounding costs so many bits per byte, with that standard error; judged with activations that are
    `read` so, by a device of that `word`, as a record of before where they are None.
    """
    if record.training is None or record.training.validation is None or record.latency is None:
        return record
    plain = record.training.validation
    rounded = RoundedQuality(
        runtime="onnxruntime",
        precision="int4",
        loss=plain.loss,
        bits_per_byte=plain.bits_per_byte + cost,
        next_token_accuracy=plain.next_token_accuracy,
        difference_error=error,
        activations=read,
    )
    latency = dataclasses.replace(record.latency, precision="int4", runtime="onnxruntime", activations=word)
    return dataclasses.replace(
        record, latency=latency, training=dataclasses.replace(record.training, validation=dataclasses.replace(plain, rounded=rounded))
    )


def sample_finals(records: Iterable[TrialRecord]) -> dict[int, FinalRecord]:
    """The second measurement of the finished trials that no other one beats in both numbers, and of the references."""
    finished = [record for record in records if record.finished]
    return {record.number: _final(record) for record in finished if record.kind is Kind.REFERENCE or not _beaten(record, finished)}


def sample_summary(**changes: object) -> StudySummary:
    """What the synthetic study was asked."""
    summary = StudySummary(
        name="sample",
        study_yaml="name: sample\nbudget: {parameters: 250_000}\n",
        directory="runs/sample",
        planned_trials=28,
        budget=str(SPACE.budget),
        space=str(SPACE.explain()),
        corpus="python-stdlib: 11.6 MB, sha256 0123456789ab; 5.2 million training tokens of 512 kinds",
        recipe="400,000 tokens a shape in steps of 8 x 64, Muon at 0.01 with AdamW at 0.002, warm-up, stable, decay",
        latency="64 prompt tokens and 64 new tokens with the KV cache, torch, 1 thread",
        search="nsga2, seed 0, 2 workers",
        environment={"archfront": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "git": "f011134, clean"},
    )
    return dataclasses.replace(summary, **changes)  # type: ignore[arg-type]


def sample_costs(a: Architecture) -> Costs:
    """The closed forms of a shape, at this study's workload and context."""
    return Costs(
        parameters=cost.parameters(a),
        non_embedding_parameters=cost.non_embedding_parameters(a),
        weight_bytes=cost.weight_bytes(a),
        kv_cache_bytes=cost.kv_cache_bytes(a, PROMPT_TOKENS + NEW_TOKENS),
        decode_flops=cost.decode_flops(a, PROMPT_TOKENS + NEW_TOKENS),
        training_flops_per_token=cost.training_flops_per_token(a, CONTEXT_TOKENS),
    )


def _record(
    number: int, a: Architecture, seed: int, kind: Kind = Kind.SAMPLED, name: str | None = None, replicates: int | None = None
) -> TrialRecord:
    noise = random.Random(f"{a.key} {seed}")
    outcome, reason = FAILURES.get(number, (Outcome.FINISHED, None))
    latency = None if outcome is Outcome.FAILED else _latency(a, noise)
    training = None if outcome is Outcome.FAILED else _training(a, number, noise)
    began = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=11 * number)
    return TrialRecord(
        number=number,
        kind=Kind.REFERENCE if name else kind,
        name=name,
        replicates=replicates,
        point=None if name else {"num_unique_layers": a.num_unique_layers},
        architecture=a,
        seed=seed,
        outcome=outcome,
        reason=reason,
        costs=sample_costs(a),
        latency=latency,
        training=training,
        started_at=began.isoformat(),
        wall_seconds=2.0 + (training.wall_seconds if training else 0.0),
        machine=MACHINE,
    )


def _reference(deep: bool) -> Architecture:
    """The deepest or the shallowest plain shape of the space."""
    plain = [shape for _, shape in SPACE.table() if shape.mlp == "swiglu" and shape.sharing.strategy == "none"]
    return max(plain, key=lambda a: (a.num_hidden_layers if deep else -a.num_hidden_layers, a.intermediate_size))


def _final_bits_per_byte(a: Architecture, noise: random.Random) -> float:
    depth = math.log2(a.num_hidden_layers / 7)
    attention = 0.02 * abs(math.log2(a.num_attention_heads * a.head_dim / a.hidden_size))
    grouping = 0.008 * math.log2(a.num_attention_heads / a.num_key_value_heads)
    extras = (0.015 if a.mlp == "relu" else 0.0) - (0.012 if a.sharing.strategy != "none" else 0.0)
    return 2.08 + 0.028 * depth * depth + attention + grouping + extras + noise.gauss(0, 0.008)


def _latency(a: Architecture, noise: random.Random) -> Latency:
    scale = math.exp(noise.gauss(0, 0.02))
    prefill = scale * (0.05 * a.num_hidden_layers + 2e-8 * PROMPT_TOKENS * cost.decode_flops(a, PROMPT_TOKENS))
    decode = scale * (0.02 + 0.045 * a.num_hidden_layers + 6e-8 * cost.decode_flops(a, PROMPT_TOKENS + NEW_TOKENS))
    return Latency(
        total_ms=_spread(prefill + NEW_TOKENS * decode),
        prefill_ms=_spread(prefill),
        decode_ms_per_token=_spread(decode),
        repeats=5,
        prompt_tokens=PROMPT_TOKENS,
        new_tokens=NEW_TOKENS,
        runtime="torch",
        runtime_version="2.13.0",
        precision="float32",
        threads=1,
        pinned_cpus=(0,),
        device="cpu",
        load_average=0.4,
        disturbed=False,
        protocol="archfront-1",
        load_ms=4.0 + 9e-9 * cost.weight_bytes(a, "float32") * a.num_hidden_layers,
        first_prefill_ms=3 * prefill,
        peak_memory_bytes=2 * cost.weight_bytes(a, "float32") + 1_000_000,
    )


def _spread(median: float) -> Spread:
    return Spread(median=median, p10=0.985 * median, p90=1.03 * median)


def _training(a: Architecture, number: int, noise: random.Random) -> Training | None:
    outcome = FAILURES[number][0] if number in FAILURES else Outcome.FINISHED
    if outcome is Outcome.OUT_OF_MEMORY:
        return None
    ended = TOKENS // STEP_TOKENS * STEP_TOKENS if outcome is Outcome.FINISHED else STOPPED_TOKENS.get(number, 50_176)
    speed = 9e10 / cost.training_flops_per_token(a, CONTEXT_TOKENS)
    final = _final_bits_per_byte(a, noise)
    curve = _curve(final, ended, speed, noise)
    return Training(
        tokens=ended,
        planned_tokens=TOKENS,
        steps=ended // STEP_TOKENS,
        parameters=cost.parameters(a),
        validation=_quality(_loss_at(final, ended)) if outcome in (Outcome.FINISHED, Outcome.STOPPED) else None,
        tokens_per_second=speed,
        wall_seconds=ended / speed,
        process_seconds=1.05 * ended / speed,
        peak_memory_bytes=420_000_000,
        device="cpu",
        precision="float32",
        threads=1,
        curve=curve,
    )


def _loss_at(final_bits_per_byte: float, tokens: int) -> float:
    """Nats per token; the last third of the run decays the learning rate and gains more."""
    done = tokens / TOKENS
    return _nats(final_bits_per_byte) + 1.1 * (math.pow(done, -0.35) - 1) * 0.35 + 0.25 * min(1.0, (1 - done) / 0.3)


def _curve(final: float, ended: int, speed: float, noise: random.Random) -> tuple[CurvePoint, ...]:
    places = [STEP_TOKENS * round(share * TOKENS / STEP_TOKENS / 20) for share in range(1, 20)] + [TOKENS // STEP_TOKENS * STEP_TOKENS]
    return tuple(
        CurvePoint(
            tokens=tokens,
            seconds=tokens / speed,
            training_loss=_loss_at(final, tokens) + noise.gauss(-0.02, 0.03),
            validation_loss=_loss_at(final, tokens) if place % 5 == 4 else None,
            learning_rate=2e-3,
        )
        for place, tokens in enumerate(places)
        if tokens <= ended
    )


def _quality(loss: float) -> Quality:
    bits = loss / math.log(2) / BYTES_PER_TOKEN
    return Quality(loss=loss, bits_per_byte=bits, next_token_accuracy=0.92 - 0.16 * loss, tokens=65_536)


def _nats(bits_per_byte: float) -> float:
    return bits_per_byte * math.log(2) * BYTES_PER_TOKEN


def _final(record: TrialRecord) -> FinalRecord:
    assert record.training is not None
    assert record.training.validation is not None
    noise = random.Random(f"final {record.architecture.key}")
    test = _quality(record.training.validation.loss + noise.gauss(0.015, 0.01))
    return FinalRecord(
        number=record.number, latency=_latency(record.architecture, noise), test=test, measured_at="2026-01-01T00:10:00+00:00"
    )


def _beaten(record: TrialRecord, others: Sequence[TrialRecord]) -> bool:
    mine = _numbers(record)
    return any(all(a <= b for a, b in zip(theirs, mine, strict=True)) and theirs != mine for theirs in map(_numbers, others))


def _numbers(record: TrialRecord) -> tuple[float, float]:
    assert record.latency is not None
    assert record.training is not None
    assert record.training.validation is not None
    return record.latency.total_ms.median, record.training.validation.bits_per_byte
