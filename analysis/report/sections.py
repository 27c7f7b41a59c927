"""The sections of a report that are one function each: what was asked and spent, whether the ranking holds, and signs of trouble."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.fidelity.forecast import FrontForecast, forecast_sentences
from analysis.fidelity.rank_validity import Validity, validity_sentences
from analysis.fronts.front import Front
from analysis.records.health_checks import HEALTH_CHECKS, check_results, check_sentence, failed_checks
from analysis.records.record import Kind, TrialRecord
from analysis.records.summary import StudySummary, totals
from analysis.report.attempts_part import again_sentence
from analysis.report.figures import forecast_figure, picture
from analysis.report.html import Html, element, facts, folded, paragraphs, table
from analysis.report.plan_part import plan_part
from analysis.text import words
from analysis.text.passes import passes_sentences


def asked_facts(summary: StudySummary, records: Sequence[TrialRecord]) -> list[Html]:
    """What the study was asked, and its YAML."""
    references = [f"{r.name}: {r.architecture.label}, {r.costs.parameters:,} parameters" for r in records if r.kind is Kind.REFERENCE]
    measured = next((record.latency for record in records if record.latency is not None), None)
    rows = {
        "Grid" if summary.law else "Budget": summary.budget,
        "Space": "" if summary.law else summary.space,
        "Trainings" if summary.law else "Search": f"{words.plural(summary.planned_trials, 'training' if summary.law else 'shape')}, "
        f"{summary.search}",
        "References": "\n".join(references),
        "Corpus": "\n".join([summary.corpus, *passes_sentences(records)]),
        "Recipe": summary.recipe,
        "Latency": summary.latency,
    }
    if measured is not None:
        pinned = "" if measured.pinned_cpus is None else f", held to processor {words.joined([*map(str, measured.pinned_cpus)])}"
        rows["Protocol"] = (
            f"{measured.protocol}: {measured.runtime} {measured.runtime_version}, {measured.precision} on {measured.device}, "
            f"{words.plural(measured.threads, 'thread')}{pinned}, batch 1, {words.plural(measured.repeats, 'repeat')}"
        )
    yaml = folded("The study as it was given", element("pre", summary.study_yaml))
    return [facts({name: text for name, text in rows.items() if text}), yaml]


def cost_facts(summary: StudySummary, records: Sequence[TrialRecord]) -> list[Html]:
    """What its trials cost; nothing where there are none."""
    if not records:
        return []
    spent = totals(records)
    counted = "" if spent.trained == spent.trials else f" (of the {spent.trained} trials that trained here and left numbers)"
    taken = {"Taken over": f"{words.plural(spent.reused, 'training')} finished before, not paid again"} if spent.reused else {}
    again = again_sentence(summary.attempts)
    return [
        facts(
            {
                "Trials": _planned(summary, records),
                **({} if again is None else {"Run again": again}),
                "Training": f"{words.quantity(spent.tokens)} tokens, {words.quantity(spent.flops)} FLOPs in closed form{counted}",
                "Processor": f"{words.duration(spent.process_seconds)} of core time in training and evaluation",
                **taken,
                "Time": f"{words.duration(spent.elapsed_seconds)} from the first start to the last end, interruptions included; "
                f"{words.duration(spent.trial_seconds)} with the trials end to end",
            }
        ),
        *([] if summary.outlook is None else plan_part(summary.outlook)),
    ]


def _planned(summary: StudySummary, records: Sequence[TrialRecord]) -> str:
    if summary.law:
        return f"{len(records)} of {words.plural(summary.planned_trials, 'planned training')}"
    references = sum(record.kind is Kind.REFERENCE for record in records)
    again = sum(record.replicates is not None for record in records)
    shapes = len(records) - references - again
    fewer = "" if shapes >= summary.planned_trials else f"; {words.plural(summary.planned_trials, 'shape')} were asked for"
    return f"{words.trials_text(shapes, references, again)}{fewer}"


def environment_facts(summary: StudySummary, records: Sequence[TrialRecord]) -> list[Html]:
    """What a repetition would need to know, and where trials ran."""
    machines: dict[str, int] = {}
    for record in records:
        described = ", ".join(f"{name} {value}" for name, value in record.machine.items())
        machines[described] = machines.get(described, 0) + 1
    rows: dict[str, object] = dict(summary.environment)
    ran = "\n".join(f"{words.plural(count, 'trial')}: {described}" for described, count in machines.items() if described)
    return [facts({**rows, **({"Trials ran on": ran} if ran else {})})] if rows or ran else []


FORECAST_CAPTION = (
    "Bars are the 90 % intervals of what one training of the target's length would measure, where each shape stands; hollow marks are what "
    "the study measured at its own length, and crosses what was measured at the target's. Members of the front and near-ties."
)


ForecastFound = FrontForecast | str | None
"""A forecast, a sentence on what it lacks, or None where the study has no target and trained nothing longer."""


def forecast_part(found: ForecastFound, records: Sequence[TrialRecord], front: Front) -> list[Html]:
    """The part's content; nothing where there is nothing to forecast."""
    if found is None:
        return []
    if isinstance(found, str):
        return [paragraphs([found])]
    labels = {record.number: record.architecture.label for record in records}
    figure = picture("forecast", forecast_figure(found, records, front), FORECAST_CAPTION)
    return [paragraphs(forecast_sentences(found, labels)), figure, forecast_table(found, records, front)]


def forecast_table(found: FrontForecast, records: Sequence[TrialRecord], front: Front) -> Html:
    """A row for each shape."""
    labels, along = {record.number: record.architecture.label for record in records}, front.objectives[front.problem.ordering]
    columns = {
        "Trial": False, "Shape": False, along.words.title: True, "bits per byte now": True, "measured then": True, "forecast": True,
        "90 %": True, "on the front then": True, "most accurate then": True,
    }  # fmt: skip
    rows = [
        (
            f"#{p.number}",
            element("code", labels[p.number]),
            along.words.write(front.points[p.number].values[front.problem.ordering]),
            f"{p.now:.3f}",
            words.ABSENT if p.measured is None else f"{p.measured:.3f}",
            f"{p.expected:.3f}",
            words.bits_range(p.low, p.high),
            f"{p.on_front:.0%}",
            f"{p.most_accurate:.0%}",
        )
        for p in found.forecasts
    ]
    return table(columns, rows, f"After {found.times:.3g} times the study's tokens, the {along.words.best} first.")


CORRELATION_CAPTION = (
    "Kendall's tau between the ranking at each evaluation of the short trainings and the one after the long trainings, with its 95 % "
    "interval over the shapes."
)


def validity_part(found: Validity | None) -> list[Html]:
    """The sentences and both tables; nothing where no shape was trained longer."""
    if found is None:
        return []
    correlations = table(
        {"of the short training": True, "tau": True, "from": True, "to": True},
        [
            (f"{r.share:.0%}", *(f"{value:.2f}" for value in (r.correlation.tau, r.correlation.low, r.correlation.high)))
            for r in found.correlations
        ],
        CORRELATION_CAPTION,
    )
    shapes = table(
        {"Trial": False, "Shape": False, "short, bits per byte": True, "long, bits per byte": True},
        [(f"#{n}", label, *(words.bits_text(bits) for bits in (short, long))) for n, label, short, long in found.shapes],
        f"Every shape that was trained {found.times:g} times longer, the best long training first.",
    )
    each = folded(f"Each of them ({len(found.shapes)})", shapes)
    return [paragraphs(validity_sentences(found)), *([correlations] if found.correlations else []), each]


def health_part(records: Sequence[TrialRecord]) -> list[Html]:
    """Every failed health check, then the rules and every number; nothing where no trial was diagnosed."""
    judged = [record for record in records if check_results(record)]
    if not judged:
        return []
    sick = [record for record in judged if failed_checks(record)]
    shown = [_failed(sick)] if sick else []
    lead = f"{len(sick)} of {words.plural(len(judged), 'diagnosed trial')} {'shows' if len(sick) == 1 else 'show'} a failed health check."
    return [paragraphs([lead]), *shown, folded(f"The rules ({len(HEALTH_CHECKS)})", _rules()), folded("Every number", _numbers(judged))]


def _failed(records: Sequence[TrialRecord]) -> Html:
    rows = [
        (f"#{record.number}", element("code", record.architecture.label), result.check.name, f"{result.value:.3g}", result.check.rule,
         check_sentence(result, record))
        for record in records
        for result in failed_checks(record)
    ]  # fmt: skip
    columns = {"Trial": False, "Shape": False, "Health check": False, "Value": True, "Fails": False, "What it means": False}
    return table(columns, rows, "A failed check says that something is known to go wrong so, not that the shape is bad.")


def _rules() -> Html:
    rows = [(check.name, check.measure, check.rule, check.source) for check in HEALTH_CHECKS]
    return table(
        {"Health check": False, "What is measured": False, "Fails": False, "Source": False}, rows, "Thresholds are those of archfront."
    )


def _numbers(records: Sequence[TrialRecord]) -> Html:
    rows = []
    for record in records:
        values = {result.check.name: f"{result.value:.3g}{' !' if result.fires else ''}" for result in check_results(record)}
        rows.append(
            (f"#{record.number}", element("code", record.architecture.label), *(values.get(s.name, words.ABSENT) for s in HEALTH_CHECKS))
        )
    columns = {"Trial": False, "Shape": False, **{check.name: True for check in HEALTH_CHECKS}}
    return table(columns, rows, "A dash: the shape cannot have that failure. An exclamation mark: the check fails.")
