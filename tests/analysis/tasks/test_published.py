"""Figures that others published: each has a source, a grade that is explained, and the size of its shape."""

from __future__ import annotations

from analysis.tasks.published import published_figures
from analysis.terminal.task_text import published_text
from search_space.cost import parameters
from search_space.describe import named_shape


def test_every_figure_has_its_source_and_a_grade_that_is_explained() -> None:
    found = published_figures()
    assert "arXiv 2402.14905" in found.source
    assert {row.grade for row in found.rows} == found.grades.keys()
    assert all(25 < row.mean_accuracy_percent < 100 and row.training_tokens >= 25 * 10**10 for row in found.rows)
    assert len({(row.of, row.model) for row in found.rows}) == len(found.rows)


def test_sizes_are_those_of_the_shapes() -> None:
    named = [row for row in published_figures().rows if row.shape is not None]
    assert len(named) == 7
    for row in named:
        assert row.shape is not None
        assert row.parameters == parameters(named_shape(row.shape))


def test_the_text_says_that_they_were_published_and_not_measured() -> None:
    text = published_text(published_figures())
    assert text.splitlines()[0].startswith("published, not measured here")
    assert all(row.model in text for row in published_figures().rows)
    assert "C: one transcription of the paper" in text
