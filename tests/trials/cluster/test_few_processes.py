"""What Ray starts for a study on one machine, and how Tune's workers come to be any workers; `test_own_ray.py` starts it."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
from ray import _raylet
from ray._private import node, ray_constants, services, worker
from ray.tune.execution import class_cache

from trials.cluster.few_processes import (
    DASHBOARD_AGENT,
    ENVIRONMENT_AGENT,
    KNOWN_RAY,
    LEFT_OUT_STARTS,
    STAND_IN,
    few_processes,
    one_environment,
)
from trials.cluster.ray_session import RAY_SETTINGS

COMMAND = "_build_python_executable_command_memory_profileable"


class Thing:
    """Something that Tune may have on a worker."""


@pytest.mark.parametrize("environments", [False, True])
def test_agents_that_nobody_needs_are_stood_in_for_while_ray_starts_and_no_longer(
    environments: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [getattr(node.Node, name) for name in (*LEFT_OUT_STARTS, "start_raylet")], getattr(services, COMMAND)
    with few_processes(environments=environments):
        command = getattr(services, COMMAND)
        assert command(ray_constants.PROCESS_TYPE_DASHBOARD_AGENT, "/nowhere")[-1] == str(STAND_IN)
        assert (command(ray_constants.PROCESS_TYPE_RUNTIME_ENV_AGENT, "/nowhere")[-1] == str(STAND_IN)) != environments
        assert command(ray_constants.PROCESS_TYPE_DASHBOARD, "/nowhere")[0] == sys.executable
        monkeypatch.setattr("ray._private.runtime_env.uv_runtime_env_hook._get_uv_run_cmdline", lambda: ["uv", "run", "archfront"])
        assert worker._maybe_modify_runtime_env(None, True) is None, "uv would have an agent build what workers run in"
    assert ([getattr(node.Node, name) for name in (*LEFT_OUT_STARTS, "start_raylet")], getattr(services, COMMAND)) == before


def test_tune_asks_for_no_variables_of_its_own_and_all_workers_have_them() -> None:
    """Ray gives the workers that it keeps ready to such as ask for none."""
    own = {name: value for name, value in class_cache.DEFAULT_ENV_VARS.items() if RAY_SETTINGS.get(name) != value}
    assert own == {}, "trials.cluster.ray_session.RAY_SETTINGS must have what Tune sets for its workers"
    with one_environment():
        inside = class_cache._ActorClassCache().get(Thing)._default_options["runtime_env"]
    outside = class_cache._ActorClassCache().get(Thing)._default_options["runtime_env"]
    assert not inside
    assert outside["env_vars"].items() >= class_cache.DEFAULT_ENV_VARS.items()
    assert class_cache.DEFAULT_ENV_VARS


def test_agents_and_ports_are_called_as_ray_calls_them() -> None:
    own = {ray_constants.PROCESS_TYPE_DASHBOARD_AGENT, ray_constants.PROCESS_TYPE_RUNTIME_ENV_AGENT}
    assert (DASHBOARD_AGENT | ENVIRONMENT_AGENT).keys() == own
    ports = {getattr(_raylet, name) for name in dir(_raylet) if name.endswith("_PORT_NAME")}
    assert {port for names in (DASHBOARD_AGENT | ENVIRONMENT_AGENT).values() for port in names} <= ports
    assert ray.__version__.startswith(KNOWN_RAY), "read how this Ray starts its processes (_private/node.py), and try it"


@pytest.mark.parametrize(("version", "system"), [("2.61.0", "linux"), ("2.50.1", "linux"), ("2.60.0", "darwin")])
def test_a_ray_that_was_not_tried_starts_as_it_comes(version: str, system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [getattr(node.Node, name) for name in (*LEFT_OUT_STARTS, "start_raylet")], getattr(services, COMMAND)
    variables = class_cache.DEFAULT_ENV_VARS
    monkeypatch.setattr(ray, "__version__", version)
    monkeypatch.setattr(sys, "platform", system)
    with few_processes(environments=False), one_environment():
        assert ([getattr(node.Node, name) for name in (*LEFT_OUT_STARTS, "start_raylet")], getattr(services, COMMAND)) == before
        assert class_cache.DEFAULT_ENV_VARS is variables


@pytest.mark.parametrize("name", ["raylet", "another"])
def test_what_stands_in_for_an_agent_ends_with_its_raylet_and_at_once_without_one(name: str, tmp_path: Path) -> None:
    (tmp_path / name).symlink_to("/bin/sh")
    with (tmp_path / "said").open("w") as said:
        line = f"{shlex.join([sys.executable, '-I', '-S', str(STAND_IN)])} & echo $!; read end"
        raylet = subprocess.Popen([tmp_path / name, "-c", line], stdin=subprocess.PIPE, stdout=said)
    try:
        _until(lambda: (tmp_path / "said").read_text().endswith("\n"))
        agent = int((tmp_path / "said").read_text())
        if name == "raylet":
            time.sleep(0.5)
            assert _runs(agent)
            raylet.kill()
        _until(lambda: not _runs(agent))
    finally:
        raylet.kill()
        raylet.communicate()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(process: int) -> bool:
    """Whether it is there, and not only waited for."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
