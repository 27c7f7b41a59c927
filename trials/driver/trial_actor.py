"""One trial after another on a worker of Ray: the trainable that Tune drives."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from analysis.records.latency import Activations, Latency
from analysis.records.record import Kind, Outcome, TrialRecord
from search_space.architecture import Architecture
from trials.catalogue.runtimes import RUNTIMES
from trials.cluster.shared_text import text_here
from trials.driver.latency_device import ask_device
from trials.driver.trial_news import Teller
from trials.driver.workers import Place
from trials.machine.niceness import take_back_niceness
from trials.machine.provenance import code_digest
from trials.machine.quiet_lock import Turn, should_pause
from trials.machine.watchdog import Watchdog
from trials.study.directory import checkpoint_file, stamp, weights_file
from trials.study.spec import ProxySpec, StudySpec
from trials.training.conditions import Conditions
from trials.training.schedules import RunLength
from trials.trial.task import DeviceAway, Start, TrialTask, count_costs, outcome_of, record_of

if TYPE_CHECKING:
    from trials.corpus.blocks import TokenBlocks
    from trials.trial.checkpoint import Checkpoint

DEVICE_PATIENCE_SECONDS = 15.0
"""How long a trial waits for a latency device that is away before it trains first: a process that takes latencies is back sooner."""
Evaluate = Callable[[TrialTask], TrialRecord]
Trial = Generator[TrialRecord, None, tuple[TrialRecord, Any]]
"""A trial on its way, see `trial_in_stretches`."""


@dataclass(frozen=True)
class Equipment:
    """What every trial of a study needs and no trial changes; sent to each worker once."""

    study: StudySpec
    blocks: dict[int, Any]
    """Vocabulary size -> reference to what `shared_text` made of its TokenBlocks, in Ray's object store."""
    device: Any
    """The LatencyDevice's handle; None with a fake evaluator."""
    evaluate: Evaluate | None
    """A fake in place of a trial; None for the real thing."""
    directory: Path
    """Directory of the study, where trials leave their states if they see it."""
    stamp: tuple[int, int]
    """Stamp of the study's directory on the driver's machine."""
    keeper: Any = None
    """Handle of the StateKeeper that takes the states of workers which do not see the directory; None where all do."""
    as_deployed: bool = True
    """Whether networks are judged as the latency's runtime rounds them; not where the directory's first trials were not."""
    activations: Activations | None = None
    """What products of rounded weights read in the directory's first trials, by which all others are judged; None where there are none."""


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """Runs one trial after another in one process, so that torch and lightning are imported once."""

    def setup(self, config: dict[str, Any], equipment: Equipment) -> None:
        """Import what the first trial needs."""
        self._equipment = equipment
        self._blocks: dict[int, TokenBlocks] = {}
        self._trial: Trial | None = None
        self._turn: Turn | None = None
        self._is_unmeasured, self._looks = False, list[TrialRecord]()
        self._watchdog = Watchdog()
        take_back_niceness()
        code_digest()  # of the code as it is read now, not as it lies there when the first record is written
        if equipment.evaluate is None:
            import trials.trial.run_trial  # noqa: F401

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next trial may have this process; the one before it, where it was stopped at a look, ends here."""
        self._end()
        return True

    def cleanup(self) -> None:
        """Nothing of a trial outlives its worker."""
        self._end()

    def place(self) -> Place:
        """Where this worker runs."""
        return Place.here()

    def step(self) -> dict[str, Any]:
        """The trial to its next look, or to its end: its record, and its weights as a file's bytes where it finished.

        One that ends without its latency, which was not to be had, has its `looks` beside its record.
        """
        if self._trial is None:
            self._watchdog.begin(self._equipment.study.workers.deadline_seconds)
            self._trial = self._fake() if self._equipment.evaluate else self._real()
        try:
            with self._watchdog.watching():
                record = next(self._trial)
        except StopIteration as end:
            record, network = end.value
            looks = tuple(self._looks) if self._is_unmeasured else None
            self._end()
            return {"record": record, "weights": None if network is None else _file_of(network), "looks": looks, "done": True}
        self._looks.append(record)
        if self._turn is not None:
            self._turn.leave()  # measurements need not wait for the driver's answer
        return {"record": record, "weights": None, "looks": None}

    def _real(self) -> Trial:
        from trials.machine.memory import trials_on_a_machine, usable_bytes
        from trials.rounding.table import rounding_of
        from trials.trial.run_trial import trial_in_stretches

        study, task = self._equipment.study, self.config["task"]
        if should_pause() or _measures_on_gpu(study):
            self._turn = Turn(_measures_on_gpu(study), self._watchdog.held_up)
        blocks, proxy = self._blocks_of(task.architecture.vocab_size), task.recipe(study.proxy)
        conditions = replace(
            Conditions.of(study.workers),
            memory_bytes=usable_bytes(study.workers.device, trials_on_a_machine(study.workers)),
            pause=None if self._turn is None else self._turn.pause,
        )
        reused = self.config["reused"]  # the driver has put its weights beside the study
        seen = reused is not None and self._sees_directory()
        planned = RunLength.of(proxy, task.architecture).planned_tokens(0, 0.0) or None
        activations = self._equipment.activations or self.config["activations"]
        is_judged_by_device = self._equipment.as_deployed and activations is None and rounding_of(study.latency) is not None
        patience = math.inf if is_judged_by_device else DEVICE_PATIENCE_SECONDS
        teller = Teller(task.number, planned, lambda: self._watchdog.held_seconds)

        def measured(shape: Architecture) -> Latency:
            teller.measures()
            try:
                with self._watchdog.held_up():  # a measurement has a limit of its own, and the device may be others'
                    return ask_device(self._equipment.device, shape, teller.waits, lambda seconds: seconds < patience)
            except DeviceAway:
                self._is_unmeasured = True
                raise
            finally:
                teller.trains()

        return trial_in_stretches(
            task,
            blocks,
            proxy,
            workload=study.latency,
            problem=study.problem,
            latency=measured,
            looks=looks(study, task),
            checkpoint=self._checkpoint(task, proxy, blocks, conditions),
            conditions=conditions,
            progress=teller.at,
            reused=reused,
            reused_weights=weights_file(self._equipment.directory, task.number) if seen else None,
            as_deployed=self._equipment.as_deployed,
            activations=activations,
        )

    def _checkpoint(self, task: TrialTask, proxy: ProxySpec, blocks: TokenBlocks, conditions: Conditions) -> Checkpoint | None:
        """Where the trial leaves its states, through their keeper where the directory is not seen; None where the budget is seconds."""
        from trials.cluster.sent_checkpoint import SentCheckpoint
        from trials.trial.checkpoint import Checkpoint, checkpoint_key

        if proxy.seconds is not None:
            return None
        file, key = checkpoint_file(self._equipment.directory, task.number), checkpoint_key(task, proxy, blocks, conditions)
        if self._sees_directory():
            return Checkpoint(file, key)
        name = file.relative_to(self._equipment.directory).as_posix()
        return None if self._equipment.keeper is None else SentCheckpoint(file, key, self._equipment.keeper, name)

    def _sees_directory(self) -> bool:
        """Whether the study's directory is the driver's on this machine too."""
        try:
            return stamp(self._equipment.directory) == self._equipment.stamp
        except OSError:
            return False

    def _fake(self) -> Trial:
        evaluate, study, start, task = self._equipment.evaluate, self._equipment.study, Start.now(), self.config["task"]
        assert evaluate is not None
        try:
            record = evaluate(task)
        except Exception as error:
            outcome, reason = outcome_of(error)
            return record_of(task, outcome, reason, count_costs(task.architecture, study.latency, study.proxy), start), None
        for share in looks(study, task):
            yield stopped_at(record, share)
        return record, None

    def _blocks_of(self, vocab_size: int) -> TokenBlocks:
        if vocab_size not in self._blocks:
            with self._watchdog.held_up():  # the first one on a node fetches the text for all
                self._blocks[vocab_size] = text_here(ray.get(self._equipment.blocks[vocab_size]))
        return self._blocks[vocab_size]

    def _end(self) -> None:
        if self._trial is not None:
            self._trial.close()
        if self._turn is not None:
            self._turn.close()
        self._trial = self._turn = None
        self._is_unmeasured, self._looks = False, []


def looks(study: StudySpec, task: TrialTask) -> tuple[float, ...]:
    """Shares of its training at which this trial may be stopped: none of a reference's or a replicate's, which a front is judged by."""
    return study.search.rungs if study.search.early_stopping != "none" and task.kind is Kind.SAMPLED else ()


def stopped_at(record: TrialRecord, share: float) -> TrialRecord:
    """What a finished trial's record was at a share of its training, so far as its curve tells."""
    training = record.training
    if training is None or training.validation is None:
        return replace(record, outcome=Outcome.STOPPED)
    tokens = round(share * training.planned_tokens)
    seen = [point for point in training.curve if point.tokens <= tokens]
    loss = next((point.validation_loss for point in reversed(seen) if point.validation_loss is not None), None)
    bits = training.validation.bits_per_byte / training.validation.loss
    quality = None if loss is None else replace(training.validation, loss=loss, bits_per_byte=bits * loss, rounded=None)
    return replace(record, outcome=Outcome.STOPPED, training=replace(training, tokens=tokens, curve=tuple(seen), validation=quality))


def _measures_on_gpu(study: StudySpec) -> bool:
    """Whether latencies are taken where this study trains."""
    return bool(study.workers.gpus) and RUNTIMES[study.latency.runtime].device == "cuda"


def _file_of(network: Any) -> bytes:
    from trials.network.weights import save_weights

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_weights(path, network)
        return path.read_bytes()
