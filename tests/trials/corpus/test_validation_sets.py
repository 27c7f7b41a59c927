"""Validation sets that a study names beside the held-out split: encoded with the corpus' tokenizer, judged once, shown by name."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from analysis.records.record import Kind, TrialRecord
from analysis.report.study_page import report_page
from search_space.architecture import Architecture
from search_space.errors import SpecError
from tests.support.sample_study import sample_records, sample_summary
from tests.trials.corpus.test_prepare import sentences
from trials.corpus.blocks import TokenBlocks
from trials.corpus.prepare import prepare_corpus, require_corpus
from trials.jobs.shipment import pack
from trials.study.corpus_spec import CorpusSpec
from trials.study.latency_spec import LatencySpec
from trials.study.load_study import load_study, parse_study
from trials.study.spec import ProxySpec
from trials.tracking.mlflow_trial_content import trial_run
from trials.trial.run_trial import ended, trial_in_stretches
from trials.trial.task import TrialTask


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    for name, text in (
        ("train", sentences(2000)),
        ("same", sentences(200, seed=1)),
        ("digits", "".join(f"{n * n}\n" for n in range(2000))),
    ):
        (folder / f"{name}.txt").write_text(text)
    return folder


def spec_of(folder: Path, **validation: str) -> CorpusSpec:
    sets: dict[str, tuple[str, ...]] = {name: (str(folder / file),) for name, file in validation.items()}
    return CorpusSpec(files=(str(folder / "train.txt"),), validation=sets)


@pytest.fixture(scope="module")
def blocks(folder: Path) -> TokenBlocks:
    return prepare_corpus(spec_of(folder, same="same.txt", digits="digits.txt"), 300, folder / "cache")


def shape_of(vocab_size: int) -> Architecture:
    return Architecture(
        vocab_size=vocab_size,
        hidden_size=32,
        num_unique_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        intermediate_size=32,
    )


def trained(blocks: TokenBlocks) -> TrialRecord:
    proxy = ProxySpec(tokens=12_800, evaluation_tokens=4096)
    task = TrialTask(number=0, kind=Kind.SAMPLED, architecture=shape_of(blocks.vocab_size), seed=0)
    record, _ = ended(trial_in_stretches(task, blocks, proxy, workload=LatencySpec()))
    assert record.finished, record.reason
    return record


def test_a_set_is_its_files_under_the_tokenizer_of_the_corpus(folder: Path, blocks: TokenBlocks) -> None:
    assert list(blocks.validations) == ["same", "digits"]
    tokenizer = Tokenizer.from_file(str(blocks.tokenizer_file))
    ids = blocks.validations["digits"]
    assert tokenizer.decode(ids[ids != 0].tolist()) == (folder / "digits.txt").read_text()
    assert blocks.evaluation("digits", 640, 64).shape == (10, 65)
    assert np.array_equal(blocks.train, prepare_corpus(spec_of(folder), 300, folder / "cache").train)


def test_a_set_is_encoded_again_where_its_file_has_changed(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "set.txt"
    spec = spec_of(folder).model_copy(update={"validation": {"mine": (str(file),)}})
    sizes = []
    for text in ("a b c\n" * 100, "a b c\n" * 100, "a b c d e f\n" * 100):
        file.write_text(text)
        sizes.append(prepare_corpus(spec, 300, folder / "cache").validations["mine"].size)
    assert sizes[0] == sizes[1] < sizes[2]


def test_sets_travel_with_the_blocks(blocks: TokenBlocks, tmp_path: Path) -> None:
    blocks.save(tmp_path)
    sent = TokenBlocks.load(tmp_path)
    assert {name: ids.tolist() for name, ids in sent.validations.items()} == {n: i.tolist() for n, i in blocks.validations.items()}


def test_a_set_knows_where_its_documents_begin_and_they_travel_with_it(folder: Path, tmp_path: Path) -> None:
    """A long document is many pieces and one document; one without text is none."""
    lines = [sentences(3000, seed=2), "", "a short one", "   ", *(f"text {number}" for number in range(20))]
    (tmp_path / "set.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in lines))
    spec = spec_of(folder).model_copy(update={"validation": {"mine": (str(tmp_path / "set.jsonl"),)}})
    made = prepare_corpus(spec, 300, folder / "cache")
    made.save(tmp_path / "sent")
    for blocks in (made, prepare_corpus(spec, 300, folder / "cache"), TokenBlocks.load(tmp_path / "sent")):
        starts, ids = blocks.unit_starts["mine"], blocks.validations["mine"]
        assert len(starts) == 22
        ends = [*starts[1:], len(ids)]
        assert all(ids[end - 1] == 0 for end in ends)
        assert blocks.evaluated_units("mine", len(ids), 16) is not None
        assert {"validation", "test"} <= blocks.unit_starts.keys()


def test_a_cache_of_before_is_encoded_once_more_for_its_documents(folder: Path) -> None:
    spec = spec_of(folder, same="same.txt")
    prepare_corpus(spec, 300, folder / "cache")
    for file in (folder / "cache").glob("*/validation-*-units.npy"):
        file.unlink()
    assert prepare_corpus(spec, 300, folder / "cache").unit_starts["same"].tolist() == [0]


@pytest.mark.slow
def test_a_finished_trial_is_judged_on_each_set_in_bits_per_byte_whatever_its_vocabulary(folder: Path, blocks: TokenBlocks) -> None:
    small = trained(blocks)
    large = trained(prepare_corpus(spec_of(folder, same="same.txt", digits="digits.txt"), 600, folder / "cache"))
    for record, given in ((small, blocks), (large, None)):
        assert record.training is not None
        assert record.training.validation is not None
        judged = record.training.validations
        assert list(judged) == ["same", "digits"]
        assert [quality.documents for quality in judged.values()] == [1, 1]
        assert abs(judged["same"].bits_per_byte - record.training.validation.bits_per_byte) < 0.15
        assert judged["digits"].bits_per_byte > judged["same"].bits_per_byte + 0.3
        assert TrialRecord.from_dict(record.as_dict()) == record
        if given is not None:
            predicted = given.evaluation("digits", 4096, 64)[:, 1:]
            nats = judged["digits"].loss * predicted.size
            assert judged["digits"].bits_per_byte == pytest.approx(nats / math.log(2) / given.bytes_per_token[predicted].sum())
    assert small.training is not None
    assert large.training is not None
    assert large.training.validations["same"].loss > small.training.validations["same"].loss  # nats per token: longer tokens
    metrics = {point.name: point.value for point in trial_run(small).metrics}
    assert metrics["bits_per_byte.digits"] == small.training.validations["digits"].bits_per_byte


def test_the_report_shows_each_set_by_its_name() -> None:
    records = [
        replace(record, training=replace(record.training, validations={"legal <text>": record.training.validation}))
        if record.training and record.training.validation
        else record
        for record in sample_records()
    ]
    page = report_page(sample_summary(), records, {})
    assert "legal &lt;text&gt;" in page
    assert "on the validation sets that the study names" in page
    assert "on the validation sets that the study names" not in report_page(sample_summary(), sample_records(), {})


def test_the_report_shows_the_interval_by_the_documents_of_a_set() -> None:
    def judged(record: TrialRecord) -> TrialRecord:
        if record.training is None or record.training.validation is None:
            return record
        known = replace(record.training.validation, bits_per_byte=2.5, documents=101, standard_error=0.01)
        return replace(record, training=replace(record.training, validations={"legal": known}))

    assert "2.500 ± 0.017" in report_page(sample_summary(), [judged(record) for record in sample_records()], {}), "t of 100: 1.66"


def test_a_set_without_text_or_too_short_for_the_context_is_said_before_anything_is_trained(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "short.txt").write_text("short")
    for name, sentence in (
        ("empty.txt", r"corpus\.validation\.mine must have text, found none in empty\.txt; name other files"),
        ("none.txt", r"corpus\.validation\.mine must name files, found none for .*none\.txt; check the path"),
    ):
        with pytest.raises(SpecError, match=sentence):
            prepare_corpus(spec_of(folder, mine=str(tmp_path / name)), 300, folder / "cache")
    with pytest.raises(SpecError, match=r"found none for .*none\.txt"):
        require_corpus(spec_of(folder, mine=str(tmp_path / "none.txt")), [300])
    short = prepare_corpus(spec_of(folder, mine=str(tmp_path / "short.txt")), 300, folder / "cache")
    with pytest.raises(SpecError, match=r"the mine set must hold 65 tokens .*, found \d; add text to it or lower proxy\.context_tokens"):
        short.require_context(64)


STUDY = """
name: told
corpus: {files: train.txt, validation: {same: same.txt, other: [digits.txt, same.txt]}}
budget: {parameters: 100_000}
space: {vocab_size: 300}
proxy: {tokens: 1000}
search: {trials: 1}
"""


def test_a_study_names_sets_beside_it_and_a_job_takes_them_along(folder: Path, tmp_path: Path) -> None:
    (folder / "study.yaml").write_text(STUDY)
    corpus = load_study(folder / "study.yaml").corpus
    assert corpus.validation == {"same": (f"{folder}/same.txt",), "other": (f"{folder}/digits.txt", f"{folder}/same.txt")}
    pack(folder / "study.yaml", tmp_path)
    assert {path.name for path in (tmp_path / "study").iterdir()} == {"study.yaml", "train.txt", "same.txt", "digits.txt"}


@pytest.mark.parametrize(
    ("sets", "sentence"),
    [
        (
            {"test": "a.txt"},
            r"validation must have names other than train, validation, test, found 'test'; rename it",
        ),
        ({"a b": "a.txt"}, r"validation must have names of 1 to 100 letters .*, found 'a b'; write 'a-b', say"),
        ({"mine": []}, "must name files for mine, found none; add them or leave mine out"),
    ],
)
def test_sets_that_cannot_be_are_refused(sets: dict[str, object], sentence: str) -> None:
    values = {"name": "a", "corpus": {"files": "a.txt", "validation": sets}, "budget": {"parameters": 1000}, "space": {}}
    with pytest.raises(SpecError, match=sentence):
        parse_study({**values, "proxy": {"tokens": 1}, "search": {"trials": 1}})
