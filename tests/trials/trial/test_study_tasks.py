"""Tasks that a study names: read before anything is trained, answered by every finished shape, and objectives by their names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.objectives.observed import Observed
from analysis.objectives.problem import problem_of
from analysis.objectives.registry import find_objective, named_objectives
from analysis.records.record import Kind, TrialRecord
from analysis.records.replicates import mean_record
from analysis.records.task_score import TaskFigures, TaskScore
from analysis.report.study_page import report_page
from analysis.statistics.noise_prior import ANSWER_NOISE, USUAL_NOISE
from analysis.tasks.task_result import task_result
from search_space.architecture import Architecture
from search_space.errors import SpecError
from tests.support.house import ROOT
from tests.support.sample_study import sample_records, sample_summary
from tests.trials.corpus.test_prepare import sentences
from trials.corpus import prepare, splits
from trials.corpus.blocks import TokenBlocks
from trials.corpus.prepare import known_blocks, prepare_corpus, require_corpus
from trials.jobs.shipment import pack
from trials.models.scoring import scored
from trials.models.trained_model import load_trained
from trials.network.weights import save_weights
from trials.plans.check_study import check
from trials.study.corpus_spec import CorpusSpec
from trials.study.latency_spec import LatencySpec
from trials.study.load_study import load_study, parse_study
from trials.study.spec import ProxySpec
from trials.study.yaml_file import read_yaml
from trials.tasks import encoding
from trials.tasks.encoding import tokens_asked
from trials.tasks.task_files import read_questions
from trials.tracking.mlflow_trial_content import trial_run
from trials.trial.run_trial import ended, trial_in_stretches
from trials.trial.task import TrialTask
from trials.trial.training_index import TrainingText

SENTENCES = [sentence.strip() for sentence in sentences(40, seed=3).split(".") if sentence.strip()]
PAIRS = [{"good": f"{sentence}.", "bad": f"{sentence[::-1]}."} for sentence in SENTENCES]
CHOICES = [{"query": "Which follows?", "choices": ["the end", "a very long ending of it", "no"], "gold": place % 3} for place in range(7)]
SCORE = TaskScore(
    questions=50,
    questions_sha256="a" * 64,
    chance=0.5,
    in_float32=TaskFigures(accuracy=0.8, normalised_accuracy=0.7, answer_bits_per_byte=2.5),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    (folder / "train.txt").write_text(sentences(2000))
    for name, rows in (("pairs", PAIRS), ("choices", CHOICES)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def spec_of(folder: Path, **tasks: str) -> CorpusSpec:
    return CorpusSpec(files=(str(folder / "train.txt"),), tasks={name: str(folder / file) for name, file in tasks.items()})


@pytest.fixture(scope="module")
def blocks(folder: Path) -> TokenBlocks:
    return prepare_corpus(spec_of(folder, pairs="pairs.jsonl", choices="choices.jsonl"), 300, folder / "cache")


SHAPE = Architecture(
    vocab_size=300, hidden_size=32, num_unique_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=32
)
PROXY = ProxySpec(tokens=12_800, evaluation_tokens=4096)


@pytest.mark.slow
def test_a_finished_shape_answers_as_evaluate_has_it(folder: Path, blocks: TokenBlocks, tmp_path: Path) -> None:
    task = TrialTask(number=0, kind=Kind.SAMPLED, architecture=SHAPE, seed=0)
    record, network = ended(trial_in_stretches(task, blocks, PROXY, workload=LatencySpec()))
    assert record.training is not None
    assert network is not None
    assert blocks.tokenizer_file is not None
    save_weights(tmp_path / "weights", network)
    model = load_trained("a trial", SHAPE, tmp_path / "weights", blocks.tokenizer_file, PROXY.context_tokens)
    for name, score in record.training.tasks.items():
        wanted = task_result(name, scored(model, read_questions(name, folder / f"{name}.jsonl")))
        assert wanted.accuracy_normalised is not None
        assert (score.questions, score.chance, score.rounded) == (wanted.questions, wanted.chance, None)
        assert score.in_float32.accuracy == wanted.accuracy.value
        assert score.in_float32.normalised_accuracy == wanted.accuracy_normalised.value
        assert score.in_float32.answer_bits_per_byte == pytest.approx(wanted.bits_per_byte, rel=1e-6)
    assert list(record.training.tasks) == ["pairs", "choices"]
    assert record.training.tasks["pairs"].in_float32.accuracy > 0.7, "a trained network knows a sentence from its letters turned round"
    assert TrialRecord.from_dict(json.loads(json.dumps(record.as_dict()))) == record
    metrics = {point.name: point.value for point in trial_run(record).metrics}
    assert metrics["accuracy.pairs"] == record.training.tasks["pairs"].in_float32.accuracy


@pytest.mark.slow
def test_where_the_runtime_rounds_the_answers_are_of_the_rounded_network_too(blocks: TokenBlocks) -> None:
    task = TrialTask(number=0, kind=Kind.SAMPLED, architecture=SHAPE, seed=0)
    workload = LatencySpec(runtime="onnxruntime", precision="int4")
    record, _ = ended(trial_in_stretches(task, blocks, PROXY, workload=workload, activations="float32"))
    assert record.training is not None, record.reason
    score = record.training.tasks["pairs"]
    assert score.rounded is not None
    assert score.rounded.answer_bits_per_byte != score.in_float32.answer_bits_per_byte
    seen = Observed.of(record)
    assert find_objective("answer_bits_per_byte.pairs").value(seen) == score.rounded.answer_bits_per_byte
    assert {objective.name for objective in named_objectives(seen)} >= {"accuracy.pairs", "normalised_accuracy.choices"}


def test_objectives_of_a_task_are_named_by_it_and_need_it() -> None:
    accuracy = find_objective("accuracy.mine")
    assert (accuracy.better, accuracy.words.write(0.5)) == ("higher", "50.0%")
    values = {
        "name": "x",
        "corpus": {"files": "a.txt", "tasks": {"mine": "q.jsonl"}},
        "budget": {"parameters": 100_000},
        "search": {"trials": 1},
        "proxy": {"tokens": 1000},
    }
    study = parse_study(values | {"objectives": ["accuracy.mine", "total_ms"], "limits": {"accuracy.mine": 0.6}})
    assert study.problem.names == ("accuracy.mine", "total_ms")
    with pytest.raises(SpecError, match=r"the objective accuracy\.blimp needs the task blimp in corpus\.tasks, found mine; name it there"):
        parse_study(values | {"objectives": ["accuracy.blimp", "total_ms"]})
    with pytest.raises(SpecError, match=r"the objective acuracy\.mine"):
        parse_study(values | {"objectives": ["acuracy.mine", "total_ms"]})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"corpus\.tasks\.mine must be a file of questions, found none at .*; name another"),
        ("", r"mine\.jsonl must have a question in each line, found none; name another file"),
        ("{nothing", r"mine\.jsonl, line 1 must be a JSON object"),
        ('{"a": 1}\n', r"mine\.jsonl, line 1"),
    ],
)
def test_a_file_that_has_no_questions_is_said_before_anything_is_trained(
    content: str | None, sentence: str, folder: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "mine.jsonl").write_text(content)
    with pytest.raises(SpecError, match=sentence):
        require_corpus(spec_of(folder, mine=str(tmp_path / "mine.jsonl")), [300])


def test_too_many_questions_and_too_long_answers_are_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "long.jsonl").write_text(json.dumps({"good": "word " * 3000, "bad": "x"}) + "\n")
    with pytest.raises(SpecError, match=r"an answer must have 1 to 2048 tokens \(of corpus\.tasks\.mine, .*found \d+ in 'word"):
        prepare_corpus(spec_of(folder, mine=str(tmp_path / "long.jsonl")), 300, folder / "cache")
    monkeypatch.setattr(encoding, "MOST_ASKED", 10)
    with pytest.raises(SpecError, match=r"corpus\.tasks must have at most 10 questions together, found 11 and more; cut the files"):
        require_corpus(spec_of(folder, pairs="pairs.jsonl"), [300])


def test_a_directory_is_not_continued_with_other_questions(folder: Path, blocks: TokenBlocks, tmp_path: Path) -> None:
    records = [
        replace(record, training=replace(record.training, tasks={"pairs": replace(SCORE, questions_sha256=blocks.tasks["pairs"].sha256)}))
        if record.training
        else record
        for record in sample_records()
    ]
    blocks.require_same_tasks(records)
    (tmp_path / "pairs.jsonl").write_text(json.dumps(PAIRS[0]) + "\n")
    other = prepare_corpus(spec_of(folder, pairs=str(tmp_path / "pairs.jsonl")), 300, folder / "cache")
    with pytest.raises(SpecError, match=r"corpus\.tasks\.pairs must hold the questions that .* answered .*; restore the file"):
        other.require_same_tasks(records)


def test_blocks_from_the_cache_tell_trainings_apart_by_the_questions_without_encoding_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits, "SETTLED_SECONDS", -60.0)  # the files of this test are as good as old
    spec = spec_of(folder, pairs="pairs.jsonl")
    made = prepare_corpus(spec, 300, tmp_path / "cache")
    monkeypatch.setattr(prepare, "encoded_tasks", lambda *_: pytest.fail("the questions were encoded"))
    known = known_blocks(spec, 300, tmp_path / "cache")
    assert known is not None
    assert TrainingText.of(known) == TrainingText.of(made)
    assert TrainingText.of(known).tasks.keys() == {"pairs"}


def test_the_mean_of_seeds_has_the_mean_of_their_answers() -> None:
    first = next(record for record in sample_records() if record.finished and record.training)
    assert first.training is not None
    better = replace(SCORE, in_float32=replace(SCORE.in_float32, accuracy=0.9), rounded=SCORE.in_float32)
    shape = [replace(first, training=replace(first.training, tasks={"mine": score})) for score in (SCORE, better)]
    mean = mean_record(shape)
    assert mean.training is not None
    assert mean.training.tasks["mine"].in_float32.accuracy == pytest.approx(0.85)
    assert mean.training.tasks["mine"].rounded is None, "one seed was not rounded"


def test_the_report_has_a_table_of_each_task_with_a_star_at_chance() -> None:
    def judged(record: TrialRecord, accuracy: float) -> TrialRecord:
        if record.training is None or record.training.validation is None:
            return record
        score = replace(SCORE, in_float32=replace(SCORE.in_float32, accuracy=accuracy))
        return replace(record, training=replace(record.training, tasks={"legal <x>": score}))

    sure = report_page(sample_summary(), [judged(record, 0.8) for record in sample_records()], {})
    assert "the 50 questions of legal &lt;x&gt;, where guessing gives 50.0%" in sure
    assert "80.0% (69.3% to 87.7%)" in sure
    assert "80.0% (69.3% to 87.7%)*" not in sure
    assert "52.0% (40.6% to 63.2%)*" in report_page(sample_summary(), [judged(record, 0.52) for record in sample_records()], {})


def test_a_job_takes_the_questions_along_and_a_plan_counts_their_tokens(folder: Path, tmp_path: Path) -> None:
    (folder / "study.yaml").write_text(
        "name: told\ncorpus: {files: train.txt, tasks: {pairs: pairs.jsonl}}\nbudget: {parameters: 100_000}\nspace: {vocab_size: 300}\n"
        "proxy: {tokens: 1000}\nsearch: {trials: 1}\n"
    )
    assert load_study(folder / "study.yaml").corpus.tasks == {"pairs": f"{folder}/pairs.jsonl"}
    pack(folder / "study.yaml", tmp_path)
    assert {path.name for path in (tmp_path / "study").iterdir()} == {"study.yaml", "train.txt", "pairs.jsonl"}
    letters = sum(len(row["good"]) + len(row["bad"]) for row in PAIRS)
    assert tokens_asked({"pairs": str(folder / "pairs.jsonl")}) == pytest.approx(letters / 3, rel=0.05)


def test_letters_of_one_option_count_for_nothing_and_only_a_search_has_tasks(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "last.jsonl").write_text('{"context": "The end is", "continuation": " near"}\n')
    values = {
        "name": "x",
        "corpus": {"files": str(folder / "train.txt"), "tasks": {"last": str(tmp_path / "last.jsonl")}},
        "budget": {"parameters": 100_000},
        "search": {"trials": 1},
        "proxy": {"tokens": 1000},
        "space": {"vocab_size": 300},
    }
    said = r"normalised_accuracy\.last must be of a task with several options to a question, found one in each; take accuracy\.last"
    for more in ({"objectives": ["normalised_accuracy.last", "total_ms"]}, {"limits": {"normalised_accuracy.last": 0.3}}):
        with pytest.raises(SpecError, match=said):
            check(parse_study(values | more), trains_here=False)
    grid = read_yaml(ROOT / "studies" / "scaling-quick.yaml", "x", "x")
    with pytest.raises(SpecError, match=r"corpus\.tasks must be of a search, .* found them in a study with `scaling`; leave them out"):
        check(parse_study({**grid, "corpus": values["corpus"]}), trains_here=False)


def test_a_share_of_questions_is_expected_to_move_more_than_bits_do() -> None:
    problem = problem_of(["accuracy.mine", "answer_bits_per_byte.mine", "bits_per_byte"])
    assert [problem.expected_noise(place) for place in range(3)] == [ANSWER_NOISE, USUAL_NOISE, USUAL_NOISE]
