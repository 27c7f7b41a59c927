"""Folders of transformers' own classes become networks with its logits, or are refused by the part that ours do not have."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from search_space.errors import SpecError
from tests.support.sample_gguf import padded_tokenizer
from tests.support.sample_network import spread_out
from tests.trials.catalogue.test_published_config import IN_TRANSFORMERS, PUBLISHED, configs
from trials.catalogue.published_config import read_published
from trials.models.hugging_face_folder import OTHER_ARITHMETIC, load_hugging_face
from trials.models.load_model import load_model

SMALL_MOBILELLM = PUBLISHED[-1][1] | {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 48,
    "vocab_size": 96, "bos_token_id": 1,
}  # fmt: skip
TOKENS = torch.arange(96).flip(0)[None] * 7 % 96


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return padded_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def spread_model(model_type: str, drawn: dict[str, Any]) -> Any:
    """A model of the class whose logits differ much from token to token."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(model_type, bos_token_id=0, eos_token_id=0, pad_token_id=None, **drawn)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.uniform_(0.5, 1.5) if "norm" in name else weight.normal_(std=weight.shape[-1] ** -0.5 if weight.ndim > 1 else 0.3)
    return model


@pytest.mark.parametrize("model_type", IN_TRANSFORMERS)
def test_logits_are_those_of_the_class_or_it_is_refused_by_name(model_type: str, tokenizer: Path, tmp_path: Path) -> None:
    outcomes = set()
    for place, drawn in enumerate(configs(model_type)):
        if model_type == "ministral":
            drawn |= {"sliding_window": 16}  # transformers' class of it cannot do without
        folder, model = tmp_path / str(place), spread_model(model_type, drawn)
        model.save_pretrained(folder, max_shard_size="20KB" if place % 2 else "1GB")
        shutil.copyfile(tokenizer, folder / "tokenizer.json")
        try:
            loaded = load_hugging_face(folder)
        except SpecError:
            outcomes.add("refused")
            continue
        outcomes.add("loaded")
        with torch.inference_mode():
            theirs, ours = model(TOKENS).logits, loaded.network(TOKENS)
        assert torch.allclose(ours, theirs, atol=2e-4 * float(theirs.abs().max())), (model_type, drawn)
        assert loaded.prefix_token_id == 0
    assert outcomes == {"loaded"} if model_type in LOADED else "refused" in outcomes  # a small one may lack what is refused


LOADED = {"llama", "mistral", "ministral", "qwen2", "qwen3", "seed_oss", "internlm3", "phi3"}
"""Classes whose blocks compute what ours do; every other one whose weights are counted is refused."""


def test_mobilellms_own_class_is_read_from_its_checkpoint_without_unpickling(tokenizer: Path, tmp_path: Path) -> None:
    """Blocks that run twice are stored once in it."""
    shape = read_published(SMALL_MOBILELLM).shape
    network = spread_out(shape)
    weights = {
        name.replace(f".{place}.", f".{place // 2}.", 1) if (place := _place(name)) is not None else name: parameter
        for name, parameter in network.named_parameters()
    }
    assert {_place(name) for name in weights} == {None, 0, 1, 2}
    torch.save({name: weight.detach() for name, weight in weights.items()}, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps(SMALL_MOBILELLM))
    shutil.copyfile(tokenizer, tmp_path / "tokenizer.json")
    with torch.inference_mode():
        assert torch.equal(load_model(tmp_path).network(TOKENS), network(TOKENS))


def _place(name: str) -> int | None:
    return int(name.split(".")[2]) if name.startswith("model.layers.") else None


class Planted:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("planted"),))


def _pickle(folder: Path) -> None:
    torch.save({"model.norm.weight": Planted()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _outside(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "elsewhere.safetensors")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"model.norm.weight": "../elsewhere.safetensors"}}')


def _config(**changes: Any) -> Any:
    def spoil(folder: Path) -> None:
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({key: value for key, value in (values | changes).items() if value != "gone"}))

    return spoil


SPOILED = {
    "a pickle that does something": (_pickle, "pytorch_model.bin must hold tensors alone"),
    "a shard outside of the folder": (_outside, "must have a weight_map from names to files beside it"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "must hold weights"),
    "cut weights": (lambda folder: (folder / "model.safetensors").write_bytes(b"\0" * 9), "must be a readable safetensors file"),
    "other weights": (lambda folder: save_file({"model.norm.weight": torch.ones(3)}, folder / "model.safetensors"), "found"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "must hold a tokenizer.json, found none"),
    "no JSON": (lambda folder: (folder / "config.json").write_text("{"), "config.json must hold keys and values as JSON, found line 1"),
    "a list": (lambda folder: (folder / "config.json").write_text("[]"), "config.json must hold keys and values as JSON"),
    "stretched angles": (_config(rope_scaling={"rope_type": "llama3", "factor": 8.0}), "rope_scaling"),
    "scaled logits": (_config(model_type="granite", logits_scaling=2.0), "the arithmetic of the class granite and logits_scaling"),
    "another depth": (_config(num_hidden_layers=3), "the weight model.layers.2"),
    "no beginning": (_config(bos_token_id="gone", eos_token_id="gone"), "must name the token that begins or ends a text"),
    "another activation": (_config(hidden_act="gelu"), "a gated MLP with gelu"),
    "a context of words": (_config(max_position_embeddings="long"), "max_position_embeddings must be a whole number"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_no_model_of_ours_is_one_sentence(name: str, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder, (spoil, said) = tmp_path / "model", SPOILED[name]
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 40,
        "vocab_size": 96,
    }
    spread_model("llama", sizes).save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    load_hugging_face(folder)
    spoil(folder)
    with pytest.raises(SpecError) as refused:
        load_hugging_face(folder)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "planted").exists()


def test_every_class_that_is_counted_is_loaded_or_named_as_other() -> None:
    assert set(OTHER_ARITHMETIC).isdisjoint(LOADED)


def test_what_is_no_model_at_all(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("GGUX")
    for path in (tmp_path, tmp_path / "text.txt", tmp_path / "gone"):
        with pytest.raises(SpecError, match="a model must be a Hugging Face folder"):
            load_model(path)
