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
from analysis.terminal.pairwise_text import preference_text
from search_space.errors import SpecError, WorkError
from tests.conftest import Call
from tests.support.fuzz_subjects import STORED
from trials.tuning import judge as judging
from trials.tuning.judge import Judge, judged_pairs

Reply = Callable[[str, str], Any]
"""What a judge says of answers A and B: a text, a status, or that with headers."""
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
            status, headers = said if isinstance(said, tuple) else (said if isinstance(said, int) else 200, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
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
    turn = iter(["A", "well"] * 2)
    with endpoint(lambda *_: next(turn)) as (url, _), pytest.raises(WorkError, match="found that 2 of 4"):
        judged_pairs(Judge(url, "one"), [PROMPT] * 2, ["a"] * 2, ["b"] * 2, lambda number: None)
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


@pytest.mark.parametrize("key", ["sk-SECRET\r", "sk-SECRET\n", " sk-SECRET ", "\tsk-SECRET"])
def test_white_space_around_a_key_is_no_part_of_it(key: str) -> None:
    with endpoint(lambda *_: "A") as (url, asked):
        judge = Judge(url, "one", key)
        judge.require_reply()
    assert [each["key"] for each in asked] == ["Bearer sk-SECRET"]
    assert "SECRET" not in repr(judge)


@pytest.mark.parametrize("key", ["sk-SEC\nRET", "sk-SECR\u00c9T", "sk-SEC RET", "sk-\x00SECRET", " \n", "\u2028sk-\u00a0SECRET"])
def test_a_key_that_no_header_takes_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(SpecError, match="--judge-key names must hold a key of printable ASCII") as refused:
        Judge("http://127.0.0.1:9/v1", "one", key)
    assert "sk-" not in str(refused.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_neither_key_nor_text_follows_a_redirection(status: int) -> None:
    with endpoint(lambda *_: "A") as (other, elsewhere):
        moved = {"Location": f"{other}/chat/completions"}
        with endpoint(lambda *_: (status, moved)) as (url, _), pytest.raises(WorkError, match=f"status {status}"):
            Judge(url, "one", "secret").verdict(PROMPT, "a", "b")
        assert elsewhere == []


def test_an_endpoint_that_says_when_to_come_back_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("trials.tuning.judge.time.sleep", waits.append)
    turn = iter(
        [(429, {"Retry-After": "7"}), (429, {"Retry-After": "86400"}), "A", (503, {"Retry-After": "Mon, 30 Nov 2026 13:00:00 GMT"}), "B"]
    )
    with endpoint(lambda *_: next(turn)) as (url, _):
        Judge(url, "one").verdict(PROMPT, "a", "b")
    assert waits == [7, judging.LONGEST_WAIT_SECONDS, judging.WAIT_SECONDS]


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "file:///etc/passwd",
        "ftp://a/b",
        "http://",
        "http://[",
        "http://a:b/v1",
        "http://a:99999",
        "http://me:secret@host/v1",
    ],
)
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


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ([Verdict(1.0, 0.0)] * 30, "not calibrated: a model against itself gives what stands first 100.0 %"),
        ([Verdict(0.0, 1.0)] * 30, "not calibrated: a model against itself gives what stands first 0.0 %"),
        ([Verdict(1.0, 1.0)] * 30, "not calibrated: a model against itself comes out at 100.0 %"),
        ([Verdict(1.0, 0.5)] * 30, "not calibrated: a model against itself comes out at 75.0 %"),
        ([Verdict(0.5, 0.5)] * 30, "calibrated for place and noise: a model against itself comes out at 50.0 %"),
        ([Verdict(1.0, 1.0), Verdict(0.0, 0.0)] * 15, "calibrated for place and noise: a model against itself comes out at 50.0 %"),
    ],
)
def test_place_decides_whether_a_judge_is_calibrated_and_taste_is_not_claimed(verdicts: list[Verdict], said: str) -> None:
    found = preference(verdicts)
    assert found is not None
    lines = preference_text([("m against itself", found)]).splitlines()
    assert lines[2].startswith(said)
    assert ("taste is a reader's, this cannot show" in lines[2]) == said.startswith("calibrated")


def test_the_command_says_whether_the_judge_is_calibrated(archfront: Call, tmp_path: Path) -> None:
    shutil.copytree(STORED / "search", tmp_path / "study")
    chat = {"messages": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b."}]}
    (tmp_path / "chats.jsonl").write_text(f"{json.dumps(chat)}\n" * 4)
    words = ["judge", "study", "study", "--trial", "0", "--data", "chats.jsonl", "--judge-url"]
    with endpoint(longer) as (url, asked):
        done = archfront(*words, url)
    assert done.returncode == 0, done.stderr
    assert len(asked) == 17, "one reply before anything is drawn"
    assert "against itself" in done.stdout
    assert "calibrated" in done.stdout
    assert "a model against itself comes out at" in done.stdout
    with endpoint(lambda *_: "A") as (url, _):
        [itself, other] = json.loads(archfront(*words, url, "--json").stdout)
    assert (itself["preferred"]["value"], itself["is_even"], itself["placed_first"]["value"], other["pairs"]) == (0.5, True, 1.0, 4)
    assert itself["is_place_even"] is False
    refused = archfront(*words, "http://127.0.0.1:9/v1", "--judge-key", "sk-no-such-key")
    assert (refused.returncode, "found none of the name that is given" in refused.stderr) == (2, True)
    assert "sk-no" not in refused.stdout + refused.stderr
    for model, url, found in (
        ("chats.jsonl", "http://127.0.0.1:9/v1", "a model must be"),
        ("study", "http://[", "--judge-url must be an address"),
    ):
        bad = archfront("judge", model, "--data", "chats.jsonl", "--judge-url", url)
        assert (bad.returncode, found in bad.stderr) == (2, True), bad.stderr
    done = archfront(*words, "http://127.0.0.1:9/v1")
    assert (done.returncode, "the judge at" in done.stderr) == (1, True), "before answers are drawn"
    turn = iter(["A"] * 5 + [401])
    with endpoint(lambda *_: next(turn)) as (url, _):
        ended = archfront(*words, url, "--json")
    assert (ended.returncode, "(2 of 4 pairs were judged)" in ended.stderr) == (1, True), ended.stderr
    assert [row["pairs"] for row in json.loads(ended.stdout)] == [2], "what was judged until then is printed"
