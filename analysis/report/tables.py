"""The report's tables: the front with its references, every trial, and those that did not finish."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analysis.fronts.front import Front
from analysis.fronts.membership import Membership, picks
from analysis.fronts.rounding import rounding_text
from analysis.fronts.rows import front_rows, trial_row
from analysis.objectives.objective import Objective
from analysis.objectives.quality import ROUNDING_LOSS
from analysis.objectives.registry import find_objective
from analysis.records.record import FinalRecord, TrialRecord
from analysis.report.drawing import shape_code
from analysis.report.html import Html, element, html, table
from analysis.report.terms import hover
from analysis.text import words

TABLE_CAPTION = (
    "The front in the order of its first column of numbers, then the references that are beaten. The search chose by the validation split; "
    "the test split was measured once, after it. “In search” is what the search saw; “after” was measured again when nothing else ran. "
    "“Credible, 90 %” is its interval of the validation quality with the selection bias taken out; “on the front” the probability that no "
    "other shape truly beats this one. Shapes marked “tie” cannot be told from the {best} one."
)
Cell = Callable[[dict[str, Any]], str]


def front_table(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership) -> Html:
    """The front and the references: every objective, before and after, on both splits, and how sure each place is."""
    chosen, best = picks(front, membership), front.best(0)
    shapes = {record.number: record.architecture for record in records}
    found, columns = front_rows(records, finals, front, membership), _front_columns(front)
    if any(row[ROUNDING_LOSS] is not None for row in found):
        columns[f"{find_objective(ROUNDING_LOSS).heading()}, 90 %"] = rounding_cell
    rows = [
        (
            name_cell(r["trial"], r["name"], [*chosen.get(r["trial"], []), *(["tie"] if best in r["ties"] else [])]),
            shape_code(r["shape"], shapes[r["trial"]]),
            f"{r['parameters']:,}",
            *(cell(r) for cell in columns.values()),
        )
        for r in found
    ]
    headings = {"Trial": False, "Shape": False, "Parameters": True} | dict.fromkeys(columns, True)
    caption = TABLE_CAPTION.format(best=front.objectives[0].words.best)
    return table(headings, rows, caption, [place for place, r in enumerate(found) if r["trial"] in chosen])


def _front_columns(front: Front) -> dict[str, Cell]:
    """A cell of a row for each heading."""
    objectives = [front.objectives[place] for place in front.problem.columns]
    seeds = [objective for objective in objectives if objective.noise == "seed"]
    beside = [objective for objective in front.problem.shown if objective not in objectives]
    columns: dict[str, Cell] = {}
    for objective in objectives:
        if objective.noise == "measurement":
            columns |= {
                objective.heading(" after"): _value(objective, "final_"),
                objective.heading(" in search"): _value(objective, "searched_"),
            }
        elif objective.noise == "none":
            columns[objective.heading()] = _value(objective)
    for objective in seeds:
        of = "" if len(seeds) == 1 else f"{objective.words.label}, "
        columns |= {_searched(objective): _value(objective), f"{of}credible, 90 %": _interval(objective)}
    columns["on the front"] = lambda r: words.probability(r["front_probability"])
    columns |= _tested(seeds)
    for objective in beside:
        columns |= {_searched(objective): _value(objective), **_tested([objective])}
    return columns


def _searched(objective: Objective) -> str:
    """Heading of what the search saw of it; a named validation set or task has one part alone, so no word for which."""
    return objective.heading(", validation" if objective.has_splits else "")


def _tested(objectives: Sequence[Objective]) -> dict[str, Cell]:
    return {objective.heading(", test"): _value(objective, "test_") for objective in objectives if objective.has_splits}


def rounding_cell(r: dict[str, Any]) -> str:
    """What rounding costs a row's shape, with its interval."""
    return rounding_text(r[ROUNDING_LOSS], r[f"{ROUNDING_LOSS}_low"], r[f"{ROUNDING_LOSS}_high"])


def _value(objective: Objective, before: str = "") -> Cell:
    return lambda r: objective.cell(r[f"{before}{objective.name}"])


def _interval(objective: Objective) -> Cell:
    def cell(r: dict[str, Any]) -> str:
        low, high = (r[f"credible_{objective.name}_{end}"] for end in ("low", "high"))
        return words.ABSENT if low is None else objective.between_text(low, high)

    return cell


def name_cell(number: int, name: str | None, titles: Sequence[str]) -> Html:
    """A trial's number, its name where it has one, and what it was picked for."""
    tags = [element("span", title, class_="tag", **hover(title)) for title in titles]
    tags += [element("span", name, class_="tag reference")] if name else []
    return Html(" ".join([html(f"#{number}"), *tags]))


def all_trials(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership) -> Html:
    """Every trial on one line."""
    shown = [front.objectives[place] for place in front.problem.columns]
    shown += [objective for objective in front.problem.shown if objective not in shown]
    columns = {"Trial": False, "Shape": False, "Outcome": False, "Parameters": True}
    columns |= {objective.heading(): True for objective in shown} | {"on the front": True}
    rows = []
    for record in records:
        r = trial_row(record, finals.get(record.number), front, membership)
        again = "" if record.replicates is None else f" replicate of #{record.replicates},"
        ending = "on the front" if r["on_front"] else f"{again} {words.OUTCOMES[record.outcome]}".strip()
        ending += ", infeasible" if r["infeasible"] else ""
        ending += f", training of {r['reused_from']}" if r["reused_from"] else ""
        values = [r[objective.name] if record.finished or objective.known != "training" else None for objective in shown]
        cells = (objective.cell(value) for objective, value in zip(shown, values, strict=True))
        odds = words.probability(r["front_probability"])
        rows.append(
            (
                name_cell(record.number, record.name, []),
                shape_code(r["shape"], record.architecture),
                ending,
                f"{r['parameters']:,}",
                *cells,
                odds,
            )
        )
    caption = "Every trial in the order of its number; the quality of a trial that ended early is left out, for it is not comparable."
    return table(columns, rows, caption)


def unfinished(records: Sequence[TrialRecord]) -> Html:
    """The trials that did not finish, how they ended and why."""
    rows = [
        (
            name_cell(record.number, record.name, []),
            shape_code(record.architecture.label, record.architecture),
            element("span", words.OUTCOMES[record.outcome], class_="nowrap"),
            f"{record.training.tokens:,}" if record.training else words.ABSENT,
            record.reason or words.ABSENT,
        )
        for record in records
        if not record.finished
    ]
    columns = {"Trial": False, "Shape": False, "How it ended": False, "Tokens trained": True, "Why": False}
    return table(columns, rows, "None of these stands on a front.")
