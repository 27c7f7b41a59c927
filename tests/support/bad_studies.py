"""Studies that cannot be run, one or more of each kind: a YAML text, the files beside it, and what the refusal must name."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.fakes import VALUES
from trials.corpus.tokenizer import train_tokenizer

TEXT = "".join(f"line {number} of a small text about shapes, widths and depths\n" * 20 for number in range(40))
SHAPE = {"vocab_size": 300, "hidden_size": 48, "num_unique_layers": 1, "num_attention_heads": 3, "num_key_value_heads": 1}
SHAPE |= {"head_dim": 16, "intermediate_size": 140}


@dataclass(frozen=True)
class BadStudy:
    """A study and its refusal."""

    text: str
    said: str
    """A part of the sentence: the key or place, and what was found."""
    files: Mapping[str, str | bytes | Callable[[Path], None]] = field(default_factory=dict)
    """Beside the study: their content, or what writes them."""

    def write(self, folder: Path) -> Path:
        """The study's file with the others beside it."""
        for name, content in self.files.items():
            if callable(content):
                content(folder / name)
            elif isinstance(content, bytes):
                (folder / name).write_bytes(content)
            else:
                (folder / name).write_text(content, encoding="utf-8")
        (folder / "study.yaml").write_text(self.text, encoding="utf-8")
        return folder / "study.yaml"


def values(**changes: Any) -> dict[str, Any]:
    """The small study with `a__b=value` for the key a.b; None takes a key away."""
    found = copy.deepcopy(VALUES)
    for path, value in changes.items():
        *sections, key = path.split("__")
        section = found
        for name in sections:
            section = section.setdefault(name, {})
        section[key] = value
        if value is None:
            del section[key]
    return found


def changed(said: str, files: Mapping[str, Any] | None = None, **changes: Any) -> BadStudy:
    """The small study with changes."""
    return BadStudy(yaml.safe_dump(values(**changes)), said, files or {})


def raw(line: str, said: str) -> BadStudy:
    """The small study with a line of YAML that no dumper writes."""
    return BadStudy(f"{yaml.safe_dump(VALUES)}{line}\n", said)


def _tokenizer(**changes: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        train_tokenizer([TEXT], 280, path)
        definition = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(definition | changes), encoding="utf-8")

    return write


def _folder(**files: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        for name, content in {"inner/.keep": "", **files}.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(content)

    return write


EMPTY = {
    "nothing": lambda path: path.mkdir(),
    "what says what it is": _folder(**{"README.md": "stories", ".gitattributes": "*.parquet", "LICENSE": "free"}),
    "empty files": _folder(**{"train.jsonl": "", "inner/test.txt": ""}),
    "hidden files": _folder(**{".cache/train.jsonl": '{"text": "a"}'}),
}
"""Folders of a dataset that have no text."""
OWN = {"corpus": {"files": ["text.txt"]}, "space__vocab_size": 280}
GIVEN = {"corpus": {"files": ["text.txt"], "tokenizer": "tokenizer.json"}, "space__vocab_size": 280}
BEYOND = [f"  k{number}: &k{number} [{', '.join([f'*k{number - 1}'] * 10)}]" for number in range(1, 8)]


def of_kind(**shape: Any) -> str:
    """A reference's file."""
    return yaml.safe_dump(SHAPE | shape)


BAD: dict[str, BadStudy] = {
    # what YAML's readers raise
    "a tag with the wrong text": raw("extra: !!bool foo", "line 47: 'foo', which is not true or false"),
    "a number without digits": raw("extra: 0x_", "'0x_', which is not a whole number"),
    "a number of 5,000 digits": raw(f"extra: {'1' * 5000}", "which is not a whole number"),
    "a number of 5,000 hexadecimal digits": raw(f"extra: 0x{'f' * 5000}", "a number of more than 300 digits"),
    "900 brackets": raw(f"extra: {'[' * 900}", "more than 32 levels within each other"),
    "aliases that explode": raw("\n".join(["extra:", "  k0: &k0 [1, 2]", *BEYOND]), "values once aliases are written out"),
    "an alias of what it stands in": raw("extra: &a [*a]", "an alias of what it stands in"),
    "a doubled key": raw("name: twice", "`name` stands there twice"),
    "bytes": raw("extra: !!binary aGVsbG8=", "could not determine a constructor"),
    "a character that YAML does not have": raw('extra: "\x07"', "U+0007"),
    "a file that is too large": raw(f"# {'x' * 70_000}", "more than 65,536 bytes"),
    "a mapping for a key": raw("? {a: 1}\n: 2", "found unhashable key"),
    "an open bracket": raw("extra: [1,", "cannot be read as YAML (line"),
    # what the sections refuse
    "an unknown key": changed("proxy.tokns is unknown; did you mean `tokens`?", proxy__tokns=1),
    "a very long key": raw(f"? {'x' * 3000}\n: 1", "is unknown; known are"),
    "a very long value": changed("found 'yyyy", search__sampler="y" * 10_000),
    "a sampler that is none": changed("'tpe' or 'random' or must be MODULE:CLASS", search__sampler="gp"),
    "a sampler's module that is missing": changed("found no my_samplers in ", search__sampler="my_samplers:Mine"),
    "options of a sampler of ours": changed("sampler_options must be left out where sampler is nsga2", search__sampler_options={"mu": 3}),
    "a date for a name": raw("latency: {runtime: 2024-13-45}", "found '2024-13-45'"),
    "an infinite number": changed("proxy.learning_rate must be a finite number", proxy__learning_rate=float("inf")),
    "a precision that is a list": changed(
        "budget.weight_bytes.precision must be one of", budget={"weight_bytes": {"target": 1e5, "precision": ["int8"]}}
    ),
    # counts and numbers beyond their bounds
    "a depth of a million": changed("times sharing.repeats must be at most 1,024, found 2,097,152", space__num_unique_layers=1 << 20),
    "a billion repeats": changed("sharing.repeats must be at most 1,024", space__sharing={"strategy": "immediate", "repeats": 10**9}),
    "depth times repeats": changed(
        "times sharing.repeats", space__num_unique_layers=100, space__sharing={"strategy": "reverse", "repeats": 64}
    ),
    "a billion threads": changed("workers.threads must be 'auto' or must be less than or equal to 1024", workers__threads=10**9),
    "a billion workers": changed("workers.count must be less than or equal to 1024", workers__count="1B"),
    "a billion GPUs": changed("workers.gpus must be less than or equal to 1024", workers__gpus=1e9),
    "1e308 tokens": changed("proxy.tokens must be less than or equal to 1000000000000000", proxy__tokens="1e308"),
    "1e308 tokens as a number": changed("proxy.tokens must be less than or equal to", proxy__tokens=1e308),
    "a budget of 1e308": changed("budget.parameters must be from 1e-30 to 1e+30", budget__parameters=1e308),
    "a tiny learning rate": changed("proxy.learning_rate must be at least 1e-30, found 1e-300", proxy__learning_rate=1e-300),
    "a deadline of 1e30 seconds": changed("workers.deadline_seconds must be less than or equal to", workers__deadline_seconds=1e30),
    "a ratio of 1e30": changed("must be from 1/1024 to 1024", space__num_attention_heads={"ratio_of_hidden": 1e30}),
    "a billion repeats of a measurement": changed("latency.repeats must be less than or equal to 1024", latency={"repeats": 10**9}),
    "a prompt of a billion tokens": changed("latency.prompt_tokens must be less than or equal to 1048576", latency={"prompt_tokens": "1B"}),
    "a negative seed": changed("search.seed must be greater than or equal to 0", search__seed=-1),
    "a hundred references": changed("references must have at most 16 items", references=["deep-thin"] * 100),
    "a reference of a billion blocks": changed(
        "must be at most 1,024", {"mine.yaml": of_kind(num_unique_layers=10**9)}, references=["mine.yaml"]
    ),
    "a reference of 10^40 heads": changed(
        "must be at most 1,073,741,824", {"mine.yaml": of_kind(num_attention_heads=10**40)}, references=["mine.yaml"]
    ),
    "a count in bytes": changed("proxy.tokens must be a valid integer", proxy__tokens="32MB"),
    "a grid of too many trainings": BadStudy(
        yaml.safe_dump(
            {key: VALUES[key] for key in ("name", "corpus")}
            | {"scaling": {"budgets": {"parameters": [10**5]}, "shapes": {"one": {}}, "tokens": [10_000], "seeds": 1000}}
            | {"space": {"vocab_size": 300}, "proxy": {}}
        ),
        "scaling must be at most 500 trainings, found 1,000",
    ),
    # shapes that cannot be had
    "a budget that no shape spends": changed("no shape of this space spends the budget", budget__parameters=1000),
    "limits that no shape keeps": changed("limits: no shape of the space keeps them", limits={"kv_cache_bytes": 1}),
    "an unknown reference": changed("references: depp-thin is unknown; did you mean `deep-thin`?", references=["depp-thin"]),
    "a reference that is not there": changed("is not a file", references=["missing.yaml"]),
    "a reference that is no shape": changed("hidden_size is missing", {"mine.yaml": "vocab_size: 300"}, references=["mine.yaml"]),
    "a reference that cannot be read": changed("cannot be read as YAML", {"mine.yaml": "a: !!int x"}, references=["mine.yaml"]),
    "a reference of too few tokens": changed(
        "references: mine (off budget) must have a vocab_size of at least 257", {"mine.yaml": of_kind(vocab_size=100)},
        references=["mine.yaml"],
    ),
    "a reference of a vocabulary that the tokenizer has not": changed(
        "references: mine (off budget) must have a vocab_size that a tokenizer of the corpus has (280), found 257",
        {"mine.yaml": of_kind(vocab_size=257), "text.txt": TEXT, "tokenizer.json": _tokenizer()},
        references=["mine.yaml"], **GIVEN,
    ),
    "a reference of a vocabulary that the text does not reach": changed(
        "references: mine (off budget): vocab_size must be reached by the corpus, found ",
        {"mine.yaml": of_kind(vocab_size=30_000), "text.txt": TEXT},
        references=["mine.yaml"], corpus={"files": ["text.txt"]}, space__vocab_size=280,
    ),
    "a grid that no shape spends": BadStudy(
        yaml.safe_dump(
            {key: VALUES[key] for key in ("name", "corpus")}
            | {"scaling": {"budgets": {"parameters": [1000]}, "shapes": {"one": {}}, "tokens": [10_000]}}
            | {"space": {"vocab_size": 300}, "proxy": {}}
        ),
        "scaling.shapes.one has no shape",
    ),
    # text that cannot be had
    "files that are not there": changed("corpus.files must name files, found none", corpus={"files": ["nowhere/*.txt"]}),
    "an empty file": changed("the corpus must hold text, found only empty files", {"text.txt": ""}, **OWN),
    "rows without text alone": changed(
        "must hold 3 different pieces of text (documents, or sections of 4 KiB), found 0",
        {"rows.jsonl": '{"text": ""}\n{"text": null}\n{"text": " "}\n'},
        corpus={"files": ["rows.jsonl"]},
    ),
    "a row of a number": changed(
        "line 2 must have a string `text`", {"rows.jsonl": '{"text": "a"}\n{"text": 3}\n'}, corpus={"files": ["rows.jsonl"]}
    ),
    "a compressed file that is cut": changed(
        "text.txt.gz must be a whole gzip file", {"text.txt.gz": gzip.compress(TEXT.encode())[:-20]}, corpus={"files": ["text.txt.gz"]}
    ),
    "a compressed file that grows without end": changed(
        "at most 200 times its compressed size", {"a.txt.gz": gzip.compress(b" " * (10 << 20))}, corpus={"files": ["a.txt.gz"]}
    ),
    "a row of separated values without its end": changed(
        "line 2 must end a row of separated values", {"rows.csv": 'text\n"open\n'}, corpus={"files": ["rows.csv"]}
    ),
    "a row that is no JSON": changed("line 1 must be one JSON object", {"rows.jsonl": "{text: 1}\n"}, corpus={"files": ["rows.jsonl"]}),
    "a text that is not UTF-8": changed("must be UTF-8, found byte 0xff", {"text.txt": b"abc\xff" * 100}, **OWN),
    "a text of one piece": changed("the corpus must hold 3 different pieces", {"text.txt": "short"}, **OWN),
    "a text that a vocabulary is too large for": changed(
        "vocab_size must be reached by the corpus", {"text.txt": TEXT}, **OWN | {"space__vocab_size": 1500}
    ),
    "a text that a context is too long for": changed(
        "the train split must hold 100001 tokens", {"text.txt": TEXT}, proxy__context_tokens=100_000, **OWN
    ),
    "a validation set that is not there": changed(
        "corpus.validation.code must name files", {"text.txt": TEXT},
        **OWN | {"corpus": {"files": ["text.txt"], "validation": {"code": "no.txt"}}},
    ),
    **{
        f"a dataset's folder with {what}": changed("a folder with files of text", {"stories": folder}, corpus={"dataset": "./stories"})
        for what, folder in EMPTY.items()
    },
    "a dataset that is not there": changed("corpus.dataset must be a folder or a name on the hub", corpus={"dataset": "./nothing"}),
    # tokenizers that cannot be used
    "a tokenizer that is not there": changed("corpus.tokenizer must name a tokenizer.json", {"text.txt": TEXT}, **GIVEN),
    "a tokenizer that is no JSON": changed("found no JSON (line 1", {"text.txt": TEXT, "tokenizer.json": "{"}, **GIVEN),
    "a tokenizer that is something else": changed("found other JSON", {"text.txt": TEXT, "tokenizer.json": "[1]"}, **GIVEN),
    "a tokenizer of another size": changed(
        "space.vocab_size must be that of the corpus' tokenizer", {"text.txt": TEXT, "tokenizer.json": _tokenizer()},
        **GIVEN | {"space__vocab_size": 270},
    ),
    "a tokenizer without an end of text": changed(
        "must have a special token that ends a document", {"text.txt": TEXT, "tokenizer.json": _tokenizer(added_tokens=[])}, **GIVEN
    ),
    "a tokenizer that its library does not read": changed(
        "must be one that the library tokenizers reads",
        {"text.txt": TEXT, "tokenizer.json": _tokenizer(post_processor={"type": "None"})}, **GIVEN,
    ),
    # what measures
    "shapes that the runtime cannot hold": changed(
        "latency: no shape of the space can be timed in llama.cpp", latency={"runtime": "llama.cpp"}, space__mlp="relu"
    ),
    "a device's table that is not there": changed("is not a file; name a table", search__latency_table="./table.jsonl"),
    "a device's table that holds none": changed(
        "table.jsonl:1 does not hold what a device's table", {"table.jsonl": "[]\n"}, search__latency_table="./table.jsonl"
    ),
}  # fmt: skip
