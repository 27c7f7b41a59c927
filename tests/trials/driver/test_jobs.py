from __future__ import annotations

import contextlib
import copy
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from analysis.records.record import read_finals, read_records
from search_space.errors import SpecError
from trials.driver.jobs import entrypoint, status
from trials.driver.shipment import pack

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS, JOB_SECONDS = 120.0, 400.0
STUDY = {
    "name": "tiny",
    "corpus": {"files": "texts/*.txt"},
    "budget": {"parameters": 40_000, "tolerance": 0.05},
    "space": {
        "vocab_size": 300,
        "num_unique_layers": [1, 2],
        "hidden_size": {"from": 32, "to": 64, "step": 8},
        "head_dim": 16,
        "num_attention_heads": 2,
        "intermediate_size": {"solve": True, "multiple_of": 4, "ratio": [0.5, 8]},
    },
    "latency": {"prompt_tokens": 8, "new_tokens": 4, "repeats": 2},
    "proxy": {
        "tokens": 2048,
        "context_tokens": 32,
        "batch_sequences": 4,
        "evaluations": 1,
        "evaluation_tokens": 1024,
        "precision": "float32",
        "compile": False,
    },
    "search": {"trials": 1, "sampler": "random"},
    "workers": {"count": 1, "threads": 1},
    "finals": {"fresh_seed": False, "learning_rate_bracket": False},
    "references": ["wide-shallow", "shapes/own.yaml"],
}
OWN_SHAPE = {
    "vocab_size": 300, "hidden_size": 40, "num_unique_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
    "head_dim": 16, "intermediate_size": 100,
}  # fmt: skip


def write_study(folder: Path, **changes: Any) -> Path:
    """A study of three tiny shapes with a corpus and a reference of its own beside it."""
    dice = random.Random(0)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 9))) for _ in range(300)]
    (folder / "texts").mkdir(parents=True)
    for number in range(4):
        lines = (" ".join(dice.choices(words, k=9)) for _ in range(900))
        (folder / "texts" / f"{number}.txt").write_text("\n".join(lines))
    (folder / "shapes").mkdir()
    (folder / "shapes" / "own.yaml").write_text(yaml.safe_dump(OWN_SHAPE))
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes))
    return path


# --- what travels


def test_code_study_and_the_files_it_names_travel_and_nothing_else(tmp_path: Path) -> None:
    study = write_study(tmp_path / "studies")
    (study.parent / "private.txt").write_text("not named by the study")
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    assert pack(study, shipped) == "study/tiny.yaml"
    assert {path.name for path in shipped.iterdir()} == {"archfront.py", "search_space", "analysis", "trials", "study"}
    beside = {path.relative_to(shipped / "study").as_posix() for path in (shipped / "study").rglob("*") if path.is_file()}
    assert beside == {"tiny.yaml", "shapes/own.yaml", *(f"texts/{n}.txt" for n in range(4))}
    assert (shipped / "trials" / "export" / "__init__.py").is_file()
    assert not list(shipped.rglob("__pycache__"))


def test_what_was_shipped_runs_as_it_lies(tmp_path: Path) -> None:
    study = write_study(tmp_path / "studies")
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    pack(study, shipped)
    command = entrypoint("tiny.yaml", "/tmp/nowhere").replace(" run tiny.yaml --directory /tmp/nowhere", " sample tiny.yaml -n 1 --json")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": ""}
    done = subprocess.run(command, shell=True, cwd=shipped, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["architecture"]["vocab_size"] == 300


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": {"files": "../elsewhere/*.txt"}}, r"corpus\.files: .* must lie in the study's folder"),
        ({"corpus": {"files": "texts/*.jsonl"}}, r"corpus\.files: texts/\*\.jsonl must name a file in .*, found none"),
        ({"references": ["shapes/other.yaml"]}, r"references: shapes/other\.yaml must name a file in .*, found none"),
        ({"budget": {"paramters": 1}}, "did you mean `parameters`"),
    ],
)
def test_what_the_cluster_would_lack_is_refused_here(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    with pytest.raises(SpecError, match=message):
        pack(write_study(tmp_path / "studies", **changes), shipped)


def test_an_absolute_path_is_the_clusters_own_and_said_to_be(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    pack(write_study(tmp_path / "studies", corpus={"files": "/mnt/corpus/*.jsonl"}), shipped)
    assert "/mnt/corpus/*.jsonl is an absolute path, so the job reads it on the cluster" in caplog.text
    assert not (shipped / "study" / "texts").exists()


def test_a_corpus_too_large_to_travel_is_refused(tmp_path: Path) -> None:
    study = write_study(tmp_path / "studies")
    with (study.parent / "texts" / "large.txt").open("wb") as file:
        file.truncate(101 * 2**20)
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    with pytest.raises(SpecError, match="at most 100 MiB of text, found 101 MiB"):
        pack(study, shipped)


# --- what is asked for


def test_the_command_keeps_what_it_records_and_quotes_what_it_is_given() -> None:
    assert entrypoint("a study.yaml", "~/my runs/x").endswith("python -m archfront run 'a study.yaml' --directory ~/'my runs/x'")
    assert entrypoint("s.yaml", "/data/x", "http://host:5000").endswith("--directory /data/x --tracking-uri http://host:5000")
    with pytest.raises(SpecError, match="must be absolute or begin with ~/"):
        entrypoint("s.yaml", "runs/x")
    with pytest.raises(SpecError, match="must have no password"):
        entrypoint("s.yaml", "/data/x", "http://me:secret@host:5000")


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:8265", "ray://127.0.0.1:10001"])
def test_an_address_that_is_no_dashboard_is_refused(address: str) -> None:
    with pytest.raises(SpecError, match="must be the URL of the cluster's dashboard"):
        status("job", address)


def test_a_cluster_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://elsewhere.invalid:8265")
    address = f"http://127.0.0.1:{_free_port()}"
    with pytest.raises(SpecError, match=f"no Ray cluster answers at {address}"):
        status("job", address)
    assert os.environ["RAY_ADDRESS"] == "http://elsewhere.invalid:8265"


# --- on a head of our own


@dataclass(frozen=True)
class Head:
    """A Ray head on loopback whose token only its own environment knows."""

    address: str
    environment: dict[str, str]

    def call(self, *arguments: str, token: bool = True) -> subprocess.CompletedProcess[str]:
        """`archfront job ...` as a person calls it."""
        environment = self.environment if token else {**self.environment, "RAY_AUTH_MODE": "disabled"}
        command = [sys.executable, "-m", "archfront", "job", *arguments, "--address", self.address]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=JOB_SECONDS)


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    folder = Path(tempfile.mkdtemp(prefix="af-"))  # short: Ray's sockets lie in it
    (folder / "token").write_text(uuid4().hex * 2)
    marker = f"ARCHFRONT_TEST_HEAD={uuid4().hex}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        **dict([marker.split("=")]),
    }
    port, dashboard, agent, client = (_free_port() for _ in range(4))
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--node-ip-address=127.0.0.1"]
    command += [f"--port={port}", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--temp-dir={folder}"]
    command += [
        f"--dashboard-agent-listen-port={agent}",
        f"--ray-client-server-port={client}",
        "--min-worker-port=0",
        "--max-worker-port=0",
    ]
    command += ["--num-cpus=2", "--object-store-memory=100000000", '--resources={"latency_device": 1}', "--include-dashboard=true"]
    with (folder / "out").open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        _wait_for(dashboard, process, folder / "out")
        yield Head(f"http://127.0.0.1:{dashboard}", environment)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _kill_marked(marker)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int, process: subprocess.Popen[bytes], out: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    pytest.fail(f"the head did not start: {out.read_text()[-2000:]}")


def _kill_marked(marker: str) -> None:
    """Ray's processes leave their process group; every one of this head inherited the marker, and nobody else's did."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if marker.encode() in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)


@pytest.mark.more
@pytest.mark.slow
def test_a_job_is_submitted_followed_and_leaves_its_records_and_runs(head: Head, tmp_path: Path) -> None:
    study, directory = write_study(tmp_path / "studies"), tmp_path / "results"
    submitted = head.call("submit", str(study), "--directory", str(directory))
    assert submitted.returncode == 0, submitted.stderr
    job = submitted.stdout.strip()
    assert job.startswith("tiny-")
    followed = head.call("logs", job, "--follow")
    assert followed.returncode == 0, followed.stderr
    assert head.call("status", job).stdout.startswith("SUCCEEDED"), followed.stdout
    assert "report" in followed.stdout
    assert followed.stdout == head.call("logs", job).stdout
    records = read_records(directory)
    assert [record.number for record in records] == [0, 1, 2]
    assert all(record.finished for record in records), [record.reason for record in records]
    assert read_finals(directory)
    with closing(sqlite3.connect(directory / "mlflow.db")) as database:
        names = {name for (name,) in database.execute("SELECT name FROM runs WHERE status = 'FINISHED'")}
    assert names == {"tiny", *(record.title for record in records)}


@pytest.mark.more
@pytest.mark.slow
def test_a_job_is_stopped_and_an_unknown_one_is_said(head: Head, tmp_path: Path) -> None:
    study = write_study(tmp_path / "studies", proxy={**STUDY["proxy"], "tokens": 500_000_000})  # type: ignore[dict-item]
    job = head.call("submit", str(study), "--directory", str(tmp_path / "results")).stdout.strip()
    assert head.call("stop", job).stdout.startswith("STOPPED")
    unknown = head.call("status", "nothing-0")
    assert unknown.returncode == 2
    assert "has no job nothing-0" in unknown.stderr
    assert "Traceback" not in unknown.stderr


@pytest.mark.more
@pytest.mark.slow
def test_a_client_without_the_token_is_told_how_to_get_one(head: Head, tmp_path: Path) -> None:
    refused = head.call("submit", str(write_study(tmp_path / "studies")), token=False)
    assert refused.returncode == 2
    assert "wants a token: set RAY_AUTH_MODE=token" in refused.stderr
    assert "Traceback" not in refused.stderr


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


# --- the cluster's description


@pytest.fixture
def cluster() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text(encoding="utf-8"))
    return loaded


def check_cluster(described: dict[str, Any]) -> dict[str, Any]:
    """Through Ray's own defaults and schema, asking no provider."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared: dict[str, Any] = prepare_config(copy.deepcopy(described))
    validate_config(prepared)
    return prepared


def test_the_cluster_file_passes_rays_own_schema(cluster: dict[str, Any]) -> None:
    assert set(check_cluster(cluster)["available_node_types"]) == {"head", "cpu_worker", "gpu_worker", "latency_device"}


def test_latency_has_one_node_of_its_own(cluster: dict[str, Any]) -> None:
    kinds = cluster["available_node_types"]
    assert [name for name, kind in kinds.items() if "latency_device" in kind["resources"]] == ["latency_device"]
    assert kinds["latency_device"]["resources"] == {"CPU": 0, "latency_device": 1}
    assert (kinds["latency_device"]["min_workers"], kinds["latency_device"]["max_workers"]) == (1, 1)
    assert sum(kind.get("max_workers", 0) for kind in kinds.values()) == cluster["max_workers"]


def test_the_cluster_is_closed_to_strangers(cluster: dict[str, Any]) -> None:
    (head,) = [command for command in cluster["head_start_ray_commands"] if "ray start" in command]
    (worker,) = [command for command in cluster["worker_start_ray_commands"] if "ray start" in command]
    assert "--dashboard-host=127.0.0.1" in head
    assert "RAY_AUTH_MODE=token" in head
    assert "RAY_AUTH_MODE=token" in worker
    assert "~/.ray/auth_token" in cluster["file_mounts"]


def test_the_nodes_get_the_libraries_that_archfront_declares(cluster: dict[str, Any]) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    (install,) = [command for command in cluster["setup_commands"] if "pip install" in command]
    installed = install.partition("constraints.txt ")[2].replace("'", "").split()
    assert sorted(installed) == sorted(line.partition(">=")[0] for line in declared)


def test_the_variant_for_own_machines_passes_too(cluster: dict[str, Any]) -> None:
    (described,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8"), re.DOTALL)
    dropped = {"max_workers", "idle_timeout_minutes", "provider", "auth", "available_node_types", "head_node_type"}
    check_cluster({key: value for key, value in cluster.items() if key not in dropped} | yaml.safe_load(described))
