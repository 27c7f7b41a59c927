"""Files of every kind that archfront reads from people or finds in a study's directory, each with the reader that a command has for it."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

import archfront
from analysis.latency.device_table import Row, append_row, read_table
from analysis.latency.feature_table import read_features
from analysis.law_report.law_text import loss_rows
from analysis.laws.fit_law import load_runs
from analysis.laws.options import options_from
from analysis.records.json_writer import json_of
from analysis.records.record import FINALS, RECORDS, append, read_finals, read_records
from search_space.errors import SpecError
from tests.support.bad_studies import TEXT, values
from tests.support.fuzzing import ROOT, Subject
from tests.support.planted_device import planted_latency
from tests.support.sample_study import SPACE, sample_finals, sample_records
from trials.commands.results import print_result
from trials.corpus.tokenizer import train_tokenizer
from trials.plans import feasible_here  # noqa: F401  what readers import on their way takes seconds, which are not theirs
from trials.plans.check_study import check, check_ablation
from trials.reporting.stored_study import read_study, report_study, summarise
from trials.study.ablation_spec import is_ablation, load_ablation
from trials.study.load_study import STUDY, load_study
from trials.tracking.mlflow_location import PLACE, location_of
from trials.trial.shape_file import read_shape_file

READY = sorted((ROOT / "studies").rglob("*.yaml"))
STORED = ROOT / "tests/data/schema-1"
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32_000, "hidden_size": 576, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 1536, "head_dim": 64, "hidden_act": "silu",
    "tie_word_embeddings": True, "rms_norm_eps": 1e-05, "rope_theta": 10_000.0, "max_position_embeddings": 2048, "attention_bias": False,
    "rope_scaling": {"factor": 8.0, "rope_type": "llama3"}, "torch_dtype": "bfloat16", "bos_token_id": 1,
}  # fmt: skip


def subjects(folder: Path) -> list[Subject]:
    """Every kind of file, each in a folder of its own below this one."""
    made = [*_studies(folder), *_directories(folder), *_tables(folder), *_shapes(folder), *_texts(folder)]
    for subject in made:
        subject.path.parent.mkdir(parents=True, exist_ok=True)
        subject.path.write_bytes(subject.content)
    return made


def gate(path: Path) -> None:
    """What `plan` and `run` ask of a study's file before anything heavy is imported."""
    if is_ablation(path):
        ablation = load_ablation(path)
        check_ablation(ablation, tuple(ablation.scales))
    else:
        check(load_study(path))


def command(*words: str) -> Callable[[], str]:
    """A verb in this process: what it prints to stdout; raises SpecError with its sentence where it refuses."""

    def read() -> str:
        printed, said = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
            code = archfront.main(words)
        if code == 2:
            raise SpecError(said.getvalue().strip())
        if code:
            raise AssertionError(f"exit code {code}: {said.getvalue()[:300]}")
        return printed.getvalue()

    return read


def _nothing(read: Callable[[], object]) -> Callable[[], None]:
    def done() -> None:
        read()

    return done


def _studies(folder: Path) -> Iterator[Subject]:
    for file in READY:
        path = folder / "studies" / file.name
        read = _nothing(lambda path=path: gate(path))  # type: ignore[misc]
        yield Subject(f"study {file.stem}", "yaml", file.read_bytes(), path, read, ("plan", str(path), "--json"))
    small = folder / "small"
    small.mkdir(parents=True)
    (small / "text.txt").write_text(TEXT, encoding="utf-8")
    (small / "code.txt").write_text(TEXT, encoding="utf-8")
    (small / "mine.yaml").write_text(yaml.safe_dump(sample_records(2)[0].architecture.as_dict() | {"vocab_size": 280}), encoding="utf-8")
    full = values(
        corpus={"files": ["text.txt"], "validation": {"code": "code.txt"}}, space__vocab_size=280, references=["deep-thin", "mine.yaml"],
        objectives=["bits_per_byte", "weight_bytes", "bits_per_byte.code"], limits={"peak_memory_bytes": "2GB"},
    )  # fmt: skip
    yield Subject("study small", "yaml", yaml.safe_dump(full).encode(), small / "study.yaml", _nothing(lambda: gate(small / "study.yaml")))


def _directories(folder: Path) -> Iterator[Subject]:
    sample = folder / "sample"
    sample.mkdir(parents=True)
    records = sample_records()
    for record in records:
        append(sample, record)
    for final in sample_finals(records).values():
        append(sample, final)
    for kept, read in ((RECORDS, read_records), (FINALS, read_finals)):
        content = (sample / kept).read_bytes()
        yield Subject(f"{kept} alone", "jsonl", content, sample / kept, _nothing(lambda read=read: read(sample)))  # type: ignore[misc]
    for kind in ("search", "scaling"):
        for file in sorted((STORED / kind).iterdir()):
            if file.is_dir():
                continue
            copy = folder / f"stored {kind} {file.name}"
            shutil.copytree(STORED / kind, copy)
            form = "yaml" if file.suffix == ".yaml" else "jsonl"
            yield Subject(f"{kind} {file.name}", form, file.read_bytes(), copy / file.name, lambda copy=copy: told(copy))  # type: ignore[misc]
    place = folder / "place"
    place.mkdir()
    location_of(place, None)
    yield Subject("tracking", "json", (place / PLACE).read_bytes(), place / PLACE, _nothing(lambda: location_of(place, None)))


def told(directory: Path) -> str:
    """What `report --json` prints of a directory, its page written beside; of a scaling study its losses, for a fit takes seconds."""
    stored = read_study(directory)
    if stored.study.scaling is not None:
        summarise(stored)
        return json_of(loss_rows(stored.records))
    report_study(stored)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        print_result(stored, as_json=True)
    return printed.getvalue()


def _tables(folder: Path) -> Iterator[Subject]:
    runs = (ROOT / "tests/data/chinchilla_epoch.csv").read_bytes()
    names, *rows = runs.decode().split()
    lines = "".join(json.dumps(dict(zip(names.split(","), row.split(","), strict=True))) + "\n" for row in rows).encode()
    for name, form, content in (
        ("runs.csv", "csv", runs),
        ("runs.jsonl", "jsonl", lines),
        ("runs.tsv", "bytes", runs.replace(b",", b"\t")),
    ):
        path = folder / name
        read = _nothing(lambda path=path: load_runs(path, options_from({})))  # type: ignore[misc]
        yield Subject(name, form, content, path, read, ("fit", str(path), "--json", "--refits", "200"))
    device = folder / "device.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    for shape in SPACE.sample(12):
        append_row(device, Row(architecture=shape, role="fit", latency=planted_latency(shape)))
    yield Subject("device.jsonl", "jsonl", device.read_bytes(), device, _nothing(lambda: read_table(device).header))
    features = folder / "features.csv"
    heads = "hidden_size,num_hidden_layers,num_attention_heads,intermediate_size,latency_ms\n"
    cells = "".join(f"{64 * n},{n},{n},{128 * n},{n * n + 0.5}\n" for n in range(1, 41))
    fitted = ("profile-device", "--fit", str(features), "--json", "--seeds", "1")
    yield Subject("features.csv", "csv", (heads + cells).encode(), features, _nothing(lambda: read_features(features)), fitted)


def _shapes(folder: Path) -> Iterator[Subject]:
    config, shape = folder / "config.json", folder / "shape.yaml"
    told_of = ("describe", str(config), "--json")
    yield Subject("config.json", "json", json.dumps(CONFIG, indent=1).encode(), config, command(*told_of), told_of)
    own = yaml.safe_dump(sample_records(2)[0].architecture.as_dict()).encode()
    yield Subject("shape.yaml", "yaml", own, shape, _nothing(lambda: read_shape_file(shape)))


def _texts(folder: Path) -> Iterator[Subject]:
    """A study of a small text whose corpus or tokenizer is changed."""
    rows = "".join(json.dumps({"text": line}) + "\n" for line in TEXT.splitlines()[:400]).encode()
    for name, form, corpus in (
        ("rows.jsonl", "jsonl", {"files": ["rows.jsonl"]}),
        ("text.txt", "bytes", {"files": ["text.txt"]}),
        ("tokenizer.json", "json", {"files": ["text.txt"], "tokenizer": "tokenizer.json"}),
    ):
        home = folder / f"text {name}"
        home.mkdir(parents=True)
        (home / "text.txt").write_text(TEXT, encoding="utf-8")
        (home / "rows.jsonl").write_bytes(rows)
        train_tokenizer([TEXT], 280, home / "tokenizer.json")
        (home / "study.yaml").write_text(yaml.safe_dump(values(corpus=corpus, space__vocab_size=280)), encoding="utf-8")
        content, study = (home / name).read_bytes(), home / STUDY
        yield Subject(name, form, content, home / name, _nothing(lambda study=study: gate(study)))  # type: ignore[misc]
