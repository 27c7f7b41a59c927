"""Who listens hears how a run ended, whatever ended it, and changes nothing of that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.records.record import Kind, Outcome, append
from tests.support import fakes
from tests.support.needs import rest_is_more
from tests.support.processes import processes_with
from tests.support.standings import a_standing
from trials.plans.check_study import check
from trials.progress import tell_end
from trials.progress.standing import PROGRESS_FILE, State, moment, write_standing
from trials.progress.tell_end import end_of, tell, tell_of
from trials.study.load_study import STUDY, parse_study
from trials.trial.task import TrialTask

ROOT = Path(__file__).resolve().parents[3]


class Hook:
    """A server on loopback that keeps what it is told, and answers as it is asked to."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.answer, self.seconds = 200, 0.0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                time.sleep(hook.seconds)
                self.send_response(hook.answer)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *given: Any) -> None:
                """Nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret-path"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def records_in(directory: Path, *outcomes: Outcome) -> None:
    study, _ = fakes.small_study()
    for number, (shape, outcome) in enumerate(zip(study.search_space.sample(len(outcomes), 0), outcomes, strict=True)):
        reason = None if outcome is Outcome.FINISHED else "it did not"
        append(
            directory, fakes.answer(TrialTask(number=number, kind=Kind.SAMPLED, architecture=shape, seed=0), outcome=outcome, reason=reason)
        )


@pytest.mark.parametrize(
    ("state", "code", "told", "sentence"),
    [
        (State.FINISHED, 0, "finished", "5 of 9 trials"),
        (State.FAILED, 1, "failed", "5 of 9 trials failed, more than"),
        (State.RUNNING, 1, "failed", "its process ended before the study did"),
        (State.RUNNING, 143, "interrupted", "interrupted by SIGTERM; what was recorded is kept"),
        (State.INTERRUPTED, 130, "interrupted", "interrupted by SIGINT"),
    ],
)
def test_every_end_has_its_state_and_sentence(state: State, code: int, told: str, sentence: str, tmp_path: Path) -> None:
    reason = "5 of 9 trials failed, more than limits.failed_share (0.5) allows; password=hunter2" if state is State.FAILED else None
    records_in(tmp_path, Outcome.FINISHED, Outcome.FINISHED, Outcome.DIVERGED)
    found = end_of(tmp_path, replace(a_standing(), state=state, done=5, of=9, reason=reason, owner="ada"), code)
    assert (found["state"], found["exit_code"], found["trials"]) == (told, code, {"finished": 2, "diverged": 1})
    assert found["sentence"].startswith(sentence)
    assert found["directory"] == str(tmp_path)
    assert found["owner"] == "ada"
    assert "hunter2" not in json.dumps(found)


def test_a_url_gets_it_by_post_and_a_command_on_its_standard_input(hook: Hook, tmp_path: Path) -> None:
    tell((hook.url,), {"study": "x"})
    assert hook.told == [{"study": "x"}]
    script = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
    tell((sys.executable, "-c", script, str(tmp_path / "a file; $HOME")), {"study": "x"})
    assert json.loads((tmp_path / "a file; $HOME").read_text()) == {"study": "x"}


@pytest.mark.parametrize(("answer", "said"), [(500, "answered 500"), (404, "answered 404"), (302, "answered 302"), (307, "answered 307")])
def test_a_listener_that_does_not_take_it_is_said_without_its_path(answer: int, said: str, hook: Hook) -> None:
    hook.answer = answer
    with pytest.raises(ValueError, match=f"http://127.0.0.1 {said}") as refused:
        tell((hook.url,), {"study": "x"})
    assert "secret-path" not in str(refused.value)
    assert len(hook.told) == 1, "it was told elsewhere"


def test_a_listener_has_a_time_limit(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tell_end, "TOLD_SECONDS", 0.3)
    hook.seconds = 2.0
    with pytest.raises(ValueError, match=r"does not answer .*timed out"):
        tell((hook.url,), {})
    marker = f"{time.monotonic_ns()}"
    with pytest.raises(ValueError, match=r"had not ended after 0\.3 s"):
        tell(("env", f"LISTENS={marker}", "sh", "-c", "sleep 60 & sleep 60"), {})
    deadline = time.monotonic() + 20
    while processes_with("LISTENS", marker):  # the kernel ends them in its own time
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(ValueError, match="ended with exit code 3"):
        tell(("sh", "-c", "exit 3"), {})
    with pytest.raises(OSError, match="no-such-program"):
        tell(("no-such-program",), {})
    tell(("true",), {"reads": "nothing of " + "x" * 1_000_000})


def test_only_what_this_run_began_is_told(hook: Hook, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(fakes.small_study(on_end=hook.url)[1])
    run = tmp_path / "run"
    run.mkdir()
    write_standing(run, replace(a_standing(), state=State.FINISHED, begun_at=moment(1000.0)))
    tell_of(str(tmp_path / "study.yaml"), str(run), 1000.5, 2)
    assert hook.told == []
    tell_of(str(tmp_path / "study.yaml"), str(run), 999.5, 0)
    assert [told["state"] for told in hook.told] == ["finished"]


# --- with the program


def program(study: Path, directory: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "archfront", "run", str(study), "--directory", str(directory)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", rest_is_more([signal.SIGTERM, signal.SIGKILL], signal.SIGKILL))
def test_a_study_that_a_signal_ends_is_told_of(number: signal.Signals, hook: Hook, tmp_path: Path) -> None:
    """SIGTERM comes to the process in front, and SIGKILL to the one that works; either while it begins."""
    (tmp_path / "study.yaml").write_text(fakes.small_study(on_end=hook.url)[1])
    run = tmp_path / "run"
    process = program(tmp_path / "study.yaml", run)
    while not (run / PROGRESS_FILE).exists():
        assert process.poll() is None
        time.sleep(0.05)
    worker = json.loads((run / PROGRESS_FILE).read_text())["pid"]
    os.kill(process.pid if number is signal.SIGTERM else worker, number)
    _, said = process.communicate(timeout=60)
    (told,) = hook.told
    state, code = ("interrupted", 143) if number is signal.SIGTERM else ("failed", 1)
    assert (told["study"], told["state"], told["exit_code"], process.returncode) == ("small", state, code, code)
    assert "on_end" not in said


@pytest.mark.more
@pytest.mark.slow
def test_a_study_that_is_over_is_told_of_and_a_deaf_listener_changes_nothing(hook: Hook, tmp_path: Path) -> None:
    values = {**fakes.VALUES, "search": {"trials": 1}, "finals": {"fresh_seed": False, "learning_rate_bracket": False}, "on_end": hook.url}
    spec, run = parse_study(values), tmp_path / "run"
    run.mkdir()
    for folder in (tmp_path, run):
        (folder / STUDY).write_text(yaml.safe_dump(values))
    named = [*check(spec).references, *((None, shape) for shape in spec.search_space.sample(1, 0))]
    for number, (name, shape) in enumerate(named):
        kind = Kind.SAMPLED if name is None else Kind.REFERENCE
        task = TrialTask(number=number, kind=kind, name=name, architecture=shape, seed=0)
        append(run, fakes.answer(task, outcome=Outcome.DIVERGED, reason="the loss was nan", training=None))
    hook.answer = 500
    process = program(tmp_path / STUDY, run)
    _, said = process.communicate(timeout=120)
    (told,) = hook.told
    assert (told["state"], told["exit_code"], told["trials"]) == ("failed", 1, {"diverged": 3})
    assert told["sentence"].startswith("none of 3 trials finished")
    assert process.returncode == 1
    assert said.splitlines()[-1] == "archfront: on_end was not told: http://127.0.0.1 answered 500; the study is not affected"
