"""The report's plain facts: what was asked, what it cost, and where it ran."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.records.record import Kind, TrialRecord
from analysis.records.summary import StudySummary, totals
from analysis.report.html import Html, element, facts, folded
from analysis.text import format as words


def asked(summary: StudySummary, records: Sequence[TrialRecord]) -> list[Html]:
    """What the study was asked, and its YAML."""
    references = [f"{r.name}: {r.architecture.label}, {r.costs.parameters:,} parameters" for r in records if r.kind is Kind.REFERENCE]
    measured = next((record.latency for record in records if record.latency is not None), None)
    rows = {
        "Grid" if summary.law else "Budget": summary.budget,
        "Space": "" if summary.law else summary.space,
        "Trainings" if summary.law else "Search": f"{words.plural(summary.planned_trials, 'training' if summary.law else 'shape')}, "
        f"{summary.search}",
        "References": "\n".join(references),
        "Corpus": summary.corpus,
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


def cost(summary: StudySummary, records: Sequence[TrialRecord]) -> list[Html]:
    """What its trials cost; nothing where there are none."""
    if not records:
        return []
    spent = totals(records)
    counted = "" if spent.trained == spent.trials else f" (of the {spent.trained} trials that trained here and left numbers)"
    taken = {"Taken over": f"{words.plural(spent.reused, 'training')} finished before, not paid again"} if spent.reused else {}
    return [
        facts(
            {
                "Trials": _planned(summary, records),
                "Training": f"{words.quantity(spent.tokens)} tokens, {words.quantity(spent.flops)} FLOPs in closed form{counted}",
                "Processor": f"{words.duration(spent.process_seconds)} of core time in training and evaluation",
                **taken,
                "Time": f"{words.duration(spent.elapsed_seconds)} from the first start to the last end, interruptions included; "
                f"{words.duration(spent.trial_seconds)} with the trials end to end",
            }
        )
    ]


def _planned(summary: StudySummary, records: Sequence[TrialRecord]) -> str:
    if summary.law:
        return f"{len(records)} of {words.plural(summary.planned_trials, 'planned training')}"
    return f"{len(records)}, {_extras(records)} included; {summary.planned_trials} sampled shapes were planned"


def _extras(records: Sequence[TrialRecord]) -> str:
    again = sum(record.replicates is not None for record in records)
    return f"references and {words.plural(again, 'replicate')}" if again else "references"


def environment(summary: StudySummary, records: Sequence[TrialRecord]) -> list[Html]:
    """What a repetition would need to know, and where trials ran."""
    machines: dict[str, int] = {}
    for record in records:
        described = ", ".join(f"{name} {value}" for name, value in record.machine.items())
        machines[described] = machines.get(described, 0) + 1
    rows: dict[str, object] = dict(summary.environment)
    ran = "\n".join(f"{words.plural(count, 'trial')}: {described}" for described, count in machines.items() if described)
    return [facts({**rows, **({"Trials ran on": ran} if ran else {})})] if rows or ran else []
