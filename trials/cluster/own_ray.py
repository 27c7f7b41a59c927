"""A Ray of our own on this machine, whatever its environment: a short folder for sockets, the loopback alone, a token nobody else has."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray._private import node, ray_constants
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
from ray.exceptions import LocalRayletDiedError, RayError, RaySystemError, RpcError
from ray.job_config import JobConfig

from search_space.errors import SpecError, WorkError, complaint_of
from trials.cluster.few_processes import few_processes, one_environment
from trials.cluster.held_folders import held_folder, remove_left, removed_at_last
from trials.machine.native_output import native_output
from trials.machine.process_watch import listening, watching
from trials.machine.redaction import redacted
from trials.machine.subprocesses import ROOT
from trials.machine.supervision import children, give_up, handlers_kept

LONGEST_ROOT = 32
"""Bytes of a folder below which Ray's sockets lie: the name of a socket has 107 (unix(7)), and what Ray and we append up to 75."""
PATIENCE_SECONDS = 180
"""How long each of Ray's processes may take to start; its own 30 seconds do not suffice beside other work."""
PORT_SECONDS = 90
"""How long gcs_server may take to say its port."""
PORT_STEP_SECONDS = 0.1
NOTICED_SECONDS = 5.0
"""Within this time the end of a process, or of its service, is noticed by those who watch it, who know which one it was."""
GONE = (LocalRayletDiedError, RaySystemError, RpcError)
"""How a call says that Ray itself, and not what it was asked to run, has failed."""
WHERE_SOCKETS_LIE = ("RAY_TMPDIR", "TMPDIR", "XDG_RUNTIME_DIR")
"""Variables that name folders for such files; the first whose folder is short and can be written is taken."""
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
OWN_PREFIX, SPILL_PREFIX = "af", "archfront-ray-"
"""How the names of the folders of a Ray of our own begin: for its sockets and logs, and for what does not fit into memory."""
LIVED_BY = ("gcs_server", "raylet")
"""Ray's processes without which no study goes on."""
PATIENCE = {
    "RAY_raylet_start_wait_time_s": str(PATIENCE_SECONDS),
    "RAY_gcs_server_port_wait_time_s": str(PORT_SECONDS),
    "RAY_worker_register_timeout_seconds": str(PATIENCE_SECONDS),
    "RAY_agent_register_timeout_ms": str(1_000 * PATIENCE_SECONDS),
}


class FoundAt(JobConfig):  # type: ignore[misc]
    """Where workers find modules, without the driver's working directory, which Ray would put before all: it is a person's."""

    def _runtime_env_has_working_dir(self) -> bool:
        """Whether Ray leaves out the folder of the driver's program, and the one it works in."""
        return True


@contextmanager
def own_ray(settings: Mapping[str, Any], *, environments: bool = False) -> Iterator[None]:
    """Have a Ray of our own inside, started by `ray.init` with these settings; nothing of it is left afterwards.

    Raises SpecError where this machine has no place for its sockets or no loopback, and WorkError where it did not start; its logs are left
    then, until a later one is up, which removes what starts in vain and killed drivers have left. Where one of the processes that it lives
    by ends, at any time, so does this one, if a front stands before it (`give_up`); Ray itself would end it from C++, without a word,
    within 19 to 64 seconds (2.60). Where one ends before Ray is up, the front begins again: a raylet ends by itself where an agent does not
    say its port within 15 seconds, which no setting changes (2.60), and beside other work one may not. Without `environments`, which give
    workers variables of their own, no agent is asked (`few_processes`).
    """
    require_loopback()
    root = short_root([os.environ[name] for name in WHERE_SOCKETS_LIE if os.environ.get(name)] + list(SHORT_FOLDERS))
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    is_up, is_wanted, ended = False, False, list[str]()

    def end_with_it(name: str, how: str) -> None:
        ended.append(f"Ray's {name} {how}")
        give_up(f"{ended[0]}{'' if is_up else ' before it was up'} (its logs lie in {logs})", in_vain=not is_up)

    with (
        held_folder(OWN_PREFIX, root) as folder,
        _spilling() as large,
        variables_set({**PATIENCE, **token}),
        _loopback_alone(),
        _port_asked_for_in_steps(ended),
    ):
        logs = f"{folder}/session_latest/logs"
        try:
            with watching(LIVED_BY, end_with_it), native_output() as said:
                try:
                    with handlers_kept(), few_processes(environments=environments):
                        found_at = FoundAt(_py_driver_sys_path=[str(ROOT)])
                        ray.init(
                            address="local",
                            _temp_dir=str(folder),
                            object_spilling_directory=large,
                            job_config=found_at,
                            _skip_env_hook=True,
                            **settings,
                        )
                except Exception as error:
                    is_wanted = True
                    time.sleep(NOTICED_SECONDS)  # where one of its processes has ended, whoever watches it has the say
                    found = first_line(error, said())
                    raise WorkError(
                        f"Ray did not start on this machine, found: {found}; its logs lie in {logs}, and the same command tries again"
                    ) from None
                is_up = True
                remove_left(OWN_PREFIX, root)
                remove_left(SPILL_PREFIX)
                host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
                with (
                    listening(host, int(port), lambda: end_with_it(LIVED_BY[0], "answers no more")),
                    answered_by("Ray on this machine"),
                    one_environment(),
                ):
                    yield
        finally:
            with suppress(RayError):  # it may be gone
                ray.shutdown()
            _end_those_of(folder)
            if not is_wanted:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def answered_by(whose: str) -> Iterator[None]:
    """What Ray itself answers with inside, and not what it was asked to run, is a WorkError; those who watch it are waited for before."""
    try:
        yield
    except GONE as error:
        time.sleep(NOTICED_SECONDS)
        raise WorkError(f"{whose} must answer until the end, found: {first_line(error)}; the same command continues") from None


def short_root(wanted: Iterable[str]) -> str:
    """The first of these folders whose path is short enough for sockets and in which files can be made; SpecError where none is."""
    tried = []
    for folder in wanted:
        if len(os.fsencode(folder)) <= LONGEST_ROOT and os.path.isabs(folder):
            with suppress(OSError), tempfile.TemporaryFile(dir=folder):
                return folder
        tried.append(folder)
    raise SpecError(
        f"Ray's sockets need a folder that can be written and whose path has at most {LONGEST_ROOT} bytes, found none of "
        f"{', '.join(dict.fromkeys(tried))}; set RAY_TMPDIR to one"
    )


def require_loopback() -> None:
    """Raise SpecError where this machine cannot reach itself: Ray would ask for minutes."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        raise SpecError(
            f"Ray's processes must reach each other at 127.0.0.1, found: {complaint_of(error)}; "
            "bring the loopback up, which `ip link set lo up` does, or give the container a network"
        ) from None


@contextmanager
def _spilling() -> Iterator[str]:
    """Where what does not fit into memory goes: among other temporary files of the person's, which may lie on a larger disk."""
    with held_folder(SPILL_PREFIX) as folder, removed_at_last(folder):
        yield str(folder)


@contextmanager
def variables_set(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables for this process and those that it starts, and have Ray's C++ read them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    _reread()
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        _reread()


def _reread() -> None:
    AuthenticationTokenLoader.instance().reset_cache()
    Config.initialize("")


@contextmanager
def _loopback_alone() -> Iterator[None]:
    """Ray's switch for systems on which it makes no clusters: all its processes listen on the loopback, not on every interface."""
    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _port_asked_for_in_steps(ended: Sequence[str]) -> Iterator[None]:
    """Have Ray ask for gcs_server's port again and again, and no more where something has `ended`.

    Ray waits for it with Python's lock held (2.60), so that no thread of ours would see the end of a process until all that time is over.
    """
    ask = node.wait_for_persisted_port

    def in_steps(*where: Any, timeout_ms: int) -> int:
        deadline = time.monotonic() + timeout_ms / 1_000
        while True:
            with suppress(RuntimeError):
                return int(ask(*where, timeout_ms=0))
            if ended or time.monotonic() > deadline:
                raise RuntimeError(ended[0] if ended else f"gcs_server did not say its port within {timeout_ms / 1_000:g} seconds")
            time.sleep(PORT_STEP_SECONDS)

    node.wait_for_persisted_port = in_steps
    try:
        yield
    finally:
        node.wait_for_persisted_port = ask


def _end_those_of(folder: Path) -> None:
    """What a start that failed has left: Ray forgets the processes of a node that did not come up, and theirs end with them."""
    for process in children():
        with suppress(OSError):
            if os.fsencode(folder) in Path(f"/proc/{process}/cmdline").read_bytes():
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)


def first_line(error: Exception, said: str = "") -> str:
    """What a library complains about: its error's first line, or where that is empty the last one `said`; no secret."""
    lines = str(error).strip().splitlines()[:1] or said.strip().splitlines()[-1:] or [type(error).__name__]
    return redacted(lines[0])
