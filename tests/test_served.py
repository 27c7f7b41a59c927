"""llama.cpp's own server answers requests in OpenAI's form from a tuned export, on the loopback, as the network itself would."""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Call
from tests.support.fuzz_subjects import STORED
from trials.models.load_model import load_model
from trials.tuning.chat import Chat, Message
from trials.tuning.examples import chat_coder
from trials.tuning.writing import written_ids

LIBRARIES = ("llama_cpp", "fastapi", "uvicorn", "sse_starlette", "starlette_context", "pydantic_settings")
SERVED = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in LIBRARIES),
    reason="llama.cpp's server is not installed; pip install 'archfront[serve]'",
)
pytestmark = [pytest.mark.slow, pytest.mark.more, pytest.mark.needs, SERVED]
QUESTION = [{"role": "user", "content": "w7?"}]
CHATS = [
    {"messages": [{"role": "user", "content": f"{word}?"}, {"role": "assistant", "content": f"{word} is here."}]}
    for word in (f"w{number}" for number in range(30))
]
PATIENCE_SECONDS = 180.0


@pytest.fixture
def tuned(archfront: Call, tmp_path: Path) -> Path:
    shutil.copytree(STORED / "search", tmp_path / "study")
    (tmp_path / "chats.jsonl").write_text("\n".join(map(json.dumps, CHATS)))
    words = ["tune", "study", "--trial", "0", "--data", "chats.jsonl", "--output", "out", "--format", "hf,gguf", "--epochs", "20"]
    done = archfront(*words, "--learning-rate", "5e-3")
    assert done.returncode == 0, done.stderr
    assert archfront("export", "study", "--trial", "0", "--format", "gguf", "--gguf-precision", "float32").returncode == 0
    return tmp_path / "out"


@pytest.fixture
def address(tuned: Path) -> Iterator[str]:
    """Where the server listens once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", "model.gguf", "--host", "127.0.0.1", "--port", str(port)]
    with open(tuned.parent / "server.log", "wb") as log:
        server = subprocess.Popen([*command, "--n_ctx", "512"], cwd=tuned, stdout=log, stderr=log)
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while not _answers(f"http://127.0.0.1:{port}/v1/models"):
            assert server.poll() is None, (tuned.parent / "server.log").read_text()[-2000:]
            assert time.monotonic() < until
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def asked(url: str, **values: Any) -> Any:
    request = urllib.request.Request(url, json.dumps(values).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


def test_a_request_in_openais_form_is_answered_as_the_network_does(address: str, tuned: Path, archfront: Call) -> None:
    model = load_model(tuned)
    coder = chat_coder(model)
    prompt = coder.format.prompt(Chat((Message("user", "w7?"), Message("assistant", "x"))), 1)
    ids = written_ids(model.network, coder.ids(prompt), model.end_token_ids, 24)
    ours = coder.tokenizer.decode(ids)
    assert ours.strip()
    chat = asked(f"{address}/chat/completions", messages=QUESTION, temperature=0, max_tokens=24)["choices"][0]
    assert chat["message"]["role"] == "assistant"
    assert chat["message"]["content"] == ours
    assert chat["finish_reason"] == ("stop" if len(ids) < 24 else "length")
    plain = asked(f"{address}/completions", prompt=prompt, temperature=0, max_tokens=24)["choices"][0]
    assert plain["text"] == ours
    judged = archfront("judge", str(tuned), "--data", "chats.jsonl", "--limit", "2", "--judge-url", address)
    assert judged.returncode == 1, "a model that says no letter is no judge, and is told so"
    assert "must reply with A, B or C" in judged.stderr
