from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from search_space.architecture import Architecture
from search_space.errors import SpecError
from search_space.families import FAMILIES
from search_space.sharing import Sharing
from tests.support.sample_network import spread_out
from trials.catalogue.formats import supported_exports
from trials.catalogue.hugging_face_config import hugging_face_class
from trials.corpus.tokenizer import END_OF_TEXT, train_tokenizer
from trials.export.architecture_yaml import write_architecture_yaml
from trials.formats.hugging_face import write_hugging_face
from trials.formats.model import Model
from trials.network.decoder import Network
from trials.network.weights import load_network, load_weights, save_weights

VOCABULARY = 300
CONTEXT = 64
TEXTS = [
    "def front(points):\n    return [p for p in points if not dominated(p)]\n",
    "Die Prüfung läuft; ça va très bien — naïve façade, Łódź.",
    "Быстрый ответ: да. Ελληνικά και Русский.",
    "日本語のテキスト、中文测试，한국어 문장.",
    "هذا نص عربي קצר 123,456.78  \t\r\n\n  spaces   ",
    "emoji 👩‍👩‍👧 🇨🇭 e\u0301 and a control \x07 character",
    f"one document{END_OF_TEXT}another document",
    "",
]

LLAMA = Architecture(
    vocab_size=VOCABULARY,
    hidden_size=48,
    num_unique_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=12,
    intermediate_size=80,
)
MISTRAL = replace(LLAMA, num_attention_heads=5, num_key_value_heads=1, head_dim=14, tie_word_embeddings=False)
MINISTRAL = replace(LLAMA, head_dim=16, layer_types=("sliding_attention", "full_attention"), sliding_window=8)
ARCEE = replace(LLAMA, mlp="relu")
SHAPES = {
    "llama": LLAMA,
    "llama with a free head_dim": replace(LLAMA, head_dim=20),
    "llama untied": replace(LLAMA, tie_word_embeddings=False),
    "mistral": MISTRAL,
    "ministral": MINISTRAL,
    "ministral, all blocks sliding": replace(MINISTRAL, layer_types=("sliding_attention",)),
    "arcee relu": ARCEE,
    "arcee gelu, free head_dim, untied": replace(ARCEE, mlp="gelu", head_dim=20, tie_word_embeddings=False),
    "seed oss": replace(MISTRAL, attention_bias="qkv", rope_theta=100.0),
    "qwen3": replace(MISTRAL, qk_norm=True, rope_theta=100.0),
    "qwen3, sliding, shared mlp": replace(MINISTRAL, qk_norm=True, sharing=Sharing("reverse", 2, "mlp")),
    "shared blocks": replace(LLAMA, sharing=Sharing("immediate", 2)),
    "shared attention, sliding": replace(MINISTRAL, sharing=Sharing("reverse", 2, "attention")),
    "shared mlp, ungated": replace(ARCEE, sharing=Sharing("repeat_all_over", 3, "mlp")),
}


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer(TEXTS, VOCABULARY, file)
    return file


def exported(directory: Path, network: Network, tokenizer_file: Path) -> Path:
    """As the command does it: weights to a file, the file to an export."""
    save_weights(directory / "weights.safetensors", network)
    target = directory / "export"
    weights = load_weights(directory / "weights.safetensors")
    write_hugging_face(target, Model(network.architecture, weights, context_tokens=CONTEXT, tokenizer_file=tokenizer_file))
    return target


@pytest.mark.parametrize("architecture", SHAPES.values(), ids=SHAPES)
def test_transformers_loads_an_export_with_the_same_logits_and_ids(
    architecture: Architecture,
    tmp_path: Path,
    tokenizer_file: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = spread_out(architecture)
    directory = exported(tmp_path, network, tokenizer_file)
    transformers_logging.enable_propagation()
    model, loading = AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
    assert type(model).__name__ == hugging_face_class(architecture)
    assert not any(loading.values()), loading
    assert model.dtype is torch.float32
    tokens = torch.randint(0, VOCABULARY, (2, 3 * 8), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, theirs = network(tokens), model.eval()(tokens).logits
    assert ours.std() > 0.5
    torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=0)

    tokenizer, direct = AutoTokenizer.from_pretrained(directory), Tokenizer.from_file(str(tokenizer_file))
    for text in TEXTS:
        assert tokenizer.encode(text) == direct.encode(text).ids
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.eos_token_id == tokenizer.bos_token_id == direct.token_to_id(END_OF_TEXT)
    assert tokenizer.model_max_length == CONTEXT
    assert not [record for record in caplog.records if record.name.startswith("transformers")]  # torchao, if there, has its own remarks


@pytest.mark.parametrize("name", ["mistral", "arcee relu", "qwen3, sliding, shared mlp", "shared attention, sliding"])
def test_transformers_generates_from_an_export_as_the_network_does(name: str, tmp_path: Path, tokenizer_file: Path) -> None:
    network = spread_out(SHAPES[name])
    directory = exported(tmp_path, network, tokenizer_file)
    model = AutoModelForCausalLM.from_pretrained(directory)
    prompt = AutoTokenizer.from_pretrained(directory)("def front(", return_tensors="pt")
    generated = model.generate(**prompt, max_new_tokens=20, min_new_tokens=20, do_sample=False, use_cache=True)
    tokens = prompt["input_ids"]
    end_of_text = model.generation_config.eos_token_id
    with torch.inference_mode():
        for _ in range(20):
            logits = network(tokens)[:, -1]
            logits[:, end_of_text] = -torch.inf  # as min_new_tokens does
            tokens = torch.cat((tokens, logits.argmax(-1, keepdim=True)), 1)
    assert generated.tolist() == tokens.tolist()


def test_an_export_can_be_trained_on_and_saved_by_transformers(tmp_path: Path, tokenizer_file: Path) -> None:
    directory = exported(tmp_path, spread_out(SHAPES["shared blocks"]), tokenizer_file)
    model = AutoModelForCausalLM.from_pretrained(directory)
    tokens = torch.arange(24)[None]
    model(tokens, labels=tokens).loss.backward()
    model.save_pretrained(tmp_path / "again")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "again")
    torch.testing.assert_close(again(tokens).logits, model(tokens).logits)
    assert again.config.num_unique_layers == 3


def test_config_json_keeps_the_sharing_and_says_what_is_executed(tmp_path: Path, tokenizer_file: Path) -> None:
    architecture = SHAPES["shared attention, sliding"]
    config = json.loads((exported(tmp_path, Network(architecture), tokenizer_file) / "config.json").read_text())
    assert config["num_hidden_layers"] == 6
    assert config["num_unique_layers"] == 3
    assert config["sharing"] == {"strategy": "reverse", "repeats": 2, "part": "attention"}
    assert config["layer_types"] == list(architecture.layer_types)
    assert config["dtype"] == "float32"


def test_a_bfloat16_export_stays_bfloat16(tmp_path: Path, tokenizer_file: Path) -> None:
    directory = exported(tmp_path, Network(LLAMA).to(torch.bfloat16), tokenizer_file)
    assert AutoModelForCausalLM.from_pretrained(directory).dtype is torch.bfloat16


def test_a_padded_vocabulary_is_exported_with_its_tokenizer(tmp_path: Path, tokenizer_file: Path) -> None:
    directory = exported(tmp_path, Network(replace(LLAMA, vocab_size=384)), tokenizer_file)
    assert AutoModelForCausalLM.from_pretrained(directory).config.vocab_size == 384
    assert json.loads((directory / "config.json").read_text())["eos_token_id"] == 0


@pytest.mark.parametrize("vocab_size", [299, 1324])
def test_a_tokenizer_of_another_size_is_refused_before_anything_is_written(tmp_path: Path, tokenizer_file: Path, vocab_size: int) -> None:
    network = Network(replace(LLAMA, vocab_size=vocab_size))
    with pytest.raises(SpecError, match=rf"must have {vocab_size} tokens or a few less, found 300; take the network's own"):
        exported(tmp_path, network, tokenizer_file)
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        (replace(ARCEE, num_attention_heads=5, num_key_value_heads=1), "found 48 and 5; choose hidden_size 45 or 50, or mlp swiglu"),
        (replace(ARCEE, hidden_size=3, num_attention_heads=4), "found 3 and 4; choose hidden_size 4, or mlp swiglu"),
        (
            replace(ARCEE, attention_bias="qkv"),
            "must be none in a Hugging Face export with an ungated MLP or a block that slides, found qkv",
        ),
        (replace(ARCEE, qk_norm=True), "must be false in a Hugging Face export with an ungated MLP or biases, found true"),
        (replace(LLAMA, qk_norm=True, attention_bias="qkv"), "choose false, or mlp swiglu and attention_bias none"),
        (replace(MINISTRAL, attention_bias="qkv"), "choose none, or mlp swiglu and full_attention in every block"),
        (replace(MINISTRAL, mlp="gelu"), "mlp must be swiglu in a Hugging Face export where a block slides, found gelu"),
    ],
)
def test_a_shape_that_no_class_runs_is_refused_with_what_would_fit(architecture: Architecture, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        hugging_face_class(architecture)
    reason = supported_exports(architecture)["hf"]
    assert reason is not None
    assert sentence in reason
    assert supported_exports(architecture)["yaml"] is None


def test_every_published_shape_can_be_exported() -> None:
    for architecture in FAMILIES.values():
        assert set(supported_exports(architecture).values()) == {None}


def test_what_can_be_exported_is_answered_without_torch() -> None:
    code = "import sys, trials.catalogue.formats; print([name for name in ('torch', 'yaml', 'safetensors') if name in sys.modules])"
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("architecture", SHAPES.values(), ids=SHAPES)
def test_saved_weights_come_back_bit_by_bit_and_each_is_stored_once(architecture: Architecture, tmp_path: Path) -> None:
    network, file = spread_out(architecture), tmp_path / "weights.safetensors"
    save_weights(file, network)
    back = load_network(file, architecture)
    assert load_weights(file).keys() == dict(network.named_parameters()).keys()
    assert [p.shape for p in back.parameters()] == [p.shape for p in network.parameters()]
    tokens = torch.arange(20)[None]
    assert torch.equal(back(tokens), network(tokens))
    assert all(parameter.requires_grad for parameter in back.parameters())
    (tmp_path / "plain").touch()
    assert file.stat().st_mode == (tmp_path / "plain").stat().st_mode  # whoever may read the study may load its models
    (tmp_path / "plain").unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


def test_an_earlier_file_survives_a_write_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights.safetensors"
    save_weights(file, Network(LLAMA))
    before = file.read_bytes()

    def no_space(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", no_space)
    with pytest.raises(OSError, match="no space"):
        save_weights(file, Network(LLAMA, seed=1))
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_weights(file, Network(LLAMA))
    with pytest.raises(SpecError, match=r"weights.safetensors: model.layers.0.mlp.down_proj.weight must be \[48, 96\] in 3x48"):
        load_network(file, replace(LLAMA, intermediate_size=96))
    with pytest.raises(SpecError, match=r"lm_head.weight must be \[300, 48\] in .*, found nothing"):
        load_network(file, replace(LLAMA, tie_word_embeddings=False))
    with pytest.raises(SpecError, match=r"must be nothing in .*, found \["):
        load_network(file, replace(LLAMA, num_unique_layers=2, layer_types=("full_attention",)))


def test_missing_and_damaged_weights_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"missing.safetensors must be a readable safetensors file"):
        load_network(tmp_path / "missing.safetensors", LLAMA)
    (tmp_path / "cut.safetensors").write_bytes(b"\x80\x01")
    with pytest.raises(SpecError, match=r"cut.safetensors must be a readable safetensors file"):
        load_network(tmp_path / "cut.safetensors", LLAMA)


@pytest.mark.parametrize("architecture", SHAPES.values(), ids=SHAPES)
def test_the_plain_architecture_is_yaml_that_reads_back_equal(architecture: Architecture, tmp_path: Path) -> None:
    file = tmp_path / "new" / "architecture.yaml"
    write_architecture_yaml(file, Model(architecture, {}))
    assert Architecture.from_dict(yaml.safe_load(file.read_text())) == architecture
