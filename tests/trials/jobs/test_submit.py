from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from search_space.errors import SpecError
from tests.support.ray_head import ROOT, free_port, ordered, write_study
from trials.jobs.shipment import pack
from trials.jobs.state import state_of
from trials.machine.provenance import FRONT_DOOR, PACKAGES, code_digest
from trials.trial.task import this_machine

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


def test_a_text_travels_once_whatever_links_lead_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    study = write_study(folder, corpus={"files": ["texts/[01].txt", "more/*.txt", "texts/**/*.txt"]})
    for name, to in {"texts/0a.txt": "0.txt", "texts/again": ".", "texts/up": "..", "more": "away"}.items():
        (folder / name).symlink_to(to)
    (folder / "away").mkdir()
    (folder / "away" / "b.txt").write_text("text of its own")
    (folder / "away" / "1.txt").symlink_to("../texts/1.txt")
    (tmp_path / "shipped").mkdir()
    pack(study, tmp_path / "shipped")
    there = tmp_path / "shipped" / "study"
    assert sorted(file.relative_to(there).as_posix() for file in there.rglob("*.txt")) == [
        "more/b.txt",
        *(f"texts/{n}.txt" for n in range(4)),
    ]
    study.write_text(study.read_text().replace("more/*.txt", "away/1.txt"))
    (tmp_path / "again").mkdir()
    with pytest.raises(
        SpecError, match=r"corpus\.files: away/1\.txt must name a file of its own to be shipped, found texts/1\.txt by another"
    ):
        pack(study, tmp_path / "again")


def test_the_code_that_travels_has_the_name_of_the_code_here_until_it_changes(tmp_path: Path) -> None:
    pack(write_study(tmp_path / "studies"), tmp_path)
    assert code_digest(tmp_path) == code_digest() == this_machine()["code"]
    (tmp_path / "changed").mkdir()
    for name in (*PACKAGES, FRONT_DOOR):
        (tmp_path / name).rename(tmp_path / "changed" / name)
    with (tmp_path / "changed" / "trials" / "trial" / "task.py").open("a") as file:
        file.write("\n")
    assert code_digest(tmp_path / "changed") != code_digest()


def test_what_was_shipped_runs_as_it_lies(tmp_path: Path) -> None:
    study = write_study(tmp_path / "studies")
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    pack(study, shipped)
    command = ordered("run", "tiny.yaml", "/tmp/nowhere").command()
    command = command.replace(" run tiny.yaml --directory /tmp/nowhere", " sample tiny.yaml -n 1 --json")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": ""}
    done = subprocess.run(command, shell=True, cwd=shipped, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["architecture"]["vocab_size"] == 300


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": {"files": "../elsewhere/*.txt"}}, r"corpus\.files: .* must lie below "),
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
    said = ordered("run", "a study.yaml", "~/my runs/x").command()
    assert said.endswith("python -m archfront run 'a study.yaml' --directory ~/'my runs/x'")
    said = ordered("run", "s.yaml", "/data/x", "--tracking-uri", "http://host:5000").command()
    assert said.endswith("--directory /data/x --tracking-uri http://host:5000")
    assert (
        ordered("promote", "s.yaml", "~/my runs/x", "--times", "2.0").command().endswith("promote ~/'my runs/x' --study s.yaml --times 2.0")
    )
    said = ordered("profile-device", "s.yaml", "~/x").command()
    assert said.endswith("profile-device s.yaml --output ~/x/latency.jsonl")
    with pytest.raises(SpecError, match="must be absolute or begin with ~/"):
        ordered("run", "s.yaml", "runs/x").command()
    with pytest.raises(SpecError, match="must have no password"):
        ordered("run", "s.yaml", "/data/x", "--tracking-uri", "http://me:secret@host:5000").command()


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:8265", "ray://127.0.0.1:10001"])
def test_an_address_that_is_no_dashboard_is_refused(address: str) -> None:
    with pytest.raises(SpecError, match="must be the URL of the cluster's dashboard"):
        state_of("job", address)


def test_a_cluster_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://elsewhere.invalid:8265")
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(SpecError, match=f"no Ray cluster answers at {address}"):
        state_of("job", address)
    assert os.environ["RAY_ADDRESS"] == "http://elsewhere.invalid:8265"


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
