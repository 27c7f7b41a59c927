"""An export that keeps what is shared: transformers runs our module, with the network's logits, and trains and saves each weight once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from search_space.architecture import Architecture
from search_space.cost import parameters
from search_space.sharing import Sharing
from tests.conftest import Call
from tests.support.fuzz_subjects import STORED
from tests.support.sample_network import spread_out
from tests.trials.formats.test_hugging_face import ARCEE, CONTEXT, LLAMA, MINISTRAL, MISTRAL, VOCABULARY
from trials.corpus.tokenizer import train_tokenizer
from trials.export.verification import verify
from trials.export.write import write_formats
from trials.models.load_model import load_model
from trials.network.weights import save_weights

SHARED = {
    "immediate": replace(LLAMA, sharing=Sharing("immediate", 2)),
    "repeat_all_over, untied": replace(MISTRAL, sharing=Sharing("repeat_all_over", 2)),
    "reverse three times, qk norm": replace(MISTRAL, qk_norm=True, sharing=Sharing("reverse", 3)),
    "attention alone, sliding": replace(MINISTRAL, sharing=Sharing("reverse", 2, "attention")),
    "mlp alone, ungated": replace(ARCEE, sharing=Sharing("repeat_all_over", 3, "mlp")),
    "mlp alone, biases": replace(MISTRAL, attention_bias="qkv", rope_theta=100.0, sharing=Sharing("immediate", 2, "mlp")),
    "one block four times": replace(LLAMA, num_unique_layers=1, sharing=Sharing("immediate", 4)),
}
TOKENS = torch.randint(1, VOCABULARY, (2, 40), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer(["def front(points):\n    return [p for p in points if not dominated(p)]\n" * 9] * 9, VOCABULARY - 12, file)
    return file


@pytest.fixture(autouse=True)
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where transformers copies a folder's module to."""
    for module in ("transformers.dynamic_module_utils", "transformers.utils.hub"):
        monkeypatch.setattr(f"{module}.HF_MODULES_CACHE", str(tmp_path / "modules"), raising=False)


def loaded(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, trust_remote_code=True, dtype=torch.float32)


def exported(folder: Path, shape: Architecture, tokenizer: Path) -> Path:
    save_weights(folder / "weights.safetensors", spread_out(shape))
    write_formats(("hf",), folder / "out", shape, folder / "weights.safetensors", tokenizer, CONTEXT, keeps_sharing=True)
    return folder / "out"


@pytest.mark.parametrize("name", SHARED)
def test_logits_and_generated_tokens_are_the_networks_and_each_weight_is_there_once(
    name: str, tmp_path: Path, tokenizer_file: Path
) -> None:
    shape = SHARED[name]
    folder, network = exported(tmp_path, shape, tokenizer_file), spread_out(shape)
    [check] = verify(("hf",), folder, shape, tmp_path / "weights.safetensors", tokenizer_file)
    assert (check.passed, check.loaded_by.split()[0]) == (True, "transformers")
    model = loaded(folder)
    with torch.inference_mode():
        ours, theirs = network(TOKENS), model(TOKENS).logits
        assert (theirs - ours).abs().max() < 1e-5 * ours.std()
        written = model.generate(TOKENS, max_new_tokens=30, do_sample=False, eos_token_id=None)
        likeliest = network(written)[:, TOKENS.shape[1] - 1 : -1].argmax(-1)
        assert torch.equal(written[:, TOKENS.shape[1] :], likeliest)
        mask = torch.ones_like(TOKENS)
        mask[0, :7] = 0
        padded = model(TOKENS, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0)).logits[0, 7:]
        torch.testing.assert_close(padded, network(TOKENS[:1, 7:])[0], atol=float(1e-5 * ours.std()), rtol=0)
    assert sum(weight.numel() for weight in model.parameters()) == parameters(shape)
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert sum(file.get_tensor(key).numel() for key in file.keys()) == parameters(shape)  # noqa: SIM118


@pytest.mark.parametrize("name", ["repeat_all_over, untied", "attention alone, sliding", "mlp alone, ungated", "one block four times"])
def test_training_elsewhere_keeps_what_is_shared_and_archfront_reads_what_it_saved(name: str, tmp_path: Path, tokenizer_file: Path) -> None:
    shape = SHARED[name]
    model = loaded(exported(tmp_path, shape, tokenizer_file)).train()
    before = {key: weight.detach().clone() for key, weight in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model(TOKENS, labels=TOKENS).loss.backward()
    optimizer.step()
    assert all(not torch.equal(before[key], weight) for key, weight in model.named_parameters()), "every stored weight has moved"
    model.save_pretrained(tmp_path / "again")
    shutil.copyfile(tokenizer_file, tmp_path / "again/tokenizer.json")
    again = loaded(tmp_path / "again").eval()
    places = {weight.data_ptr() for weight in again.parameters()}
    assert (len(places), sum(weight.numel() for weight in again.parameters())) == (len(before), parameters(shape))
    found = load_model(tmp_path / "again")
    assert found.architecture == shape
    with torch.inference_mode():
        torch.testing.assert_close(again(TOKENS).logits, model.eval()(TOKENS).logits)
        ours = found.network(TOKENS)
        torch.testing.assert_close(ours, model(TOKENS).logits, atol=float(1e-5 * ours.std()), rtol=0)


def shared_study(folder: Path) -> Path:
    """A stored study whose first trial runs its blocks twice."""
    shutil.copytree(STORED / "search", folder)
    first, *others = (folder / "records.jsonl").read_text().splitlines()
    record = json.loads(first)
    fields = {key: value for key, value in record["architecture"].items() if key not in ("num_hidden_layers", "layer_types")}
    shape = Architecture.from_dict(fields | {"sharing": {"strategy": "immediate", "repeats": 2}})
    (folder / "records.jsonl").write_text("\n".join([json.dumps(record | {"architecture": shape.as_dict()}), *others]) + "\n")
    save_weights(folder / "weights/0000.safetensors", spread_out(shape))
    return folder


def test_the_command_keeps_sharing_and_the_card_says_what_runs(archfront: Call, tmp_path: Path) -> None:
    study = shared_study(tmp_path / "study")
    done = archfront("export", str(study), "--trial", "0", "--keep-sharing")
    assert done.returncode == 0, done.stderr
    card = (study / "exports/0000/README.md").read_text()
    assert "trust_remote_code=True" in card
    assert "written once for each" not in card
    assert load_model(study / "exports/0000").architecture.sharing.repeats == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trial", "1"], "--keep-sharing must go with a shape that runs a stored block several times, found trial 1"),
        (["--trial", "0", "--format", "yaml"], "--keep-sharing must go with hf in --format, found yaml"),
    ],
)
def test_where_nothing_can_be_kept_one_sentence_says_so(words: list[str], said: str, archfront: Call, tmp_path: Path) -> None:
    done = archfront("export", str(shared_study(tmp_path / "study")), *words, "--keep-sharing")
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
