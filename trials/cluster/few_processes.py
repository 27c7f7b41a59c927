"""Ray on one machine with the processes that run a study, and none of those that scale, show or gather the logs of a cluster."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ray._private import node, ray_constants, services
from ray._raylet import (  # type: ignore[attr-defined]
    DASHBOARD_AGENT_LISTEN_PORT_NAME,
    METRICS_AGENT_PORT_NAME,
    METRICS_EXPORT_PORT_NAME,
    RUNTIME_ENV_AGENT_PORT_NAME,
    persist_port,
)
from ray.tune.execution import class_cache

LEFT_OUT_STARTS = ("start_monitor", "start_log_monitor", "start_api_server")
"""What Ray starts beside gcs_server and raylet (2.60), whatever `ray.init` is told: the autoscaler's monitor, the log monitor, and the
dashboard's server, each a Python process of one to two seconds of processor; nothing of a study on one machine asks them anything."""
DASHBOARD_AGENT = {
    ray_constants.PROCESS_TYPE_DASHBOARD_AGENT: (METRICS_AGENT_PORT_NAME, METRICS_EXPORT_PORT_NAME, DASHBOARD_AGENT_LISTEN_PORT_NAME)
}
ENVIRONMENT_AGENT = {ray_constants.PROCESS_TYPE_RUNTIME_ENV_AGENT: (RUNTIME_ENV_AGENT_PORT_NAME,)}
"""An agent of a raylet, without which that does not live, and the ports that it is to say within 15 seconds."""
NO_PORT = -1
"""What Ray's own agent says where the dashboard is not installed: there is no such service."""
STAND_IN = Path(__file__).with_name("agent_stand_in.py")


@contextmanager
def few_processes(*, environments: bool) -> Iterator[None]:
    """Have a Ray that starts inside be gcs_server, raylet and workers; with `environments` workers may have variables of their own.

    A raylet does not live without two agents, Python processes that import Ray: a program that waits for its end stands in for each that
    nobody needs, and its ports, for which the raylet would wait, are said to be none.
    """
    agents = DASHBOARD_AGENT if environments else DASHBOARD_AGENT | ENVIRONMENT_AGENT
    ports = [port for names in agents.values() for port in names]
    with ExitStack() as replaced:
        for name in LEFT_OUT_STARTS:
            replaced.enter_context(_in_place_of(node.Node, name, lambda self, *_, **__: None))
        replaced.enter_context(_in_place_of(node.Node, "start_raylet", _without_ports(node.Node.start_raylet, ports)))
        command = "_build_python_executable_command_memory_profileable"
        replaced.enter_context(_in_place_of(services, command, _standing_in(getattr(services, command), agents)))
        yield


@contextmanager
def one_environment() -> Iterator[None]:
    """Have Tune's workers inside be those that Ray keeps ready, which it gives only to what asks for no variables of its own.

    What Tune would set in its own is to be set for all, before Ray starts (`RAY_SETTINGS`).
    """
    with _in_place_of(class_cache, "DEFAULT_ENV_VARS", {}), _in_place_of(class_cache, "ENV_VARS_TO_PROPAGATE", frozenset()):
        yield


def _without_ports(start: Any, ports: Collection[str]) -> Any:
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
