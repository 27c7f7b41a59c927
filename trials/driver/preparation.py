"""What a study needs before its first trial: a way of training, a node that measures, and on Ray what every trial is given."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from analysis.fronts.rounding import judged_activations, judged_in_float32
from analysis.records.files import write_whole
from analysis.records.json_writer import json_of
from analysis.records.record import TrialRecord
from search_space.errors import SpecError, shortened
from trials.catalogue.runtimes import COMMAND, RUNTIMES
from trials.cluster.ray_session import LATENCY_DEVICE, LATENCY_SHARE
from trials.cluster.shared_text import shared_text
from trials.cluster.state_keeper import keeping_states
from trials.driver.latency_device import latency_device
from trials.driver.trial_actor import Equipment, Evaluate
from trials.driver.workers import promptly, result_of
from trials.latency.refusals import refusal_of, require_libraries
from trials.machine.niceness import take_back_niceness
from trials.study.directory import SPLITS_FILE, stamp, tokenizer_file
from trials.study.latency_spec import LatencySpec
from trials.study.spec import StudySpec
from trials.training.mode import Calibration
from trials.trial.calibration import calibrate, settled, with_threads
from trials.trial.task import TrialTask

if TYPE_CHECKING:
    from analysis.latency.device_table import DeviceTable
    from search_space.architecture import Architecture
    from trials.corpus.blocks import TokenBlocks
    from trials.plans.feasible_here import Pace
    from trials.plans.pace_measure import Timed
    from trials.search.proposer import Proposer

NICENESS_SECONDS = 30.0
"""Longest that nodes are waited for to say how nice work is there."""

logger = logging.getLogger(__name__)


def make_proposer(study: StudySpec, table: DeviceTable | None) -> Proposer:
    """Takes a second or more: the space is enumerated, and Optuna imported. With a `table` proposals follow its latencies."""
    from trials.search.proposer import Proposer
    from trials.trial.known_before import exact_objectives, passed_limit

    return Proposer(
        study.search_space,
        study.search.seed,
        study.search.sampler,
        study.problem,
        exact=exact_objectives(study, table),
        accepts=lambda shape: refusal_of(shape, study.latency) is None and passed_limit(study, shape) is None,
        options=study.search.sampler_options,
    )


def read_blocks(study: StudySpec, vocab_size: int) -> TokenBlocks:
    """The study's text as tokens of that vocabulary, made where they are not cached."""
    from trials.corpus.prepare import prepare_corpus

    return prepare_corpus(study.corpus, vocab_size)


def require_latency_node(spec: LatencySpec) -> None:
    """Raise SpecError where no node takes latencies, or the one that does lacks the library of an optional runtime."""
    if not ray.cluster_resources().get(LATENCY_DEVICE):
        raise SpecError(
            f"the Ray cluster must have a node with the resource {LATENCY_DEVICE}, where latency is taken, found none; start one "
            f"""there with: ray start --address=HEAD:6379 --num-cpus=0 --resources='{{"{LATENCY_DEVICE}": 1}}'"""
        )
    row = RUNTIMES[spec.runtime]
    if spec.runtime != COMMAND and not row.library and row.device == "cpu":
        return  # it is among the dependencies, and asking takes a process there
    result_of(ray.remote(require_libraries).options(num_cpus=0, resources=LATENCY_SHARE).remote(spec))


def tell_of_niceness() -> None:
    """Warn, once, of nodes on which Ray makes work nicer than the node is and that cannot be taken back."""
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            left = ray.remote(take_back_niceness).options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote()
            asked[left] = node["NodeManagerHostname"]
    done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=NICENESS_SECONDS)
    names = set()
    for left in done:
        with suppress(RayError):  # it is gone since
            names |= {asked[left]} if ray.get(left) else set()
    if names:
        logger.warning(
            "Ray makes trainings and measurements nicer than %s, which cannot be taken back there, so that other work comes first; start "
            "Ray on each node with RAY_worker_niceness=0 in its environment",
            f"their node on {shortened(', '.join(sorted(names)))}",
        )


def settled_on_a_worker(study: StudySpec, directory: Path) -> StudySpec:
    """The study with nothing left open, calibrated where trials will run."""
    return placeable(settled(study, directory, _calibrated_on_a_worker))


def placeable(study: StudySpec) -> StudySpec:
    """The study with no more threads a trial than the largest node has: the calibration may be of another machine."""
    largest = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
    return with_threads(study, largest) if study.workers.trial_threads > largest >= 1 else study


def time_pace_on_a_worker(study: StudySpec, tasks: Sequence[TrialTask]) -> Pace:
    """How fast the machine is where trials will run."""
    from trials.plans.feasible_here import time_pace

    asked = ray.remote(promptly).options(num_cpus=study.workers.trial_threads, num_gpus=study.workers.gpus)
    found: Pace = result_of(asked.remote(time_pace, study, tasks))
    return found


def time_shapes_on_a_worker(study: StudySpec, shapes: Sequence[Architecture]) -> Timed:
    """What a few steps of these shapes take where trials will run."""
    from trials.plans.pace_measure import time_shapes

    asked = ray.remote(promptly).options(num_cpus=study.workers.trial_threads, num_gpus=study.workers.gpus)
    found: Timed = result_of(asked.remote(time_shapes, study, tuple(shapes)))
    return found


@contextmanager
def equipped(
    study: StudySpec,
    directory: Path,
    blocks: Mapping[int, TokenBlocks],
    records: Sequence[TrialRecord],
    evaluate: Evaluate | None,
    is_joined: bool = False,
) -> Iterator[Equipment]:
    """What every trial is given, put where it finds it, while inside; `records` are those of an interrupted run, and of trials that it
    left to be measured.

    Trials of a cluster that `is_joined` may run where the directory is not seen.

    Raises SpecError where those were trained on another text than the blocks of each vocabulary.
    """
    for size, found in blocks.items():
        found.require_same_text(records)
        found.require_same_tasks(records)
        found.require_context(study.proxy.context_tokens)
        if found.tokenizer_file is not None:
            write_whole(tokenizer_file(directory, size), found.tokenizer_file.read_bytes())
        if found.facts is not None:  # the same for every vocabulary
            write_whole(directory / SPLITS_FILE, f"{json_of(found.facts.as_dict(), indent=2)}\n".encode())
    if evaluate is not None:
        yield Equipment(study, {}, None, evaluate, directory, stamp(directory))
        return
    device = latency_device(study.latency, [record.latency for record in records if record.latency is not None])
    try:
        with ExitStack() as kept:
            keeper = kept.enter_context(keeping_states(directory)) if is_joined else None
            placed = {size: ray.put(shared_text(found, kept, is_joined)) for size, found in blocks.items()}
            yield Equipment(
                study,
                placed,
                device,
                None,
                directory,
                stamp(directory),
                keeper,
                as_deployed=not judged_in_float32(records),
                activations=judged_activations(records),
            )
    finally:
        ray.kill(device)  # else the next study here waits for the device until Python forgets this one


def _calibrated_on_a_worker(study: StudySpec) -> Calibration:
    found: Calibration = result_of(ray.remote(promptly).options(num_cpus=1, num_gpus=study.workers.gpus).remote(calibrate, study))
    return found
