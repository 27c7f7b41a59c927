"""Whatever a file holds that an export or a description reads: it is read, or refused in one sentence that names it; nothing is written."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from search_space.architecture import Architecture
from tests.conftest import Call
from tests.support.fuzz_subjects import CONFIG
from tests.support.mutations import cut, mutated
from tests.support.weighed_study import weighed_study
from tests.trials.commands.test_paths import one_sentence
from trials.study.directory import tokenizer_file, weights_file

SHAPE = Architecture(
    vocab_size=300, hidden_size=16, num_unique_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=8, intermediate_size=32
)
SEEDS = range(12)
Damage = Callable[[Path], object]
"""What it does to a good file."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("garbled") / "study"
    weighed_study(directory, [SHAPE] * 3)
    (directory / "sums.jsonl").write_text(json.dumps({"query": "def front", "choices": ["_0(points)", "xyz"], "gold": 0}) + "\n")
    return directory


@pytest.fixture
def study(good: Path, tmp_path: Path) -> Path:
    shutil.copytree(good, tmp_path / "study")
    return tmp_path / "study"


def _tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    def damage(file: Path) -> None:
        tensors = load_file(file)
        change(tensors)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)

    return damage


def _each(change: Callable[[torch.Tensor], torch.Tensor]) -> Damage:
    return _tensors(lambda tensors: tensors.update({name: change(tensor) for name, tensor in tensors.items()}))


def _one(change: Callable[[torch.Tensor], torch.Tensor]) -> Damage:
    def of_one(tensors: dict[str, torch.Tensor]) -> None:
        name = sorted(tensors)[1]
        tensors[name] = change(tensors[name])

    return _tensors(of_one)


def _header(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(file: Path) -> None:
        content = file.read_bytes()
        (size,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + size])
        change(header)
        said = json.dumps(header).encode()
        file.write_bytes(struct.pack("<Q", len(said)) + said + content[8 + size :])

    return damage


def _content(change: Callable[[bytes], bytes]) -> Damage:
    return lambda file: file.write_bytes(change(file.read_bytes()))


def _json(change: Callable[[Any], object]) -> Damage:
    def damage(file: Path) -> None:
        values = json.loads(file.read_text())
        change(values)
        file.write_text(json.dumps(values))

    return damage


def _replaced(make: Callable[[Path], object]) -> Damage:
    def damage(file: Path) -> None:
        file.unlink()
        make(file)

    return damage


def _cut(seed: int, content: bytes) -> bytes:
    return cut(content, random.Random(seed))


def _set(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda values: values.__setitem__(key, value)


ANY_FILE: Mapping[str, Damage] = {
    "empty": _content(lambda content: b""),
    "text": _content(lambda content: b"not what it was\n" * 40),
    "zeros": _content(lambda content: bytes(len(content))),
    "random bytes": _content(lambda content: random.Random(0).randbytes(len(content))),
    "brackets": _content(lambda content: b"[" * 100_000),
    "a directory": _replaced(Path.mkdir),
    "a pipe": _replaced(os.mkfifo),
    "nothing": lambda file: file.unlink(),
    "a link in a circle": _replaced(lambda file: file.symlink_to(file.name)),
    **{f"cut {seed}": _content(partial(_cut, seed)) for seed in range(8)},
}
NAME = "model.norm.weight"
WEIGHTS: Mapping[str, Damage] = {
    **ANY_FILE,
    "whole numbers": _each(lambda tensor: tensor.to(torch.int64)),
    "truths": _each(lambda tensor: tensor > 0),
    "eight bits": _each(lambda tensor: tensor.to(torch.float8_e4m3fn)),
    "complex numbers": _each(lambda tensor: tensor.to(torch.complex64)),
    "one of whole numbers": _one(lambda tensor: tensor.to(torch.int32)),
    "another shape": _one(lambda tensor: tensor.T if tensor.dim() > 1 else tensor[:-1]),
    "no dimension": _one(lambda tensor: tensor.flatten()[0]),
    "an empty tensor": _one(lambda tensor: tensor[:0]),
    "a tensor too few": _tensors(lambda tensors: tensors.pop(NAME)),
    "a tensor too many": _tensors(lambda tensors: tensors.update(extra=torch.zeros(3))),
    "other names": _tensors(lambda tensors: [tensors.update({f"module.{name}": tensors.pop(name)}) for name in [*tensors]]),
    "no tensors": _tensors(lambda tensors: tensors.clear()),
    "not finite": _one(lambda tensor: tensor * float("nan")),
    "a header beyond the end": _content(lambda content: struct.pack("<Q", 2**60) + content[8:]),
    "a header of no length": _content(lambda content: bytes(8) + content[8:]),
    "a header that is no JSON": _content(lambda content: content[:8] + b"}" * 40 + content[48:]),
    "offsets that overlap": _header(lambda header: header[NAME].update(data_offsets=[0, 64])),
    "offsets that go back": _header(lambda header: header[NAME].update(data_offsets=[64, 0])),
    "an unknown type": _header(lambda header: header[NAME].update(dtype="F12")),
    "a shape of text": _header(lambda header: header[NAME].update(shape="16")),
    "a negative shape": _header(lambda header: header[NAME].update(shape=[-16])),
    "a shape beyond all": _header(lambda header: header[NAME].update(shape=[2**40, 2**40])),
    "a type that is a number": _header(lambda header: header[NAME].update(dtype=7)),
    "metadata that are a list": _header(_set("__metadata__", [1, 2])),
}
TOKENIZER: Mapping[str, Damage] = {
    **ANY_FILE,
    **{f"the whole is {said}": _replaced(partial(Path.write_text, data=said)) for said in ("[]", "{}", "7", '"text"', "null", "true")},
    **{
        f"{key} is {value!r}": _json(_set(key, value))
        for key in ("model", "added_tokens", "pre_tokenizer", "decoder", "version")
        for value in ([], {}, 7, "text", [7], {"type": "Unheard"})
    },
    "no model": _json(lambda values: values.pop("model")),
    "a vocabulary of text": _json(
        lambda values: values["model"].update(vocab={name: f"{id_}" for name, id_ in values["model"]["vocab"].items()})
    ),
    "a vocabulary that counts twice": _json(lambda values: values["model"].update(vocab=dict.fromkeys(values["model"]["vocab"], 5))),
    "an id beyond all": _json(lambda values: values["model"]["vocab"].update(a=2**40)),
    "an id below all": _json(lambda values: values["model"]["vocab"].update(a=-1)),
    "a vocabulary that is larger": _json(lambda values: values["model"]["vocab"].update({f"more{n}": 300 + n for n in range(9)})),
    "merges of what is not there": _json(lambda values: values["model"].update(merges=[["no", "where"]])),
    "merges of one part": _json(lambda values: values["model"].update(merges=[["a"]])),
    "another kind of model": _json(lambda values: values.update(model={"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"})),
    "no end of text": _json(lambda values: values.update(added_tokens=[])),
}
VERBS = {
    "export": "export {study} --trial 0 --format yaml,hf --output {study}/out",
    "evaluate": "evaluate {study} --trial 0 --tasks sums --data {study} --json",
    "compare": "compare {study} --trial 0 --ways float16 --json",
    "tune": "tune {study} --trial 0 --data synthetic:api --limit 8 --output {study}/out",
}
READ_BY = {
    "weights": (weights_file(Path(), 0), WEIGHTS, ("export", "evaluate", "compare", "tune")),
    "tokenizer": (tokenizer_file(Path(), SHAPE.vocab_size), TOKENIZER, ("export", "evaluate", "tune")),
}


CASES = [(verb, what, damage) for what, (_, kinds, verbs) in READ_BY.items() for verb in verbs for damage in kinds]
OFTEN = {case for place, case in enumerate(CASES) if case[0] == "export" or place % 6 == 0}
"""What `make test` tries: the verbs share their readers."""


@pytest.mark.parametrize(
    ("verb", "what", "damage"), [pytest.param(*case, marks=[] if case in OFTEN else pytest.mark.more) for case in CASES]
)
def test_a_garbled_file_is_refused_in_a_sentence_that_names_it(verb: str, what: str, damage: str, archfront: Call, study: Path) -> None:
    name, kinds, _ = READ_BY[what]
    kinds[damage](study / name)
    before = sorted(study.rglob("*"))
    done = archfront(*(word.format(study=study) for word in VERBS[verb].split()))
    assert done.returncode == 2, (done.stdout, done.stderr)
    one_sentence(done.stderr)
    assert name.name in done.stderr or f"trial {0}" in done.stderr
    assert sorted(study.rglob("*")) == before


RECORDS = {"study.yaml": "yaml", "records.jsonl": "jsonl"}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_study_whose_files_were_changed_is_exported_or_refused_in_a_sentence(seed: int, name: str, archfront: Call, study: Path) -> None:
    how, content = mutated((study / name).read_bytes(), RECORDS[name], random.Random(f"{name} {seed}"))
    (study / name).write_bytes(content)
    done = archfront("export", str(study), "--pick", "knee", "--format", "yaml", "--output", str(study / "out"))
    assert done.returncode in (0, 2), (how, done.stderr)
    assert (study / "out").exists() == (done.returncode == 0)
    if done.returncode:
        one_sentence(done.stderr)


SHAPES = {"config.json": ("json", json.dumps(CONFIG, indent=1)), "shape.yaml": ("yaml", yaml.safe_dump(SHAPE.as_dict()))}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("damage", [*ANY_FILE, *(f"changed {seed}" for seed in SEEDS)])
def test_a_garbled_shape_is_described_or_refused_in_a_sentence(damage: str, name: str, archfront: Call, tmp_path: Path) -> None:
    form, content = SHAPES[name]
    (tmp_path / name).write_text(content)
    if damage in ANY_FILE:
        ANY_FILE[damage](tmp_path / name)
    else:
        changed = mutated(content.encode(), form, random.Random(f"{name} {damage}"))[1]
        (tmp_path / name).write_bytes(changed)
    done = archfront("describe", name, "--json")
    assert done.returncode in ((2,) if damage in ANY_FILE else (0, 2)), done.stderr
    if done.returncode:
        one_sentence(done.stderr)
        assert name in done.stderr
    else:
        json.loads(done.stdout)
