"""Every name that a study may choose is one that something here goes by, and the other way round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError, create_model

from analysis.laws.fit_law import forms_by_name
from analysis.laws.options import FORMS
from search_space.cost import BITS_PER_WEIGHT
from trials.catalogue.runtimes import RUNTIMES
from trials.commands.verbs import parser
from trials.search.samplers import SAMPLERS
from trials.study.ablation_spec import AblationSpec
from trials.study.search_spec import AUTO
from trials.study.section import OneOf
from trials.study.spec import DEFAULT_RATES, StudySpec
from trials.training.lightning_loop import LIGHTNING_PRECISIONS
from trials.training.optimizers import OPTIMIZERS
from trials.training.parametrization import FOLLOWED
from trials.training.schedules import SCHEDULES

TABLES = {
    "optimizers": tuple(OPTIMIZERS),
    "schedules": tuple(SCHEDULES),
    "parametrizations": tuple(FOLLOWED),
    "samplers": tuple(SAMPLERS),
    "precisions of a training": tuple(LIGHTNING_PRECISIONS),
    "precisions of a training, or auto": (AUTO, *LIGHTNING_PRECISIONS),
    "laws": FORMS,
    "early stopping": ("none", "front"),  # off or on: a table of one
}


def literals(annotation: Any) -> Iterator[tuple[str, ...]]:
    """The words of every `Literal` in a type that has several."""
    if get_origin(annotation) is Literal:
        words = tuple(word for word in get_args(annotation) if isinstance(word, str))
        if len(words) > 1:
            yield words
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for field in annotation.model_fields.values():
            yield from literals(field.annotation)
    else:
        for part in get_args(annotation):
            yield from literals(part)


def test_every_literal_of_a_study_has_the_names_of_its_table() -> None:
    tables = [sorted(names) for names in TABLES.values()]
    for words in {*literals(StudySpec), *literals(AblationSpec)}:
        assert sorted(words) in tables, (
            f"a key of a study may be {' or '.join(words)}, which are the names of no table; add what is missing"
        )


def test_what_is_told_of_an_optimizer_is_told_of_each() -> None:
    assert set(OPTIMIZERS) == set(DEFAULT_RATES)


def test_every_law_has_a_form_or_is_read_off_isoflop_curves() -> None:
    assert set(FORMS) == {*forms_by_name(), "isoflop"}


def test_every_precision_of_a_runtime_is_one_that_a_cost_is_known_for() -> None:
    assert {name for row in RUNTIMES.values() for name in row.precisions} == set(BITS_PER_WEIGHT)


def test_a_name_of_a_table_is_refused_as_a_literal_is() -> None:
    names = ("one", "two", "three")
    said = []
    for kind in (Literal["one", "two", "three"], Annotated[str, OneOf(names)]):
        model: type[BaseModel] = create_model("Made", key=(kind, ...))  # type: ignore[arg-type]
        assert model(key="two").model_dump() == {"key": "two"}
        with pytest.raises(ValidationError) as caught:
            model(key="four")
        said.append([(error["type"], error["msg"], error["loc"]) for error in caught.value.errors()])
    assert said[0] == said[1]


def test_the_command_line_knows_the_same_runtimes_and_precisions() -> None:
    verbs = next(action for action in parser()._actions if action.choices and "latency" in action.choices).choices
    assert isinstance(verbs, dict)
    choices = {action.dest: action.choices for action in verbs["latency"]._actions}
    assert tuple(choices["runtime"]) == tuple(RUNTIMES)
    assert tuple(choices["precision"]) == tuple(BITS_PER_WEIGHT)
