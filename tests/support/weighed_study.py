"""A study's directory with its text and trials of several kinds, none of them trained: enough for whatever reads weights again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from analysis.records.record import Kind, append
from search_space.architecture import Architecture
from tests.support.sample_network import spread_out
from tests.support.sample_study import sample_records
from trials.corpus.blocks import TokenBlocks
from trials.corpus.prepare import prepare_corpus
from trials.network.weights import save_weights
from trials.study.directory import tokenizer_file, weights_file
from trials.study.load_study import load_study

ROOT = Path(__file__).resolve().parents[2]


def weighed_study(directory: Path, shapes: Sequence[Architecture], context_tokens: int = 32) -> TokenBlocks:
    """Make the directory of a study whose trials, one a shape, have the weights of networks that say something of every token."""
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(40):
        (directory / f"{number}.txt").write_text("".join(f"def front_{number}(points): return points[{line}]\n" for line in range(200)))
    values = yaml.safe_load((ROOT / "studies" / "quickstart.yaml").read_text())
    values["corpus"] = {"files": [str(directory / "*.txt")]}
    values["proxy"] |= {"context_tokens": context_tokens, "evaluation_tokens": 2048}
    (directory / "study.yaml").write_text(yaml.safe_dump(values))
    blocks = prepare_corpus(load_study(directory / "study.yaml").corpus, shapes[0].vocab_size)
    assert blocks.tokenizer_file is not None
    for target in (tokenizer_file(directory, shapes[0].vocab_size), weights_file(directory, 0)):
        target.parent.mkdir(exist_ok=True)
    tokenizer_file(directory, shapes[0].vocab_size).write_bytes(blocks.tokenizer_file.read_bytes())
    for record, shape in zip(sample_records(len(shapes)), shapes, strict=True):
        assert record.training is not None
        training = replace(record.training, corpus_sha256=blocks.corpus_sha256)
        append(directory, replace(record, architecture=shape, training=training, kind=Kind.SAMPLED, name=None, replicates=None))
        save_weights(weights_file(directory, record.number), spread_out(shape))
    return blocks
