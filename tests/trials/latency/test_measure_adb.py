"""The ready script for a phone, against a program that stands in for adb: it has a folder for the phone and knows llama-bench's answers."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from search_space.architecture import Architecture
from search_space.errors import WorkError
from trials.latency.command import measure_by_command
from trials.study.latency_spec import LatencySpec

pytest.importorskip("gguf")

SCRIPT = Path(__file__).resolve().parents[3] / "docs" / "measure_adb.py"
SMALL = Architecture(
    vocab_size=64, hidden_size=32, num_unique_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=64
)
ADB = """#!{python}
import json, os, pathlib, shlex, shutil, sys

phone = pathlib.Path({phone!r})
verb, *words = sys.argv[1:]
with (phone / "calls.txt").open("a") as calls:
    calls.write(json.dumps([os.environ.get("ANDROID_SERIAL"), verb, *words]) + "\\n")


def there(path):
    assert path.startswith("/data/local/tmp/"), path
    return phone / path.removeprefix("/")


if verb == "push":
    shutil.copyfile(words[0], there(words[1]))
    print("1 file pushed")
elif verb == "shell":
    [line] = words
    program, *words = shlex.split(line)
    if program == "mkdir":
        there(words[-1]).mkdir(parents=True, exist_ok=True)
    elif program == "getprop":
        print("Phone 9")
    elif program == "rm":
        for path in words[1:]:
            there(path).unlink()
    else:
        assert program == "env" and words[0] == "LD_LIBRARY_PATH=/data/local/tmp/archfront", words
        if not {bench}:
            sys.exit("/system/bin/sh: llama-bench: inaccessible or not found")
        options = dict(zip(words[2::2], words[3::2], strict=True))
        read, written = int(options["-p"]), int(options["-n"])
        nanoseconds = there(options["-m"]).stat().st_size * (read + 10 * written)
        said = {{"build_number": 6000, "cpu_info": "", "n_prompt": read, "n_gen": written, "samples_ns": [nanoseconds]}}
        print(json.dumps([said]))
"""


def phone(folder: Path, monkeypatch: pytest.MonkeyPatch, bench: bool = True) -> Path:
    """A folder that is the phone, and an adb on the path that is connected to it."""
    (folder / "phone").mkdir()
    (folder / "bin").mkdir()
    adb = folder / "bin" / "adb"
    adb.write_text(ADB.format(python=sys.executable, phone=str(folder / "phone"), bench=bench), encoding="utf-8")
    adb.chmod(0o755)
    monkeypatch.setenv("PATH", f"{adb.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ANDROID_SERIAL", "emulator-5554")
    return folder / "phone"


def spec() -> LatencySpec:
    command = [sys.executable, str(SCRIPT)]
    return LatencySpec.model_validate(
        {"runtime": "command", "command": command, "format": "gguf", "precision": "int8", "prompt_tokens": 8, "new_tokens": 4, "repeats": 2}
    )


def test_a_phone_measures_every_repeat_between_two_of_the_yardstick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = phone(tmp_path, monkeypatch)
    found = measure_by_command(SMALL, spec(), device_times={}, deadline=time.monotonic() + 60)
    assert (found.device, found.runtime, found.runtime_version) == ("Phone 9 (processor not known)", "llama.cpp", "b6000")
    assert found.file_bytes is not None
    assert found.prefill_ms.median == pytest.approx(found.file_bytes * 8 / 1e6)
    assert found.decode_ms_per_token.median == pytest.approx(found.file_bytes * 10 / 1e6)
    assert found.yardstick is not None
    assert not found.disturbed
    calls = (files / "calls.txt").read_text(encoding="utf-8")
    assert calls.count("emulator-5554") == len(calls.splitlines()), "adb's own variable says which phone is meant"
    assert [calls.count(f"{name}.gguf -r") for name in ("model", "yardstick")] == [4, 6], "two llama-bench for each of 2 repeats and 3"
    assert list(files.rglob("*.gguf")) == [], "nothing is left on the phone"


def test_a_phone_that_cannot_is_the_trial_s_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phone(tmp_path, monkeypatch, bench=False)
    with pytest.raises(WorkError, match=r"adb shell failed: .*llama-bench: inaccessible or not found"):
        measure_by_command(SMALL, spec(), device_times={}, deadline=time.monotonic() + 60)


def test_the_page_for_devices_shows_the_line_that_the_script_is_for() -> None:
    line = "latency: {runtime: command, command: [python3, measure_adb.py], format: gguf, precision: int8"
    page = (SCRIPT.parent / "howto" / "device.md").read_text(encoding="utf-8")
    assert line in page
    assert line in SCRIPT.read_text(encoding="utf-8")
