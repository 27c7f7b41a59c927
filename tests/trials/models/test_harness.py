"""lm-evaluation-harness asks our network by its own definitions, of made-up rows in place of the hub's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from search_space.errors import SpecError, WorkError
from tests.support.sample_gguf import CONTEXT, SHAPE, padded_tokenizer, weights_of
from tests.trials.tasks.test_layouts import ROWS
from trials.models.loaded_model import LoadedModel
from trials.models.scoring import scored
from trials.models.trained_model import load_trained
from trials.tasks.layouts import question_of

pytestmark = [
    pytest.mark.more,
    pytest.mark.needs,
    pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed; pip install 'archfront[evals]'"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("model")
    tokenizer = padded_tokenizer(folder)
    return load_trained("a trial", SHAPE, weights_of(SHAPE, folder), tokenizer, CONTEXT)


def planted(rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    table = datasets.Dataset.from_list(rows)
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *_, **__: datasets.DatasetDict(dict.fromkeys(("train", "validation", "test"), table))
    )


def test_its_accuracy_is_that_of_our_own_scorer(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from trials.models.harness import harness_figures

    rows = [ROWS["piqa"] | {"goal": f"Dry towel {number}.", "label": number % 2} for number in range(12)]
    planted(rows, monkeypatch)
    figures = {figure.metric: figure for figure in harness_figures(model, ["piqa"], None, None)}
    ours = scored(model, [question_of("piqa", row, "here") for row in rows])
    right = [each.log_likelihoods.index(max(each.log_likelihoods)) == each.answer for each in ours]
    assert figures["acc"].value == pytest.approx(sum(right) / 12)
    assert figures["acc"].questions == 12
    assert figures["acc"].standard_error is not None
    assert 0 < figures["acc"].standard_error < 0.5
    assert figures["acc_norm"].value + 1 > 0


def test_answers_are_written_and_held_against_what_is_right(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from trials.models.harness import _written, harness_figures

    question = "what is wet"
    text = _written(model, f"Question: {question}?\nAnswer:", {"until": ["\n", ".", ","]}).strip()
    row = {"question": question, "answer": {"aliases": [text], "value": text, "normalized_aliases": [text]}}
    planted([row], monkeypatch)
    [figure] = harness_figures(model, ["triviaqa"], 0, None)
    assert text != model.tokenizer.decode([])
    assert (figure.metric, figure.value) == ("exact_match (remove_whitespace)", 1.0)


def test_what_it_does_not_have_is_one_sentence(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    from trials.models.harness import harness_figures

    with pytest.raises(SpecError, match="the harness' task piqqa"):
        harness_figures(model, ["piqqa"], None, None)

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach the hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(WorkError, match=r"did not come to an end with piqa: Couldn't reach"):
        harness_figures(model, ["piqa"], None, None)


def test_a_command_without_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import archfront
    from trials.commands import evaluate

    assert archfront.main(["evaluate", str(tmp_path), "--tasks", "piqa", "--shots", "3"]) == 2
    assert archfront.main(["evaluate", str(tmp_path), "--tasks", "piqa", "--harness", "--data", str(tmp_path)]) == 2
    monkeypatch.setattr(evaluate, "find_spec", lambda _: None)
    assert archfront.main(["evaluate", str(tmp_path), "--tasks", "piqa", "--harness"]) == 2
