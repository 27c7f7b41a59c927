"""What travels to a cluster with a long training: its configuration, or its study's records; its text, tokenizer and recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from search_space.describe import is_file_name
from search_space.errors import SpecError, quoted
from trials.jobs.shipment import all_named, one_of_each, texts_of, tokenizer_files
from trials.study.corpus_spec import EMBEDDED, YAML_ENDS, CorpusSpec
from trials.study.directory import TOKENIZERS
from trials.study.load_study import stated_corpus
from trials.study.origin import ORIGIN
from trials.study.yaml_file import read_yaml
from trials.tracking.mlflow_location import PLACE

OF_A_STUDY = ("*.jsonl", "*.json", "*.yaml", f"{TOKENIZERS}/*.json")
"""What of a study's directory says what a trial is and what is foreseen of it."""

RECIPE_FOLDER = "recipes-of-jobs"
"""The folder of a job's recipe."""


def is_study_file(path: Path) -> bool:
    """Whether a path is a study's YAML, and no configuration."""
    if not path.name.endswith(YAML_ENDS) or not path.is_file():
        return False
    values = read_yaml(path, "name a study's YAML, its directory, or a configuration", "see docs/winners.md")
    return isinstance(values, Mapping) and {"name", "corpus"} <= values.keys() and bool({"budget", "scaling"} & values.keys())


def study_there(directory: Path) -> tuple[str, dict[str, Path]]:
    """The name that a study's directory has in the job's folder, and its files by their names there.

    Where MLflow has its runs is left out, for a database in that folder would be deleted with it; so is where the study's file lies here.
    """
    name = directory.resolve().name
    found = (path for pattern in OF_A_STUDY for path in sorted(directory.glob(pattern)))
    return name, {f"{name}/{path.relative_to(directory)}": path for path in found if path.is_file() and path.name not in (PLACE, ORIGIN)}


def configuration_there(file: Path) -> tuple[str, dict[str, Path]]:
    """The name that a configuration's file has in the job's folder, the same wherever it is submitted from."""
    name = f"{file.parent.resolve().name or 'shape'}/{file.name}"
    return name, {name: file}


def recipe_there(recipe: str) -> tuple[str, dict[str, Path]]:
    """What the job calls a recipe: a published one by its name, a file by its own, in a folder where no study or text has that name."""
    name = f"{RECIPE_FOLDER}/{Path(recipe).name}"
    return (name, {name: Path(recipe)}) if is_file_name(recipe) else (recipe, {})


def text_there(data: Sequence[str], tokenizer: str | None) -> tuple[Sequence[str], dict[str, Path]]:
    """What the job calls the text of `--data`, and the files that it and `--tokenizer` name, by their names there.

    An absolute path is one of the cluster, which is said. Raises SpecError for one that leads out of the working directory, or names none.
    """
    tokenizers = {} if tokenizer is None else dict(tokenizer_files("--tokenizer", tokenizer, Path.cwd()))
    if list(data) == [EMBEDDED]:
        return data, tokenizers
    if len(data) == 1 and data[0].endswith(YAML_ENDS):
        file = Path(data[0])
        texts = dict(texts_of(stated_corpus(file), file.resolve().parent))
        return [file.name], one_of_each({file.name: file}, texts, tokenizers)
    return data, one_of_each(dict(all_named("--data", data, Path.cwd())), tokenizers)


def require_no_relative_text(corpus: CorpusSpec, study: str) -> None:
    """Raise SpecError where text or tokenizers of a study are named relative to its YAML: a job is sent the directory without them."""
    text = corpus.without_tasks
    named = [name for names in (text.text_files | text.local_names).values() for name in names]
    if relative := next((name for name in named if not Path(name).is_absolute()), None):
        raise SpecError(
            f"--data must name the YAML of {study}, beside which its text {quoted(relative)} lies, found none; add --data STUDY.yaml"
        )
