"""The page on winners, as it is written: its commands that ask, compare and tune models run, on shapes that nobody trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from search_space.architecture import Architecture
from tests.conftest import Call
from tests.support.weighed_study import weighed_study
from tests.test_documents import shown
from trials.export.write import write_formats
from trials.study.directory import tokenizer_file, weights_file

PAGE = Path(__file__).resolve().parent.parent / "docs" / "winners.md"
COMMANDS = [
    words
    for words in shown(PAGE)
    if words[0] in ("evaluate", "compare", "tune") and "--harness" not in words and not words[1].endswith("-train/model")
]
"""What needs no network and no training of before."""
CONTEXT = 32
QUICK = Architecture(
    vocab_size=300, hidden_size=96, num_unique_layers=3, num_attention_heads=6, num_key_value_heads=6, head_dim=16, intermediate_size=128
)
LARGER = Architecture(
    vocab_size=300, hidden_size=96, num_unique_layers=6, num_attention_heads=6, num_key_value_heads=6, head_dim=16, intermediate_size=128
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every file that the page's commands name, by the names that it has there."""
    monkeypatch.chdir(tmp_path)
    quickstart = tmp_path / "runs" / "quickstart"
    weighed_study(quickstart, [QUICK], CONTEXT)
    weighed_study(tmp_path / "runs" / "larger", [LARGER], CONTEXT)
    Path("SmolLM2-135M").mkdir()
    files = weights_file(quickstart, 0), tokenizer_file(quickstart, QUICK.vocab_size)
    write_formats(["hf", "gguf"], Path("SmolLM2-135M"), QUICK, *files, CONTEXT, {})
    shutil.move(next(Path("SmolLM2-135M").glob("*.gguf")), "model.gguf")
    write_formats(["hf"], Path("runs/quickstart-0007-train/model"), QUICK, *files, CONTEXT, {})  # as `archfront train` leaves it
    Path("tasks").mkdir()
    pairs = [{"good": f"def f{number}(x):", "bad": f")x({number}f fed", "UID": "order"} for number in range(9)]
    Path("tasks/blimp.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    Path("tasks/piqa.jsonl").write_text(json.dumps({"goal": "return", "sol1": "points", "sol2": "stniop", "label": 0}))
    Path("questions.jsonl").write_text(json.dumps({"query": "x =", "choices": ["1", "one"], "gold": 0}))
    chats = [[{"role": "user", "content": f"{number}?"}, {"role": "assistant", "content": f"{number}."}] for number in range(9)]
    Path("chats.jsonl").write_text("\n".join(json.dumps({"messages": chat}) for chat in chats))
    Path("book.txt").write_text("It was the best of times, it was the worst of times. " * 60)
    return tmp_path


@pytest.mark.more
@pytest.mark.slow
def test_every_command_of_the_page_runs_as_it_is_written(folder: Path, archfront: Call) -> None:
    pytest.importorskip("gguf")
    assert {words[0] for words in COMMANDS} == {"evaluate", "compare", "tune"}
    assert len(COMMANDS) >= 7
    for words in COMMANDS:
        done = archfront(*words)
        assert done.returncode == 0, (words, done.stderr)
        assert done.stdout.strip()
        if "--json" in words:
            assert isinstance(json.loads(done.stdout), list)
        if "--stored-bytes" in words:
            assert "float16" in done.stdout
            assert "int8" in done.stdout, "the larger shape in fewer bits"
