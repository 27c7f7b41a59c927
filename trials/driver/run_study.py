"""A study from its YAML to its records: places trials on Ray's workers, and is the one that writes."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError, RayTaskError

from analysis.records.files import write_whole
from analysis.records.latency import Latency
from analysis.records.record import FinalRecord, FreshSeed, RatePoint, TrialRecord, read_finals, read_records
from analysis.records.training import Quality
from search_space.errors import SpecError
from trials.catalogue.runtimes import COMMAND, RUNTIMES
from trials.corpus.prepare import require_corpus
from trials.driver.agenda import Agenda
from trials.driver.finals import measure_finals, missing_finals
from trials.driver.ray_session import connected
from trials.driver.retrainings import SEED_AWAY, Retraining, fresh_seed, learning_rate_bracket, missing_retrainings, retrain
from trials.driver.scheduler import FrontScheduler
from trials.driver.startup_times import Stages
from trials.driver.trial_actor import Equipment, Evaluate, TrialActor
from trials.driver.tune_adapters import AgendaSearcher, Scribe, StudyProgress
from trials.driver.workers import LATENCY_DEVICE, Examiner, LatencyDevice, ask_device
from trials.latency.device_tables import frozen_table, require_first
from trials.latency.refusals import refusal_of, require_libraries, require_measurable
from trials.study.directory import claim, stamp, tokenizer_file, weights_file
from trials.study.spec import StudySpec
from trials.training.mode import Calibration
from trials.trial.calibration import as_settled, calibrate, settled, with_threads
from trials.trial.known_before import require_within_limits
from trials.trial.references import references
from trials.trial.reuse import Reuse
from trials.trial.same_corpus import require_same_text
from trials.trial.scaling_grid import largest_first, planned_tasks
from trials.trial.task import TrialTask
from trials.trial.training_index import TrainingText

if TYPE_CHECKING:
    from analysis.latency.device_table import DeviceTable
    from trials.corpus.blocks import TokenBlocks
    from trials.plans.feasible_here import MeasurePace, Pace
    from trials.search.proposer import Proposer


SHAPES_ASKED_ABOUT = 100
"""Of the space, whether any can be timed at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """What a study has after a run."""

    directory: Path
    records: tuple[TrialRecord, ...]
    finals: dict[int, FinalRecord]
    planned: int
    """Trials that the study asked for, references and replicates included; more than the records where the space has no more shapes."""
    left_out: Mapping[int, str] = field(default_factory=dict)
    """Trainings of a scaling study that are out of this machine's reach, each with the reason."""
    failure: str | None = None
    """Why the study as a whole failed, in a sentence; None where at least one trial finished."""


def run_study(
    study: StudySpec,
    directory: Path,
    *,
    study_text: str,
    address: str | None = None,
    tracking_uri: str | None = None,
    progress: Callable[[StudyProgress], None] | None = None,
    evaluate: Evaluate | None = None,
    stages: Stages | None = None,
) -> StudyResult:
    """Run a study in its directory, or what is left of it; `study_text` is the YAML as it was given.

    `address` is that of a Ray cluster; without it, and outside of a Ray job, one is started on this machine for the time of the run.
    `evaluate`, a function at the top of a module, takes the place of training and measuring. `stages` tells where the start's time went.
    Raises SpecError for wrong input; whatever happens to single trials stands in their records. After an interruption of any kind the
    same call continues.
    """
    if evaluate is None and study.scaling is None:
        space = study.search_space
        space.require_feasible()
        require_within_limits(study)
        require_measurable(study.latency, references(study.references, space), space.sample(SHAPES_ASKED_ABOUT, study.search.seed))
    require_first(study, directory)
    with claim(directory, study_text) as place:
        return _Run(study, place, study_text, tracking_uri, progress, evaluate, stages or Stages()).go(address)


class _Run:
    """One driver's work on a claimed directory."""

    def __init__(
        self,
        study: StudySpec,
        directory: Path,
        study_text: str,
        tracking_uri: str | None,
        progress: Callable[[StudyProgress], None] | None,
        evaluate: Evaluate | None,
        stages: Stages,
    ) -> None:
        from trials.reporting.mlflow_tracker import Tracker

        self._study, self._directory, self._evaluate, self._stages = study, directory, evaluate, stages
        self._planned = planned_tasks(study)
        self._references = [] if study.scaling else references(study.references, study.search_space)
        self._background = ThreadPoolExecutor(2, thread_name_prefix="start-up")
        records = read_records(directory)
        self._finals = read_finals(directory)
        if self._planned:
            self._agenda = Agenda(study, (), records, _nothing_to_propose, largest_first(self._planned, study))
        else:
            study.search_space.require_feasible()
            made = self._background.submit(self._beside, "search space", _proposer, study, frozen_table(study, directory))
            self._agenda = Agenda(study, self._references, records, made.result)
        self._left_out = {} if evaluate else self._leave_out(study, None)
        self._tracker = Tracker(directory, study, study_text, tracking_uri)
        self._scribe = Scribe(study, directory, self._agenda, self._tracker, progress)
        self._scribe.on_ready = stages.ready
        self._reuse: Reuse | None = None

    def go(self, address: str | None) -> StudyResult:
        """Search, measure the finals, and say how it went."""
        try:
            self._tracker.start()
            self._tracker.catch_up(self._agenda.records.values())
            if not self._agenda.finished or self._missing_finals():
                if self._evaluate is None:
                    require_corpus(self._study.corpus, self._vocabularies())  # before Ray takes its seconds to start
                sizes = () if self._evaluate else self._vocabularies()
                blocks = {size: self._background.submit(self._beside, "corpus", _blocks, self._study, size) for size in sizes}
                self._stages.end("study")
                with connected(self._study, address):
                    self._require_runtime()
                    self._stages.end("Ray")
                    ready = {size: found.result() for size, found in blocks.items()}  # a calibration wants the machine for itself
                    self._stages.end("rest of the corpus")
                    if self._evaluate is None:
                        self._study = _placeable(settled(self._study, self._directory, _calibrated_on_a_worker))
                        self._left_out = self._leave_out(self._study, _timed_on_a_worker)
                        self._stages.end("calibration")
                    equipment = self._equip(ready)
                    try:
                        with _heard(self._agenda):
                            self._search(equipment)
                        self._measure_finals(equipment)
                    finally:
                        if equipment.device is not None:
                            ray.kill(equipment.device)  # else the next study here waits for the device until Python forgets this one
        except BaseException:
            self._tracker.abandon()
            raise
        finally:
            self._background.shutdown(wait=False, cancel_futures=True)
        records = tuple(sorted(self._agenda.records.values(), key=lambda record: record.number))
        self._tracker.finish(records, self._finals)
        search = self._study.search
        return StudyResult(
            directory=self._directory,
            records=records,
            finals=self._finals,
            planned=len(self._planned) + len(self._references) + search.trials + search.replicates_of(search.trials),
            left_out={number: reason for number, reason in self._left_out.items() if number not in self._agenda.records},
            failure=_failure(records),
        )

    def _beside(self, name: str, work: Callable[..., Any], *arguments: object) -> Any:
        with self._stages.beside(name):
            return work(*arguments)

    def _leave_out(self, study: StudySpec, measure: MeasurePace | None) -> dict[int, str]:
        """Take from the agenda what is out of this machine's reach, with the reasons; nothing while its pace is not known."""
        if not self._planned:
            return {}
        from trials.plans.feasible_here import infeasible_here  # torch: a second or more, for scaling studies alone

        reasons = infeasible_here(as_settled(study, self._directory), self._directory, self._planned, measure) or {}
        self._agenda.leave_out(reasons)
        return reasons

    def _vocabularies(self) -> set[int]:
        if self._planned:
            return {task.architecture.vocab_size for task in self._planned}
        return {*self._study.search_space.choices("vocab_size"), *(shape.vocab_size for _, shape in self._references)}

    def _require_runtime(self) -> None:
        """Raise SpecError where no node takes latencies, or the one that does lacks the library of an optional runtime."""
        if self._evaluate is not None:
            return
        if not ray.cluster_resources().get(LATENCY_DEVICE):
            raise SpecError(
                f"the Ray cluster must have a node with the resource {LATENCY_DEVICE}, where latency is taken, found none; start one "
                f"""there with: ray start --address=HEAD:6379 --num-cpus=0 --resources='{{"{LATENCY_DEVICE}": 1}}'"""
            )
        spec = self._study.latency
        row = RUNTIMES[spec.runtime]
        if spec.runtime != COMMAND and not row.library and row.device == "cpu":
            return  # it is among the dependencies, and asking takes a process there
        try:
            asked = ray.remote(require_libraries).options(num_cpus=0, resources={LATENCY_DEVICE: 1})
            ray.get(asked.remote(spec))
        except RayTaskError as error:
            raise error.cause from None

    def _equip(self, blocks: dict[int, TokenBlocks]) -> Equipment:
        """Put what the trials need where they find it."""
        for size, found in blocks.items():
            require_same_text(found, self._agenda.records.values())
            found.require_context(self._study.proxy.context_tokens)
            if found.tokenizer_file is not None:
                write_whole(tokenizer_file(self._directory, size), found.tokenizer_file.read_bytes())
        if self._evaluate:
            return Equipment(self._study, {}, None, self._evaluate, self._directory, stamp(self._directory))
        texts = {size: TrainingText.of(found) for size, found in blocks.items()}
        self._reuse = self._scribe.reuse = Reuse(self._study, self._directory, texts)
        earlier = sorted(self._agenda.records.values(), key=lambda record: record.number)
        device = (
            ray.remote(LatencyDevice)
            .options(num_cpus=0, resources={LATENCY_DEVICE: 1}, max_restarts=-1)
            .remote(self._study.latency, [record.latency for record in earlier if record.latency is not None])
        )
        placed = {size: ray.put(found) for size, found in blocks.items()}
        return Equipment(self._study, placed, device, None, self._directory, stamp(self._directory))

    def _search(self, equipment: Equipment) -> None:
        while not self._agenda.finished:
            try:
                self._place(equipment)
            except Exception as error:
                if self._scribe.complaint is not None:
                    raise self._scribe.complaint from None
                if not isinstance(error.__cause__, OutOfMemoryError):
                    raise
                self._scribe.on_out_of_memory(str(error.__cause__))
            else:
                if self._agenda.interrupted:
                    raise KeyboardInterrupt
                return

    def _place(self, equipment: Equipment) -> None:
        """Have Tune run what the agenda hands out, to its end."""
        search = self._study.search
        resources = {"cpu": search.trial_threads, "gpu": search.gpus}
        storage = tempfile.mkdtemp(prefix="archfront-tune-")
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(search.workers)  # start the workers together, not one after the other
        try:
            tune.run(
                tune.with_resources(tune.with_parameters(TrialActor, equipment=equipment), resources),
                name="study",
                num_samples=-1,
                search_alg=AgendaSearcher(self._agenda, search.workers, self._reuse),
                scheduler=FrontScheduler(self._agenda),
                callbacks=[self._scribe],
                reuse_actors=True,
                raise_on_failed_trial=False,
                storage_path=storage,
                verbose=0,
                trial_dirname_creator=lambda trial: trial.trial_id,
            )
        finally:
            shutil.rmtree(storage, ignore_errors=True)

    def _missing_finals(self) -> bool:
        if self._evaluate is not None:
            return False
        records, problem = list(self._agenda.records.values()), self._study.problem
        return bool(
            missing_finals(records, self._finals, problem)
            or any(missing_retrainings(records, self._finals, field, problem) for field in self._again())
        )

    def _again(self) -> list[Retraining]:
        """What the study wants of the shapes that its report names; a grid has chosen none."""
        if self._planned:
            return []
        search = self._study.search
        wanted: list[tuple[Retraining, bool]] = [("fresh", search.fresh_seed), ("rate_bracket", search.rate_bracket)]
        return [field for field, asked in wanted if asked]

    def _measure_finals(self, equipment: Equipment) -> None:
        if not self._missing_finals():
            return
        examiner = ray.remote(Examiner).options(num_cpus=self._study.search.trial_threads, num_gpus=self._study.search.gpus).remote()

        def judge(record: TrialRecord) -> Quality:
            shape, weights = record.architecture, weights_file(self._directory, record.number).read_bytes()
            quality: Quality = ray.get(examiner.quality.remote(shape, weights, equipment.blocks[shape.vocab_size], self._study))
            return quality

        def measure(record: TrialRecord) -> Latency:
            return ask_device(equipment.device, record.architecture)

        def with_seed(record: TrialRecord, seed: int) -> FreshSeed:
            found: FreshSeed = ray.get(examiner.fresh.remote(record, equipment.blocks[record.architecture.vocab_size], self._study, seed))
            return found

        def at_rate(record: TrialRecord, factor: float) -> RatePoint:
            blocks = equipment.blocks[record.architecture.vocab_size]
            found: RatePoint = ray.get(examiner.rate_point.remote(record, blocks, self._study, factor))
            return found

        reuse = self._reuse
        assert reuse is not None  # there are blocks

        def fresh(record: TrialRecord, final: FinalRecord) -> FinalRecord:
            return replace(final, fresh=fresh_seed(record, self._study.search.seed + SEED_AWAY, with_seed, reuse))

        def bracket(record: TrialRecord, final: FinalRecord) -> FinalRecord:
            return replace(final, rate_bracket=learning_rate_bracket(record, at_rate, reuse))

        records = sorted(self._agenda.records.values(), key=lambda record: record.number)
        problem = self._study.problem
        self._finals = measure_finals(self._directory, records, self._finals, measure, judge, problem)
        for again in self._again():
            self._finals = retrain(self._directory, records, self._finals, again, fresh if again == "fresh" else bracket, problem)


@contextmanager
def _heard(agenda: Agenda) -> Iterator[None]:
    """Ctrl-C ends the search even where a library swallows the exception that Python raises for it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        agenda.interrupted = True
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _proposer(study: StudySpec, table: DeviceTable | None) -> Proposer:
    """Takes a second or more: the space is enumerated, and Optuna imported."""
    from trials.search.proposer import Proposer
    from trials.trial.known_before import exact_objectives, passed_limit

    return Proposer(
        study.search_space,
        study.search.seed,
        study.search.sampler,
        study.problem,
        exact=exact_objectives(study, table),
        accepts=lambda shape: refusal_of(shape, study.latency) is None and passed_limit(study, shape) is None,
    )


def _calibrated_on_a_worker(study: StudySpec) -> Calibration:
    """Where trials will run, before any does."""
    try:
        found: Calibration = ray.get(ray.remote(calibrate).options(num_cpus=1, num_gpus=study.search.gpus).remote(study))
    except RayTaskError as error:
        raise error.cause from None
    return found


def _timed_on_a_worker(study: StudySpec, tasks: Sequence[TrialTask]) -> Pace:
    """Where trials will run."""
    from trials.plans.feasible_here import time_pace

    search = study.search
    asked = ray.remote(time_pace).options(num_cpus=search.trial_threads, num_gpus=search.gpus)
    try:
        found: Pace = ray.get(asked.remote(study, tasks))
    except RayTaskError as error:
        raise error.cause from None
    return found


def _nothing_to_propose() -> Proposer:
    raise AssertionError("a plan has no proposals")


def _placeable(study: StudySpec) -> StudySpec:
    """The study with no more threads a trial than the largest node has: the calibration may be of another machine."""
    largest = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
    return with_threads(study, largest) if study.search.trial_threads > largest >= 1 else study


def _blocks(study: StudySpec, vocab_size: int) -> TokenBlocks:
    from trials.corpus.prepare import prepare_corpus

    return prepare_corpus(study.corpus, vocab_size)


def _failure(records: Sequence[TrialRecord]) -> str | None:
    if any(record.finished for record in records):
        return None
    if not records:
        return "no trial was run"
    reasons = Counter(f"{record.outcome}: {record.reason}" for record in records)
    reason, count = reasons.most_common(1)[0]
    return f"none of {len(records)} trials finished; {'all' if count == len(records) else count} of them {reason}"
