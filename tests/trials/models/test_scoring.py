"""Log-likelihoods in batches are those of one text at a time, and those of lm-evaluation-harness with transformers."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from search_space.errors import SpecError
from tests.support.sample_gguf import CONTEXT, SHAPE, padded_tokenizer, weights_of
from trials.export.write import write_formats
from trials.models.hugging_face_folder import load_hugging_face
from trials.models.loaded_model import LoadedModel
from trials.models.scoring import likelihoods, scored
from trials.models.trained_model import load_trained
from trials.tasks import likelihood
from trials.tasks.encoding import encoded_option
from trials.tasks.question import Option, Question

OPTIONS = [
    Option("def front(points):", " return points"),
    Option("def front(points):", " return"),
    Option("", "Die Prüfung läuft"),
    Option("", " ça va. 12345"),
    Option("a ", "b"),
    Option("[p for p in points]\n" * 20, " return [p"),
    Option("x", " 日本語"),
    Option("The", " quick brown fox jumps over the lazy dog, again and again"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    tokenizer = padded_tokenizer(directory)
    write_formats(["hf"], directory / "hf", SHAPE, weights_of(SHAPE, directory), tokenizer, CONTEXT, {})
    return directory


@pytest.fixture(scope="module")
def model(folder: Path) -> LoadedModel:
    """A trial whose texts are cut at the length of its training, so that some here are."""
    found = load_trained("a trial", SHAPE, folder / "weights.safetensors", folder / "tokenizer.json", CONTEXT)
    assert found.context_tokens == load_hugging_face(folder / "hf").context_tokens == 2048
    return replace(found, context_tokens=CONTEXT)


@torch.inference_mode()
def by_hand(model: LoadedModel, option: Option) -> tuple[float, bool]:
    """Each token of the continuation by itself, from a text that ends before it."""
    ids = encoded_option(option, model.encode, model.prefix_token_id)
    before, after = list(ids.before), list(ids.after)
    total, is_likeliest = 0.0, True
    kept = (before + after)[-(model.context_tokens + 1) :]
    for place in range(len(kept) - len(after), len(kept)):
        logits = model.network(torch.tensor([kept[:place]]))[0, -1].double()
        total += float(logits.log_softmax(0)[kept[place]])
        is_likeliest &= int(logits.argmax()) == kept[place]
    return total, is_likeliest


@pytest.mark.parametrize("batch_tokens", [1, 100, 4096])
def test_a_batch_is_each_text_by_itself(model: LoadedModel, batch_tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "BATCH_TOKENS", batch_tokens)
    found = likelihoods(model, OPTIONS)
    for option, each in zip(OPTIONS, found, strict=True):
        total, is_likeliest = by_hand(model, option)
        assert each.log_likelihood == pytest.approx(total, rel=1e-5, abs=1e-4)
        assert each.is_likeliest == is_likeliest


def test_what_the_model_would_write_is_found(model: LoadedModel) -> None:
    ids = model.encode("def front")
    with torch.inference_mode():
        for _ in range(3):
            ids.append(int(model.network(torch.tensor([ids]))[0, -1].argmax()))
    text = model.tokenizer.decode(ids)
    assert model.encode(text) == ids
    assert likelihoods(model, [Option("def front", text.removeprefix("def front"))])[0].is_likeliest


def test_an_item_is_scored_with_letters_bytes_and_its_part(model: LoadedModel) -> None:
    [found] = scored(model, [Question((Option("x", " ça"), Option("x", " va da")), 0, "part")])
    assert (found.lengths, found.answer_bytes, found.group, found.answer) == ((2, 5), 3, "part", 0)


def test_an_answer_beyond_the_context_is_one_sentence(model: LoadedModel) -> None:
    with pytest.raises(SpecError, match=r"must have 1 to 64 tokens .* found \d+ in 'word word"):
        likelihoods(model, [Option("x", " word" * 100)])
    short = replace(model, context_tokens=4)
    assert len(likelihoods(short, [Option("[p for p in points]" * 9, " a")])) == 1


@pytest.mark.needs
@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed; pip install 'archfront[evals]'")
def test_log_likelihoods_are_those_of_the_harness(folder: Path) -> None:
    """Its own model class on the export, texts that are cut on the left too."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    theirs = HFLM(pretrained=str(folder / "hf"), device="cpu", dtype="float32", max_length=CONTEXT, batch_size=3)
    ours = replace(load_hugging_face(folder / "hf"), context_tokens=CONTEXT)
    requests = [Instance("loglikelihood", {}, (option.context, option.continuation), place) for place, option in enumerate(OPTIONS)]
    for (total, is_likeliest), each in zip(theirs.loglikelihood(requests), likelihoods(ours, OPTIONS), strict=True):
        assert each.log_likelihood == pytest.approx(total, abs=1e-3)
        assert each.is_likeliest == is_likeliest
