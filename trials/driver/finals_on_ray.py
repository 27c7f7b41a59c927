"""The finals of a study, measured and trained on Ray: which are missing, and who answers for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import ray

from analysis.records.latency import Latency
from analysis.records.record import FinalRecord, FreshSeed, RatePoint, TrialRecord, WrittenText
from analysis.records.training import Quality
from search_space.errors import WorkError
from trials.corpus.tokenizer import load_exported
from trials.driver.finals import measure_finals
from trials.driver.latency_device import SEE_TO_THE_NODE, ask_device
from trials.driver.retrainings import FRESH_SEED_OFFSET, fresh_seed, learning_rate_bracket, retrain, wanted_retrainings
from trials.driver.trial_actor import Equipment
from trials.driver.workers import Examiner
from trials.progress.stages import JUDGED, MEASURED
from trials.progress.watch import AWAY, RunWatch
from trials.study.directory import tokenizer_file, weights_file
from trials.trial.reuse import Reuse
from trials.trial.task import DeviceEnded


def finish_finals(
    equipment: Equipment, reuse: Reuse, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], watch: RunWatch
) -> dict[int, FinalRecord]:
    """All final records, with those that were missing; what cannot be had is left out, with a warning. Tells `watch` of its parts.

    Raises WorkError where the device was ended for good, or is another machine.
    """
    study, directory = equipment.study, equipment.directory
    examiner = ray.remote(Examiner).options(num_cpus=study.workers.trial_threads, num_gpus=study.workers.gpus).remote()

    def judge(record: TrialRecord) -> Quality:
        blocks, weights = equipment.blocks[record.architecture.vocab_size], weights_file(directory, record.number).read_bytes()
        with watch.stages.clock(JUDGED):
            quality: Quality = ray.get(examiner.quality.remote(record, weights, blocks, study))
        return quality

    def write(record: TrialRecord) -> WrittenText | None:
        shape, kept = record.architecture, tokenizer_file(directory, record.architecture.vocab_size)
        if not kept.is_file():
            return None
        weights = weights_file(directory, record.number).read_bytes()
        beginning, text = ray.get(examiner.continued.remote(shape, weights, equipment.blocks[shape.vocab_size], study))
        tokenizer = load_exported(kept)
        return WrittenText(beginning=tokenizer.decode(beginning), text=tokenizer.decode(text))

    def measure(record: TrialRecord) -> Latency:
        with watch.stages.clock(MEASURED):
            return ask_device(equipment.device, record.architecture, partial(tell_of_device, watch))

    def with_seed(record: TrialRecord, seed: int) -> FreshSeed:
        blocks = equipment.blocks[record.architecture.vocab_size]
        found: FreshSeed = ray.get(examiner.fresh.remote(record, blocks, study, seed))
        return found

    def at_rate(record: TrialRecord, factor: float) -> RatePoint:
        blocks = equipment.blocks[record.architecture.vocab_size]
        found: RatePoint = ray.get(examiner.rate_point.remote(record, blocks, study, factor))
        return found

    def fresh(record: TrialRecord, final: FinalRecord) -> FinalRecord:
        return replace(final, fresh_seed=fresh_seed(record, study.search.seed + FRESH_SEED_OFFSET, with_seed, reuse))

    def bracket(record: TrialRecord, final: FinalRecord) -> FinalRecord:
        return replace(final, learning_rate_bracket=learning_rate_bracket(record, at_rate, reuse))

    tell_of_device(watch, is_away=False)
    try:
        found = measure_finals(directory, records, finals, measure, judge, study.problem, write)
    except DeviceEnded as error:
        raise WorkError(f"{error}; {SEE_TO_THE_NODE}") from None
    watch.stages.end("finals")
    watch.measured_again(found)
    for again in wanted_retrainings(study):
        watch.begin("retraining", f"the {again.replace('_', ' ')} of the shapes that the report names")
        found = retrain(directory, records, found, again, fresh if again == "fresh_seed" else bracket, study.problem)
    watch.stages.end("retraining")
    return found


def tell_of_device(watch: RunWatch, is_away: bool) -> None:
    """What the finals wait for: their measurements, or a latency device that is away."""
    watch.begin("finals", AWAY if is_away else "the front's members and references to be measured again and judged on the test split")
