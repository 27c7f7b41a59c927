"""Studies in a real cluster of several nodes; run by test_latency_device.py and test_lost_trials.py, each test in a process of its own."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.records.attempt import read_attempts
from analysis.records.record import TrialRecord, read_records
from analysis.records.unmeasured import read_unmeasured
from search_space.errors import SpecError
from tests.support import fakes
from tests.support.lasting import lasting
from tests.support.namespaces import can_hide_folders, end, hidden_from
from trials.driver.run_study import run_study
from trials.progress.display import Display
from trials.progress.standing import PROGRESS_FILE, RunStanding, read_standing
from trials.progress.watch import AWAY, RunWatch

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]

MEASURE = """
import json, os, sys, time
asked, began = json.load(sys.stdin), time.monotonic()
time.sleep(0.5)
with open(sys.argv[1], "a") as file:
    print(json.dumps([began, time.monotonic()]), file=file)
repeats = {"prefill_ms": [1.0, 1.0], "decode_ms_per_token": [1.0, 1.0]}
print(json.dumps({"device": os.environ["NODE_OF_THIS_TEST"], "runtime": "none", "runtime_version": "0", **repeats}))
"""
TINY: dict[str, Any] = {
    "budget": {"parameters": 20_000, "tolerance": 0.05},
    "space": {
        "vocab_size": 280,
        "num_unique_layers": [1, 2],
        "hidden_size": [24, 32],
        "head_dim": 8,
        "intermediate_size": {"solve": True, "ratio": [0.25, 12]},
    },
    "proxy": {"tokens": 4_096, "context_tokens": 32, "evaluation_tokens": 1_024},
    "search": {"trials": 1},
    "workers": {"count": 2},
    "finals": {"fresh_seed": False},
    "references": ["deep-thin", "wide-shallow"],
}
THREE: dict[str, Any] = {"search": {"trials": 3, "sampler": "random", "reuse": False}}


@pytest.fixture
def head(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of one node, to which others can be added; this process is its driver's. It trains, unless a test says 0 processors."""
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    store = {"object_store_memory": 100_000_000, "include_dashboard": False}
    trains = {"num_cpus": getattr(request, "param", 2), "env_vars": {"NODE_OF_THIS_TEST": "trains"}}
    cluster = Cluster(initialize_head=True, head_node_args={**trains, **store})
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def study(folder: Path) -> dict[str, Any]:
    """A tiny study whose latencies are taken by a command that says on which node it runs, and when."""
    (folder / "measure.py").write_text(MEASURE)
    words = ("the", "shape", "of", "a", "small", "model", "matters", "more", "than", "its", "size")
    lines = (" ".join(words[(line * place + place * place) % len(words)] for place in range(12)) for line in range(4_000))
    (folder / "text.txt").write_text("\n".join(lines))
    command = [sys.executable, str(folder / "measure.py"), str(folder / "log")]
    latency = {"runtime": "command", "command": command, "prompt_tokens": 8, "new_tokens": 8, "repeats": 2}
    return {**TINY, "corpus": {"name": None, "files": [str(folder / "text.txt")]}, "latency": latency}


def test_latency_is_taken_on_the_node_that_offers_it_and_one_at_a_time(head: Any, tmp_path: Path) -> None:
    head.add_node(num_cpus=0, resources={"latency_device": 1}, object_store_memory=100_000_000, env_vars={"NODE_OF_THIS_TEST": "measures"})
    head.wait_for_nodes()
    spec, text = fakes.small_study(**study(tmp_path))
    result = run_study(spec, tmp_path / "study", study_text=text, tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", address=head.address)
    assert result.failure is None, [record.reason for record in result.records]
    assert len(result.records) == 3
    for record in result.records:
        assert record.finished, record.reason
        assert record.latency is not None
        assert (record.latency.device, record.latency.protocol) == ("measures", "command-1")
    turns = sorted(json.loads(line) for line in (tmp_path / "log").read_text().splitlines())
    assert len(turns) >= 3
    assert all(ended <= began for (_, ended), (began, _) in itertools.pairwise(turns))


def test_a_cluster_without_such_a_node_is_refused_before_anything_trains(head: Any, tmp_path: Path) -> None:
    spec, text = fakes.small_study(**study(tmp_path))
    cure = r"ray start --address=HEAD:6379 --num-cpus=0 --resources='\{\"latency_device\": 1\}'"
    with pytest.raises(SpecError, match=rf"must have a node with the resource latency_device.*found none.*{cure}"):
        run_study(spec, tmp_path / "study", study_text=text, tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", address=head.address)
    assert read_records(tmp_path / "study") == []
    assert not os.path.exists(tmp_path / "log")


def test_a_node_that_is_gone_costs_no_trial(head: Any, tmp_path: Path) -> None:
    store = {"object_store_memory": 100_000_000}
    head.add_node(num_cpus=0, resources={"latency_device": 1}, env_vars={"NODE_OF_THIS_TEST": "measures"}, **store)
    doomed = head.add_node(num_cpus=2, env_vars={"NODE_OF_THIS_TEST": "goes"}, **store)
    head.wait_for_nodes()
    tokens = {"proxy": {**TINY["proxy"], "tokens": 400_000}, "workers": {"count": 3, "threads": 1}}
    spec, text = fakes.small_study(**{**study(tmp_path), **tokens})

    def end_the_node(standing: RunStanding) -> None:
        """Once its trial trains; the third worker is there, for the head has two processors."""
        if doomed in head.worker_nodes and any(trial.tokens for trial in standing.running) and standing.running_count == 3:
            head.remove_node(doomed, allow_graceful=False)

    with RunWatch(display=Ticking(end_the_node)) as watch:
        result = run_study(
            spec, tmp_path / "study", study_text=text, tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", address=head.address, watch=watch
        )
    assert doomed not in head.worker_nodes
    assert result.failure is None
    assert [record.outcome for record in result.records] == ["finished"] * 3, [record.reason for record in result.records]
    assert len((tmp_path / "study" / "records.jsonl").read_text().splitlines()) == 3
    attempts = read_attempts(tmp_path / "study")
    assert len(attempts) >= 1
    assert all(attempt.cause for attempt in attempts)


@pytest.mark.parametrize("head", [0], indirect=True)
@pytest.mark.skipif(not can_hide_folders(), reason="who may not make namespaces has no node that does not see a folder")
def test_a_trial_goes_on_on_another_node_from_the_state_of_a_node_that_died(head: Any, tmp_path: Path) -> None:
    store = {"object_store_memory": 100_000_000}
    head.add_node(num_cpus=0, resources={"latency_device": 1}, env_vars={"NODE_OF_THIS_TEST": "measures"}, **store)
    changes = {
        "proxy": {**TINY["proxy"], "tokens": 400_000},
        "search": {"trials": 1, "sampler": "random", "early_stopping": "front", "rungs": [0.25, 0.5, 0.75], "reuse": False},
        "workers": {"count": 1, "threads": 1},
        "references": [],
    }
    spec, text = fakes.small_study(**{**study(tmp_path), **changes})
    kept = tmp_path / "studies" / "disturbed" / "checkpoints" / "0000.safetensors"
    told, nodes = list[tuple[int, int]](), list[subprocess.Popen[bytes]]()
    kept.parent.mkdir(parents=True)

    def disturb(standing: RunStanding) -> None:
        """End the only node that trains once a state of its trial is kept here, and have another in its place."""
        told.extend((len(nodes), trial.tokens) for trial in standing.running if trial.tokens)
        if len(nodes) == 1 and kept.exists():
            end(nodes[0])
            nodes.append(hidden_from(kept.parents[2], head.address))

    def run(name: str) -> TrialRecord:
        with RunWatch(display=Ticking(disturb)) as watch:
            tracking = f"sqlite:///{tmp_path}/mlflow.db"
            result = run_study(spec, kept.parents[2] / name, study_text=text, tracking_uri=tracking, address=head.address, watch=watch)
        assert result.failure is None
        return result.records[0]

    try:
        nodes.append(hidden_from(kept.parents[2], head.address))
        disturbed = run("disturbed")
        [attempt] = read_attempts(kept.parents[1])
        assert attempt.progressed
        assert min(tokens for after, tokens in told if after == 2) > 90_000, "it began anew"
        assert not list(kept.parent.iterdir())
        assert lasting(disturbed) == lasting(run("undisturbed"))
        assert disturbed.finished
    finally:
        for node in nodes:
            end(node)


DRIVER = """
import sys
from pathlib import Path
from tests.support import fakes, two_nodes
from trials.driver.run_study import run_study
from trials.progress.watch import RunWatch
folder, address = Path(sys.argv[1]), sys.argv[2]
spec, text = fakes.small_study(**{**two_nodes.study(folder), "workers": {"count": 1, "threads": 1}, **two_nodes.THREE})
with RunWatch() as watch:
    result = run_study(
        spec, folder / "study", study_text=text, tracking_uri=f"sqlite:///{folder}/mlflow.db", address=address, watch=watch
    )
print(sum(record.finished for record in result.records), result.failure)
"""


def test_two_studies_share_one_device_and_both_are_complete(head: Any, tmp_path: Path) -> None:
    head.add_node(num_cpus=0, resources={"latency_device": 1}, object_store_memory=100_000_000, env_vars={"NODE_OF_THIS_TEST": "measures"})
    head.wait_for_nodes()
    drivers = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-c", DRIVER, str(tmp_path / name), head.address]
        drivers.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
    assert [driver.communicate(timeout=500)[0].splitlines()[-1] for driver in drivers] == ["5 None", "5 None"]
    turns = sorted((*json.loads(line), name) for name in ("one", "two") for line in (tmp_path / name / "log").read_text().splitlines())
    assert len(turns) >= 10
    assert all(ended <= began for (_, ended, _), (began, _, _) in itertools.pairwise(turns)), "two were measured at once"
    last = max(min(turn[0] for turn in turns if turn[2] == name) for name in ("one", "two"))
    assert last < max(turn[1] for turn in turns), "one study had the device to its end"


def test_what_trains_while_the_device_is_away_is_measured_later_and_the_study_waits_when_it_is_too_far_ahead(
    head: Any, tmp_path: Path
) -> None:
    measures: dict[str, Any] = {"num_cpus": 0, "resources": {"latency_device": 1}, "object_store_memory": 100_000_000}
    measures["env_vars"] = {"NODE_OF_THIS_TEST": "measures"}
    node = head.add_node(**measures)
    head.wait_for_nodes()

    def driven(name: str) -> subprocess.Popen[str]:
        (tmp_path / name).mkdir()
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(tmp_path / name), head.address], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )

    driver, directory = driven("disturbed"), tmp_path / "disturbed" / "study"
    wait_until(driver, directory, lambda standing: any(trial.doing == "latency" for trial in standing.running))
    head.remove_node(node, allow_graceful=False)
    wait_until(driver, directory, lambda standing: standing.waits_for.startswith(AWAY))
    wait_until(driver, directory, lambda standing: standing.waits_for.endswith("no other begins before, for as many may be ahead of it"))
    standing = read_standing(directory)
    assert standing.unmeasured == len(read_unmeasured(directory)) == 2
    assert "2 to be measured" in standing.counts
    assert not any(number in read_unmeasured(directory) for number in (record.number for record in read_records(directory)))
    head.add_node(**measures)
    assert driver.communicate(timeout=400)[0].splitlines()[-1] == "5 None"
    assert all(record.latency is not None for record in read_records(directory))
    assert read_standing(directory).unmeasured == 0

    assert driven("undisturbed").communicate(timeout=400)[0].splitlines()[-1] == "5 None"
    undisturbed = read_records(tmp_path / "undisturbed" / "study")
    assert [lasting(record) for record in read_records(directory)] == [lasting(record) for record in undisturbed]


def test_another_machine_in_the_place_of_the_device_is_refused_and_no_trial_pays_for_it(head: Any, tmp_path: Path) -> None:
    measures: dict[str, Any] = {"num_cpus": 0, "resources": {"latency_device": 1}, "object_store_memory": 100_000_000}
    node = head.add_node(**measures, env_vars={"NODE_OF_THIS_TEST": "measures"})
    head.wait_for_nodes()
    (tmp_path / "moved").mkdir()
    command, directory = [sys.executable, "-c", DRIVER, str(tmp_path / "moved"), head.address], tmp_path / "moved" / "study"

    def driven() -> subprocess.Popen[str]:
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def refused(ended: subprocess.Popen[str]) -> None:
        said = ended.communicate(timeout=400)[1]
        assert "must be the one that took this study's first (measures, none 0), found another (another, none 0), which differs" in said
        assert "; see to the node that takes latencies and run the same command again" in said
        assert ended.returncode == 1

    driver = driven()
    wait_until(driver, directory, lambda standing: standing.done >= 1)
    head.remove_node(node, allow_graceful=False)
    other = head.add_node(**measures, env_vars={"NODE_OF_THIS_TEST": "another"})
    refused(driver)
    refused(driven())
    assert all(record.finished for record in read_records(directory))
    head.remove_node(other, allow_graceful=False)
    head.add_node(**measures, env_vars={"NODE_OF_THIS_TEST": "measures"})
    assert driven().communicate(timeout=400)[0].splitlines()[-1] == "5 None"


def wait_until(driver: subprocess.Popen[str], directory: Path, holds: Callable[[RunStanding], bool]) -> None:
    """Return when the study says so; it goes on until then."""
    while not (directory / PROGRESS_FILE).exists() or not holds(read_standing(directory)):
        assert driver.poll() is None, "the study ended"
        time.sleep(0.1)


class Ticking(Display):
    """Shows every standing to a function."""

    def __init__(self, look: Callable[[RunStanding], None]) -> None:
        self._look = look

    def tick(self, standing: RunStanding) -> None:
        """Several times a second."""
        self._look(standing)
