"""The descriptions of clusters beside `ray_cluster.yaml`: each has the head, those that train and one latency device, and a token."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.records.record import read_records
from tests.support.ray_head import free_port, write_study

ROOT = Path(__file__).resolve().parents[1]
CLUSTERS = ROOT / "clusters"
SLURM = CLUSTERS / "slurm.sh"
FIELDS = {
    "RayCluster": {"authOptions", "headGroupSpec", "rayVersion", "workerGroupSpecs"},
    "RayJob": {"entrypoint", "submissionMode", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec"},
}
"""Fields of KubeRay's `ray.io/v1` (its API reference, 1.6.2) that are used; one that is mistyped would be dropped by its operator."""
GROUP_FIELDS = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


def loaded(name: str) -> list[Any]:
    return list(yaml.safe_load_all((CLUSTERS / name).read_text(encoding="utf-8")))


def test_machines_of_your_own_pass_rays_own_schema_and_are_set_up_as_in_a_cloud() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    (own,) = loaded("on-premises.yaml")
    validate_config(prepare_config(copy.deepcopy(own)))
    cloud = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text(encoding="utf-8"))
    for key in ("file_mounts", "setup_commands", "worker_start_ray_commands"):
        assert own[key] == cloud[key]
    assert own["max_workers"] == len(own["provider"]["worker_ips"])
    (head,) = [command for command in own["head_start_ray_commands"] if "ray start" in command]
    assert {"RAY_AUTH_MODE=token", "RAY_worker_niceness=0", "--dashboard-host=127.0.0.1", "--num-cpus=0"} <= set(head.split())


@pytest.mark.parametrize("name", ["kuberay-cluster.yaml", "kuberay-job.yaml"])
def test_the_pods_of_a_cluster_are_a_head_those_that_train_and_one_device(name: str) -> None:
    made = loaded(name)[-1]
    assert (made["apiVersion"], made["spec"].keys()) == ("ray.io/v1", FIELDS[made["kind"]])
    cluster = made["spec"].get("rayClusterSpec", made["spec"])
    assert cluster.keys() == FIELDS["RayCluster"]
    assert cluster["rayVersion"] == re.findall(r"^ray==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)[0]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "archfront-token"}
    assert all(group.keys() == GROUP_FIELDS for group in cluster["workerGroupSpecs"])
    cpu, device = cluster["workerGroupSpecs"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == device["rayStartParams"]["num-cpus"] == "0"
    assert device["rayStartParams"]["resources"] == r'"{\"latency_device\": 1}"', "the operator passes it through a shell"
    assert (device["minReplicas"], device["maxReplicas"]) == (1, 1)
    assert "latency_device" not in str(cpu)
    containers = [group["template"]["spec"]["containers"][0] for group in (cluster["headGroupSpec"], cpu, device)]
    assert {container["image"] for container in containers} == {"archfront"}
    assert all({"name": "RAY_worker_niceness", "value": "0"} in container["env"] for container in containers)
    mounted = {each["name"] for each in containers[0]["volumeMounts"]}
    assert mounted == {each["name"] for each in cluster["headGroupSpec"]["template"]["spec"]["volumes"]}


@pytest.mark.parametrize("name", ["kuberay-cluster.yaml", "kuberay-job.yaml"])
def test_what_a_cluster_of_pods_needs_is_made_by_a_file_or_line_that_it_names(name: str) -> None:
    (made,), (claim,) = loaded(name), loaded("kuberay-claim.yaml")
    assert claim["kind"] == "PersistentVolumeClaim"
    assert f"claimName': '{claim['metadata']['name']}'" in str(made)
    comment = "".join(line for line in (CLUSTERS / name).read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    assert "kubectl apply -f clusters/kuberay-claim.yaml" in comment
    assert "kubectl create secret generic archfront-token" in comment


def test_the_image_has_the_code_and_the_tested_versions() -> None:
    lines = (CLUSTERS / "Dockerfile").read_text(encoding="utf-8")
    copied = {word for line in re.findall(r"^COPY (.*) \S+$", lines, re.MULTILINE) for word in line.split()}
    assert {"search_space", "analysis", "trials", "archfront.py", "pyproject.toml", "constraints.txt"} <= copied
    assert all((ROOT / name).exists() for name in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project.get("readme", "README.md") in copied
    assert "pip install --no-cache-dir -c constraints.txt ." in lines
    assert any(line.startswith("ray[default") for line in project["dependencies"]), "the image needs no more"


# --- SLURM, by programs that stand in for its own: all nodes are this machine


def told(words: str) -> list[str]:
    """Every line of documents and clusters with these words."""
    files = [ROOT / "ray_cluster.yaml", *sorted(CLUSTERS.iterdir()), *sorted((ROOT / "docs").rglob("*.md"))]
    return [line for file in files if file.name != "findings.md" for line in file.read_text(encoding="utf-8").splitlines() if words in line]


def test_a_clusters_token_is_made_for_its_holder_alone() -> None:
    """Ray itself makes a file that everybody on the machine can read (2.60)."""
    assert len(told("get-auth-token --generate")) >= 8
    assert [line for line in told("get-auth-token --generate") if "(umask 077; ray get-auth-token --generate)" not in line] == []


def test_every_command_that_starts_a_node_has_options_that_ray_takes_together() -> None:
    from ray.scripts.scripts import start

    known = {option for parameter in start.params for option in parameter.opts}
    of_the_head = {
        "--port",
        "--dashboard-host",
        "--dashboard-port",
        "--ray-client-server-port",
        "--autoscaling-config",
        "--include-dashboard",
    }
    for line in told("ray start "):
        options = re.findall(r"(?<!\S)--[a-z-]+", re.split(r"`|  +#", line.partition("ray start ")[2])[0])
        assert set(options) <= known, line
        if "--address" in options:
            assert not {"--head", *of_the_head} & set(options), line
        elif options:
            assert "--head" in options, line


def slurm(
    folder: Path, nodes: int, *words: str, addresses: str = "", before: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """The script as SLURM would run it on so many nodes, each of which does what stands `before` first."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    stands_in = {
        "scontrol": f"seq -f node%g {nodes}",
        "hostname": f"echo {addresses}",
        "srun": before + 'while [[ "$1" == --* ]]; do shift; done; exec "$@"',
    }
    for name, line in stands_in.items():
        (programs / name).write_text(f"#!/usr/bin/env bash\n{line}\n")
        (programs / name).chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "SLURM_JOB_NODELIST": f"node[1-{nodes}]",
        "SLURM_JOB_ID": "7",
        "SLURM_CPUS_ON_NODE": "1",
        **variables,
    }
    return subprocess.run([str(SLURM), *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=500)


def test_too_few_nodes_and_no_token_are_said(tmp_path: Path) -> None:
    assert subprocess.run(["bash", "-n", str(SLURM)]).returncode == 0
    few = slurm(tmp_path, 2, "--version")
    assert (few.returncode, few.stdout) == (2, "")
    assert "needs at least 3 nodes (a head, one that trains, one that takes latencies), found 2; raise --nodes" in few.stderr
    strange = slurm(tmp_path, 3, "--version")
    assert strange.returncode == 2
    assert "the cluster's token must be in" in strange.stderr
    assert "found none; run: (umask 077; ray get-auth-token --generate)" in strange.stderr


@pytest.mark.parametrize(
    ("addresses", "is_known"), [("", False), ("127.0.1.1 fd00::2", False), ("fd00::2 127.0.1.1 192.0.2.7 10.0.0.1", True)]
)
def test_the_head_is_known_by_an_address_that_others_reach(addresses: str, is_known: bool, tmp_path: Path) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("ab" * 32)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ray").write_text(f'#!/usr/bin/env bash\necho "$@" >> {tmp_path}/asked\n[ "$1" != health-check ]\n')
    (tmp_path / "bin" / "sleep").write_text("#!/usr/bin/env bash\n")
    for name in ("ray", "sleep"):
        (tmp_path / "bin" / name).chmod(0o755)
    done = slurm(tmp_path, 3, "--version", addresses=addresses)
    if is_known:
        assert done.returncode == 1
        assert "Ray's head must answer at 192.0.2.7:6379 in 60 looks, found no answer; see ray-head-7.log" in done.stderr
        assert "--node-ip-address=192.0.2.7" in (tmp_path / "asked").read_text()
    else:
        assert (done.returncode, (tmp_path / "asked").exists()) == (2, False)
        assert "needs an IPv4 address that the others reach, found none but the loopback in hostname -I" in done.stderr


@pytest.mark.more
@pytest.mark.slow
def test_a_study_runs_in_an_allocation(tmp_path: Path) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("ab" * 32)
    study = write_study(tmp_path / "studies")
    here = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout
    if not re.search(r"(?<!\S)\d+(\.\d+){3}", here):
        pytest.skip("no address but the loopback")
    kept = ("run", str(study), "--directory", str(tmp_path / "kept"))
    once = '[ -e "$HOME/tried" ] || { touch "$HOME/tried"; exit 1; }; '  # as a node too busy for Ray's patience
    done = slurm(tmp_path, 3, *kept, addresses=here, before=once, RAY_PORT=str(free_port()))
    said = "\n".join(file.read_text() for file in tmp_path.glob("ray-*.log"))
    assert done.returncode == 0, done.stderr[-2000:] + said[-2000:]
    assert [record.outcome for record in read_records(tmp_path / "kept")] == ["finished"] * 3
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in path.read_bytes()]
    assert left == []
