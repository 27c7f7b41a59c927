"""A scaling fit as one self-contained page: how well it predicts, what it predicts, its parameters, its pictures, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.law_report.law_figures import best_allocation, isoflop_figure, points_figure, scaling_figures
from analysis.law_report.law_tables import backtest_table, parabolas_table, parameters_table, predictions_table
from analysis.laws.accuracy import accuracy_sentences
from analysis.laws.fit_law import Study, predict_point
from analysis.laws.fit_result import FitResult
from analysis.laws.isoflop import fit_isoflop
from analysis.laws.run_table import columns_sentences
from analysis.records.files import write_whole
from analysis.report.figures import picture, plotly_script
from analysis.report.html import Html, element, paragraphs, sections_page, with_code
from analysis.statistics.intervals import percentile_interval
from analysis.text import words
from search_space.errors import SpecError, refused

AHEAD = (1.0, 3.0, 10.0)
"""Times the largest run's FLOPs at which a study's report says what to expect."""
FIT_SECTIONS = {
    "found": "How well it predicts",
    "predictions": "Predictions for larger runs",
    "law": "The law",
    "losses": "The runs and the law",
    "shape": "Depth against width",
    "parabolas": "Sizes at equal FLOPs",
    "residuals": "Residuals of the law",
    "known": "What was left out, and what to know",
}
CAPTIONS = {
    "loss_flops": "Each point is a run. The line is the law where size and tokens are shared out best, so that runs lie on it or above; "
    "the band is where 90 % of new runs are expected there: the law's own doubt, its rivals, the residual and what the backtests missed.",
    "loss_params": "The law at the runs' token counts, or at the 10th, 50th and 90th percentile of them where they are many; a point has "
    "the colour of the nearest line.",
    "loss_tokens": "The law at the runs' sizes, or at the 10th, 50th and 90th percentile of them where they are many; a point has the "
    "colour of the nearest line.",
    "residuals": "Observed over predicted loss. A trend or a bow here is what the law does not know, and what an extrapolation will miss.",
    "intervals": "Each bar is the 90 % interval of a parameter over its fitted value, from refits under other weights of whole trainings.",
    "backtest": "Each row hides the largest runs and predicts them from the rest. Right of the line the law predicted too high a loss.",
    "shape": "Lines of equal predicted loss; the points are the shapes that were trained.",
    "isoflop": "Each curve is a parabola of log loss in log N through the runs of one budget; crosses are their minima.",
}

LAW_AT_RUNS = "Each point is a run, each cross what the law says of it."


def fit_page(title: str, answered: FitResult) -> str:
    """The whole page of a fit; `title` says what was fitted, such as the table's file name."""
    answer = answered.data
    lead = f"Scaling law {answer['form']} fitted to {len(answered.runs):,} losses of {words.plural(answer['trainings'], 'training')}."
    return sections_page(title, lead, FIT_SECTIONS, fit_parts(answered), plotly_script())


def write_page(path: Path, page: str) -> Path:
    """Write a page in one step and return its path; raises SpecError where its folder cannot be written."""
    try:
        path.parent.stat()  # a folder that a person names and that is not there is a slip; none is made
        return write_whole(path, page.encode())
    except OSError as error:
        raise refused(error, path, "be a file that can be written", "name another") from None


def fit_parts(answered: FitResult) -> dict[str, list[Html]]:
    """The parts of a page about a fit, by identity; empty where the fit has none."""
    answer, study = answered.data, answered.study
    if study is None:
        return {
            "found": [element("p", "Parabolas give the best size for a budget and no loss, so there is no backtest.")],
            "law": [element("p", _formula(answer)), parameters_table(answer)],
            "parabolas": _parabolas(answered),
            "losses": [picture("points", points_figure(answered.runs), "Each point is a run.")],
            "known": known([*columns_sentences(answer["columns"]), *answer["notes"]]),
        }
    figures = scaling_figures(study)
    drawn = {name: picture(name, figure, CAPTIONS[name]) for name, figure in figures.items()}
    losses = [drawn[name] for name in drawn if name.startswith("loss_")]
    backtest = [backtest_table(answer["backtest"]), drawn["backtest"]] if study.cuts else []
    return {
        "found": [element("p", element("strong", sentence_html(answer["backtest"]["headline"]))), *backtest],
        "predictions": _predictions(study, answer),
        "law": [element("p", _formula(answer)), parameters_table(answer), drawn["intervals"], *_derived(answer)],
        "losses": losses
        or [picture("points", points_figure(answered.runs, study.refits.fit.predict(answered.runs.variables)), LAW_AT_RUNS)],
        "shape": [drawn["shape"]] if "shape" in drawn else [],
        "parabolas": _parabolas(answered),
        "residuals": [drawn["residuals"]],
        "known": known([*columns_sentences(answer["columns"]), *answer["notes"]]),
    }


def known(notes: Sequence[str]) -> list[Html]:
    """Notes as sentences, a paragraph each."""
    return [paragraphs(with_code(sentence_html(note)) for note in notes)] if notes else []


def sentence_html(text: str) -> str:
    """A note with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def expected_ahead(study: Study) -> list[dict[str, Any]]:
    """Predictions at the best allocation of the largest run's FLOPs and of some times as many; those too far outside are left out."""
    if set(study.form.variables) != {"params", "tokens"}:
        return []
    best = best_allocation(study, study.runs.variables["flops"].max() * np.array(AHEAD))
    found = []
    for place in range(len(AHEAD)):
        try:
            found.append(predict_point(study, {name: float(values[place]) for name, values in best.items()}))
        except SpecError:
            continue
    return found


def _predictions(study: Study, answer: Mapping[str, Any]) -> list[Html]:
    asked = answer["predictions"]
    told = [predictions_table(asked, "What was asked for.")] if asked else []
    if answer["allocation"] is None:
        return told  # where the exponents are open, so is the best allocation
    ahead = expected_ahead(study)
    caption = (
        f"At {words.joined([f'{times:g}' for times in AHEAD])} times the largest run's FLOPs, size and tokens shared out as the law has it "
        "best; rows too far outside the runs are left out."
    )
    return [*told, predictions_table(ahead, caption)] if ahead else told


def _derived(answer: Mapping[str, Any]) -> list[Html]:
    texts = []
    if answer["allocation"]:
        low, high = answer["allocation"]["interval"]
        texts.append(f"The best N grows as FLOPs to the {answer['allocation']['exponent']:.3f} (90 %: {low:.3f} to {high:.3f}).")
    if answer["repeat_worth"]:
        low, high = answer["repeat_worth"]["interval"]
        texts.append(
            f"A block that is executed again is worth {answer['repeat_worth']['exponent']:.2f} of a new one, as an exponent "
            f"(90 %: {low:.2f} to {high:.2f}; 1 is as good as a new block, 0 adds nothing)."
        )
    texts += [effect["sentence"] for effect in answer["effects"]]
    texts += accuracy_sentences(answer["accuracy"]) if "accuracy" in answer else []
    return known(texts)


def _parabolas(answered: FitResult) -> list[Html]:
    """The figure of the parabolas, also where another form was asked for, if the runs have budgets."""
    found = answered.isoflop
    try:
        found = found or fit_isoflop(answered.runs)
    except SpecError:
        return []
    exponent, ends = found.parameters["a"], percentile_interval(found.draws["a"])
    text = f"The sizes of the minima grow as FLOPs to the {exponent:.3f} (90 %: {ends[0]:.3f} to {ends[1]:.3f})."
    figure = picture("isoflop", isoflop_figure(found, answered.runs), CAPTIONS["isoflop"])
    return [element("p", text), figure, parabolas_table(found), *([] if answered.isoflop else known(found.notes))]


def _formula(answer: Mapping[str, Any]) -> Html:
    return Html(f"{element('code', answer['formula'])} ({element('span', answer['source'])})")
