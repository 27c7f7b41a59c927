"""A person's file of a shape: sizes as people write them, and no statement about classes that are not known."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from search_space.errors import SpecError
from trials.trial.shape_file import read_shape_file

SHAPE: dict[str, Any] = {
    "vocab_size": 32_000, "hidden_size": 1024, "num_hidden_layers": 12, "num_attention_heads": 16, "num_key_value_heads": 4,
    "head_dim": 64, "intermediate_size": 2000, "rope_theta": 500_000.0,
}  # fmt: skip
WRITTEN = {
    32_000: ("32k", "32K", "32 k", "32_000", "32,000", "3.2e4", "0.032M"), 1024: ("1_024", "1,024", "1.024k"),
    2000: ("2k", "2e3", "2,000", "2_000.0"), 500_000.0: ("500k", "5e5", "0.5M", "500,000"),
}  # fmt: skip
NO_SIZE = {"vocab_size": ("32kk", "k32", "0.5", "-32k", "nan", "1e999", "thirty"), "hidden_size": ("1.0241k", "12 34")}
UNGATED = ("gpt2", "gpt_neox", "opt", "phi", "bert", "falcon", "bloom", "gptj")
PUBLISHED = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu"}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, value in SHAPE.items() for text in WRITTEN.get(value, ())])
@pytest.mark.parametrize("form", ["yaml", "record", "config.json"])
def test_sizes_are_read_as_people_write_them(name: str, text: str, form: str, tmp_path: Path) -> None:
    path = tmp_path / ("shape.yaml" if form == "yaml" else "shape.json")
    plain, said = SHAPE, {**SHAPE, name: text}
    if form == "config.json":
        plain, said = {**PUBLISHED, **plain}, {**PUBLISHED, **said}
    for values in (plain, said):
        whole = {"architecture": values} if form == "record" else values
        path.write_text(yaml.safe_dump(whole) if form == "yaml" else json.dumps(whole))
        found = read_shape_file(path).shape
        assert (found.vocab_size, found.hidden_size, found.intermediate_size, found.rope_theta) == (32_000, 1024, 2000, 500_000.0)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in NO_SIZE.items() for text in texts])
def test_what_is_no_size_is_told_with_its_key(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "shape.yaml").write_text(yaml.safe_dump({**SHAPE, name: text}))
    with pytest.raises(SpecError, match=rf"shape\.yaml: {name} must be a whole number of at least 1, found .*; correct it"):
        read_shape_file(tmp_path / "shape.yaml")


@pytest.mark.parametrize("name", UNGATED)
@pytest.mark.parametrize("act", ["gelu", "gelu_new", "relu", "silu"])
def test_of_a_class_that_is_not_known_nothing_is_said_of_a_gate(name: str, act: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**SHAPE, "model_type": name, "hidden_act": act, "activation_function": act}))
    with pytest.raises(SpecError, match=re.escape("the model's blocks must be those that archfront has")) as error:
        read_shape_file(tmp_path / "config.json")
    assert "gated" not in str(error.value)
