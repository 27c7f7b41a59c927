"""Ray on one machine with the processes that run a study, and none of those that scale, show or gather the logs of a cluster."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray

KNOWN_RAY = "2.60."
"""Versions of Ray whose start is known part by part; any other starts as it comes, whole."""
LEFT_OUT_STARTS = ("start_monitor", "start_log_monitor", "start_api_server")
"""What Ray starts beside gcs_server and raylet (2.60), whatever `ray.init` is told: the autoscaler's monitor, the log monitor, and the
dashboard's server, each a Python process of one to two seconds of processor; nothing of a study on one machine asks them anything."""
DASHBOARD_AGENT = {"dashboard_agent": ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")}
ENVIRONMENT_AGENT = {"runtime_env_agent": ("runtime_env_agent_port",)}
"""An agent of a raylet, without which that does not live, and the ports that it is to say within 15 seconds, as Ray calls them."""
NO_PORT = -1
"""What Ray's own agent says where the dashboard is not installed: there is no such service."""
STAND_IN = Path(__file__).with_name("agent_stand_in.py")


def is_known() -> bool:
    """Whether this is a Ray, and a system, where what starts and who waits for whom was read and tried."""
    return ray.__version__.startswith(KNOWN_RAY) and sys.platform == "linux"


@contextmanager
def few_processes(*, environments: bool) -> Iterator[None]:
    """Have a Ray that starts inside be gcs_server, raylet and workers; with `environments` workers may have variables of their own.

    A raylet does not live without two agents, Python processes that import Ray: a program that waits for its end stands in for each that
    nobody needs, and its ports, for which the raylet would wait, are said to be none. Where that is not known to hold (`is_known`) Ray
    starts as it comes.
    """
    if not is_known():
        yield
        return
    from ray._private import node, ray_constants, services

    agents = DASHBOARD_AGENT if environments else DASHBOARD_AGENT | ENVIRONMENT_AGENT
    ports = [port for names in agents.values() for port in names]
    with ExitStack() as replaced:
        for name in LEFT_OUT_STARTS:
            replaced.enter_context(_in_place_of(node.Node, name, lambda self, *_, **__: None))
        replaced.enter_context(_in_place_of(node.Node, "start_raylet", _without_ports(node.Node.start_raylet, ports)))
        # under `uv run` Ray would have its agent build an environment for workers, whose Python is the driver's here anyway
        replaced.enter_context(_in_place_of(ray_constants, "RAY_ENABLE_UV_RUN_RUNTIME_ENV", False))
        command = "_build_python_executable_command_memory_profileable"
        replaced.enter_context(_in_place_of(services, command, _standing_in(getattr(services, command), agents)))
        yield


@contextmanager
def one_environment() -> Iterator[None]:
    """Have Tune's workers inside be those that Ray keeps ready, which it gives only to what asks for no variables of its own.

    What Tune would set in its own is to be set for all, before Ray starts (`RAY_SETTINGS`). Where a Ray starts as it comes, so do they.
    """
    if not is_known():
        yield
        return
    from ray.tune.execution import class_cache

    with _in_place_of(class_cache, "DEFAULT_ENV_VARS", {}), _in_place_of(class_cache, "ENV_VARS_TO_PROPAGATE", frozenset()):
        yield


def _without_ports(start: Any, ports: Collection[str]) -> Any:
    from ray._raylet import persist_port  # type: ignore[attr-defined]

    def start_raylet(self: Any, *arguments: Any, **named: Any) -> None:
        for name in ports:
            persist_port(self._session_dir, self._node_id, name, NO_PORT)
        start(self, *arguments, **named)

    return start_raylet


def _standing_in(build: Any, agents: Collection[str]) -> Any:
    def command(component: str, *arguments: Any, **named: Any) -> list[str]:
        if component in agents:
            return [sys.executable, "-I", "-S", str(STAND_IN)]
        found: list[str] = build(component, *arguments, **named)
        return found

    return command


@contextmanager
def _in_place_of(owner: Any, name: str, other: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, other)
    try:
        yield
    finally:
        setattr(owner, name, before)
