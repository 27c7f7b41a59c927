"""A judge behind an endpoint on the loopback: places are swapped, a model against itself is even, and what answers otherwise is told."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from analysis.tasks.pairwise import Verdict, preference
from search_space.errors import SpecError, WorkError
from tests.conftest import Call
from tests.support.fuzz_subjects import STORED
from trials.tuning import judge as judging
from trials.tuning.judge import Judge, judged_pairs

Reply = Callable[[str, str], Any]
"""What a judge says of answers A and B: a text, or a status."""
PROMPT = [{"role": "user", "content": "Which?"}]
ANSWERS = re.compile(r"Answer A:\n(.*)\n\nAnswer B:\n(.*)\n\nA, B or C\?", re.DOTALL)


@contextmanager
def endpoint(reply: Reply) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a server that judges so, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({"path": self.path, "key": self.headers.get("Authorization"), **body})
            found = ANSWERS.search(body["messages"][-1]["content"])
            assert found is not None
            said = reply(*found.groups())
            self.send_response(said if isinstance(said, int) else 200)
            self.end_headers()
            if isinstance(said, bytes):
                self.wfile.write(said)
            elif isinstance(said, str):
                self.wfile.write(json.dumps({"choices": [{"message": {"role": "assistant", "content": said}}]}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "WAIT_SECONDS", 0.0)


def longer(first: str, second: str) -> str:
    return "A" if len(first) > len(second) else "B" if len(second) > len(first) else "C"


REPLIES: dict[str, tuple[Reply, float, float]] = {
    "the longer one": (longer, 1.0, 0.5),
    "always the first": (lambda *_: "A", 0.5, 1.0),
    "always the second, in a sentence": (lambda *_: "**B.** It is clearer.", 0.5, 0.0),
    "neither": (lambda *_: " c\n", 0.5, 0.5),
}
"""What a judge says, and what that comes to: share of ours, the longer one, and share of what stands first."""


@pytest.mark.parametrize("name", REPLIES)
def test_each_pair_is_judged_twice_with_the_places_swapped(name: str) -> None:
    reply, preferred, placed_first = REPLIES[name]
    with endpoint(reply) as (url, asked):
        found = preference(judged_pairs(Judge(url, "one", "secret"), [PROMPT] * 5, ["a long one"] * 5, ["short"] * 5, lambda number: None))
    assert found is not None
    assert (found.pairs, found.unread, found.preferred.value, found.placed_first.value) == (5, 0, preferred, placed_first)
    assert found.is_even == (preferred == 0.5)
    assert found.preferred.low < found.preferred.high
    assert len(asked) == 10
    assert {(each["path"], each["key"], each["model"], each["temperature"]) for each in asked} == {
        ("/v1/chat/completions", "Bearer secret", "one", 0),
    }  # fmt: skip


def test_replies_that_are_no_verdict_are_counted_and_most_of_them_end_it() -> None:
    turn = iter(["A", "well", *["A", "B"] * 3])
    with endpoint(lambda *_: next(turn)) as (url, _):
        verdicts = judged_pairs(Judge(url, "one"), [PROMPT] * 4, ["a"] * 4, ["b"] * 4, lambda number: None)
    assert verdicts[0] == Verdict(1.0, None)
    found = preference(verdicts)
    assert found is not None
    assert (found.pairs, found.unread, found.preferred.value) == (3, 1, 1.0)
    with endpoint(lambda *_: "Both are fine.") as (url, _), pytest.raises(WorkError, match="must reply with A, B or C, found that 4 of 4"):
        judged_pairs(Judge(url, "one"), [PROMPT] * 2, ["a"] * 2, ["b"] * 2, lambda number: None)


def test_a_busy_endpoint_is_asked_again_and_one_that_refuses_is_told() -> None:
    turn = iter([503, 429, "A", "B"])
    with endpoint(lambda *_: next(turn)) as (url, asked):
        assert Judge(url, "one").verdict(PROMPT, "a", "b") == Verdict(1.0, 1.0)
    assert len(asked) == 4
    for said, found in (
        (401, "status 401"),
        (b"hello", "no reply as OpenAI has them"),
        (b'{"choices": []}', "no reply as OpenAI has them"),
    ):
        with endpoint(lambda *_, said=said: said) as (url, asked), pytest.raises(WorkError, match=found):
            Judge(url, "one").verdict(PROMPT, "a", "b")
        assert len(asked) == 1
    with pytest.raises(WorkError, match="must answer chats as OpenAI's endpoint does"):
        Judge("http://127.0.0.1:9/v1", "one").verdict(PROMPT, "a", "b")


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "file:///etc/passwd", "ftp://a/b", "http://", "http://me:secret@host/v1"])
def test_an_address_of_another_form_is_refused_and_no_password_is_repeated(url: str) -> None:
    with pytest.raises(SpecError, match="--judge-url must") as refused:
        Judge(url, "one")
    assert "secret" not in str(refused.value)


def test_intervals_narrow_with_pairs_and_half_pairs_count_half() -> None:
    few, many = (preference([Verdict(1.0, 0.0), Verdict(1.0, 1.0)] * count) for count in (3, 300))
    assert few is not None
    assert many is not None
    assert few.preferred.value == many.preferred.value == 0.75
    assert many.preferred.high - many.preferred.low < few.preferred.high - few.preferred.low
    assert preference([Verdict(None, 1.0)]) is None


def test_the_command_says_whether_the_judge_is_calibrated(archfront: Call, tmp_path: Path) -> None:
    shutil.copytree(STORED / "search", tmp_path / "study")
    chat = {"messages": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b."}]}
    (tmp_path / "chats.jsonl").write_text(f"{json.dumps(chat)}\n" * 4)
    words = ["judge", "study", "study", "--trial", "0", "--data", "chats.jsonl", "--judge-url"]
    with endpoint(longer) as (url, asked):
        done = archfront(*words, url)
    assert done.returncode == 0, done.stderr
    assert len(asked) == 16
    assert "against itself" in done.stdout
    assert "calibrated: a model against itself comes out at" in done.stdout
    with endpoint(lambda *_: "A") as (url, _):
        [itself, other] = json.loads(archfront(*words, url, "--json").stdout)
    assert (itself["preferred"]["value"], itself["is_even"], itself["placed_first"]["value"], other["pairs"]) == (0.5, True, 1.0, 4)
    refused = archfront(*words, "http://127.0.0.1:9/v1", "--judge-key", "NO_SUCH_KEY")
    assert (refused.returncode, "found none called NO_SUCH_KEY" in refused.stderr) == (2, True)
