"""Fill the generated parts of the documentation from the code: `python docs/generate.py`; a test compares them.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from pydantic import BaseModel

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from analysis.objectives.registry import explained_objectives  # noqa: E402
from analysis.records import (  # noqa: E402
    attempt,
    health_checks,
    latency,
    record,
    training,
)
from analysis.records.explained import fields_of  # noqa: E402
from analysis.report.terms import groups  # noqa: E402
from search_space import architecture, sharing  # noqa: E402
from search_space.dimensions import ORDER  # noqa: E402
from search_space.families import family  # noqa: E402
from search_space.field import Field  # noqa: E402
from search_space.fields import FIELDS  # noqa: E402
from tests.support.house import FLOORS  # noqa: E402
from trials.catalogue.formats import supported_exports  # noqa: E402
from trials.commands.verbs import parser  # noqa: E402
from trials.study import (  # noqa: E402
    ablation_spec,
    rounding_spec,
    spec,
)
from trials.study.budget_defaults import ROWS, open_choices  # noqa: E402
from trials.study.explained import default_text, kind_text, study_sections  # noqa: E402

PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def study_tables() -> str:
    """One table for each section of a study: key, type, default, meaning."""
    return "\n".join(_section(name, model) for name, model in study_sections("", spec.StudySpec))


def _section(path: str, model: type[BaseModel]) -> str:
    lines = [f"### {f'`{path}`' if path else 'Top level'}", "", inspect.cleandoc(model.__doc__ or ""), ""]
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        nested = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        kind = "section" if nested else kind_text(field.annotation, field.metadata)
        default = (
            "required"
            if field.is_required()
            else ("" if nested else f"`{default_text(field.get_default(call_default_factory=True, validated_data={}))}`")
        )
        text = " ".join((field.description or (field.annotation.__doc__ if nested else "") or "").split())
        lines.append(f"| `{name}` | {kind} | {default} | {text} |")
    return "\n".join([*lines, ""])


def ablation_tables() -> str:
    """One table for each section of an ablation."""
    sections: dict[str, type[BaseModel]] = {
        "": ablation_spec.AblationSpec,
        "published": ablation_spec.PublishedSpec,
        "scales.NAME": ablation_spec.ScaleSpec,
        "scales.NAME.rounding": rounding_spec.RoundingSpec,
    }
    return "\n".join(_section(path, model) for path, model in sections.items())


def field_tables(module: ModuleType, *classes: str) -> str:
    """One table for each frozen dataclass: field, type, meaning, read from the docstrings under the fields."""
    tree = ast.parse(inspect.getsource(module))
    nodes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return "\n".join(_fields(nodes[name]) for name in classes)


def _fields(node: ast.ClassDef) -> str:
    lines = [f"### {node.name}", "", " ".join((ast.get_docstring(node) or "").split()), "", "| field | type | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | `{kind}` | {text} |".replace(" | None`", "` or none") for name, (kind, text) in fields_of(node)]
    return "\n".join([*lines, ""])


def command_tables() -> str:
    """Every verb with its arguments, as the parser has them."""
    return "\n".join(_verb(name, made) for name, made in _verbs("archfront", parser()))


def _verbs(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield name, parser
    for action in inner:
        for word, made in action.choices.items():
            yield from _verbs(f"{name} {word}", made)


def _verb(name: str, parser: argparse.ArgumentParser) -> str:
    example = f"{(parser.epilog or '').replace('example: ', 'Example: `')}`"
    lines = [f"### `{name}`", "", parser.description or "", "", example, "", "| argument | meaning |", "|---|---|"]
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        metavar = action.metavar if isinstance(action.metavar, str) else (action.dest.upper() if action.nargs != 0 else "")
        if action.choices and not action.metavar:
            metavar = "{" + ",".join(map(str, action.choices)) + "}"
        words = ", ".join(action.option_strings)
        shown = f"{words} {metavar}".strip() if words and action.nargs != 0 else (words or metavar)
        shown = shown.replace("|", "\\|")
        text = parser._get_formatter()._expand_help(action)
        lines.append(f"| `{shown}` | {text} |")
    return "\n".join([*lines, ""])


def space_table() -> str:
    """Every dimension of a space: its default, what may stand for it, and what a published shape takes from a study."""
    by_budget = open_choices({"budget": {"parameters": ROWS[0].parameters}})["space"]
    lines = ["| dimension | values | default | forms beside a value and a list | references take it |", "|---|---|---|---|---|"]
    for row in ORDER:
        values = " or ".join(f"`{name}`" for name in row.choices) or str(row.kind)
        default = "by the budget" if row.name in by_budget else _yaml(row.in_space if row.in_space is not None else row.default)
        forms = [*(["range"] if row.counted else []), *([f"`{row.ratio}`"] if row.ratio else []), *(["solved"] if row.solvable else [])]
        lines.append(f"| `{row.name}` | {values} | {default} | {', '.join(forms)} | {'from the study' if row.of_study else ''} |")
    return "\n".join([*lines, ""])


def defaults_table() -> str:
    """What a study that leaves everything open has, at every size."""
    lines, names = [], ["parameters"]
    for row in ROWS:
        found = open_choices({"budget": {"parameters": row.parameters}})
        values = {**found["space"], **found["proxy"]}
        lines.append([f"{row.parameters:,}", *(_yaml(value) for value in values.values())])
        names = ["parameters", *(f"`{name}`" for name in values)]
    constant = [place for place in range(1, len(names)) if len({line[place] for line in lines}) == 1]
    shown = [place for place in range(len(names)) if place not in constant]
    table = [[names[place] for place in shown], ["---"] * len(shown), *([line[place] for place in shown] for line in lines)]
    same = [f"{names[place]} {lines[0][place]}" for place in constant]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in table), "", f"At every size: {', '.join(same)}.", ""])


def field_costs() -> str:
    """What every field does to each closed form."""
    lines = ["| field | parameters | FLOPs of a token | KV cache | activations of a token | in a label |", "|---|---|---|---|---|---|"]
    lines += [f"| `{row.name}` | {row.parameters} | {row.flops} | {row.kv_cache} | {row.activations} | {_label(row)} |" for row in FIELDS]
    return "\n".join([*lines, ""])


def refusal_table() -> str:
    """Every export that refuses an example of a field, alone or beside another field's, and what it says."""
    lines = ["| a shape with | beside | export | says |", "|---|---|---|---|"]
    shown = [row for row in FIELDS if row.example and row.label is not None]
    for number, row in enumerate(shown):
        for beside in (None, *shown[:number]):
            plain = replace(family("mobilellm-125m"), **(beside.example if beside else {}))
            shape = replace(plain, **row.example)
            before, after = supported_exports(plain), supported_exports(shape)
            words = f"| {_label(row)} | {_label(beside) if beside else ''}"
            lines += [f"{words} | `{name}` | {said} |" for name, said in after.items() if said is not None and before[name] is None]
    return "\n".join([*lines, ""])


def _yaml(value: Any) -> str:
    """As a study would say it."""
    if value is None or isinstance(value, sharing.Sharing):
        return "`none`"
    return f"`{yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=200).removesuffix('...' + chr(10)).strip()}`"


def _label(row: Field) -> str:
    """The words of an example."""
    return "" if row.label is None else f"`{row.label(replace(family('mobilellm-125m'), **row.example))}`"


def health_check_table() -> str:
    """Every health check: what is measured, when it fails, what that means and who said so."""
    lines = ["| health check | what is measured | fails | what it means | source |", "|---|---|---|---|---|"]
    lines += [
        f"| `{check.name}` | {check.measure} | {check.rule} | {check.meaning} | {check.source} |" for check in health_checks.HEALTH_CHECKS
    ]
    return "\n".join([*lines, ""])


def objective_table() -> str:
    """Every objective: what it is, when it is known, and what is known of its noise."""
    when = {"shape": "before anything runs", "device": "once measured on the device", "training": "after the training"}
    noise = {"none": "none, a closed form", "measurement": "repeats and second measurements", "seed": "replicates with other seeds"}
    lines = ["| objective | known | noise | what it is |", "|---|---|---|---|"]
    lines += [f"| `{o.name}` | {when[o.known]} | {noise[o.noise]} | {o.words.meaning} |" for o in explained_objectives()]
    return "\n".join([*lines, ""])


def glossary() -> str:
    """Every entry of the glossary, a list for each kind."""
    lines = [[f"## {title}", "", *(f"- **{entry.name}**: {entry.text}" for entry in entries), ""] for title, entries in groups().items()]
    return "\n".join(line for some in lines for line in some)


def house_table() -> str:
    """Every folder on its floor, from the front door down, with the first sentence of what it says of itself."""
    lines = ["| floor | room | what it is |", "|---|---|---|"]
    for floor, rooms in enumerate(FLOORS, start=1):
        for room in rooms:
            if room in ("trials", "analysis"):  # the packages that hold the rooms
                continue
            path = FOLDER.parent / room
            source = path if path.is_file() else path / "__init__.py"
            text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
            lines.append(f"| {floor} | `{room}` | {' '.join(text.split())} |")
    return "\n".join([*lines, ""])


ENTRY = re.compile(r"^## (\d{4}-\d\d-\d\d): (.+)\n\n((?:- \*|  ).+\n(?:(?:- \*|  ).+\n)*)", re.MULTILINE)
HEAD = ("Asked", "Answer", "Sets", "Stands")


def findings() -> dict[str, dict[str, str]]:
    """Every entry of docs/findings.md, `DATE: TITLE` -> its head: what was asked, the answer, what it sets, whether it stands.

    Raises ValueError where an entry has no head.
    """
    text = (FOLDER / "findings.md").read_text(encoding="utf-8")
    found = {}
    for date, title, head in ENTRY.findall(text):
        parts = re.findall(r"^- \*(\w+)\*: (.+(?:\n  .+)*)", head, re.MULTILINE)
        found[f"{date}: {title}"] = {name: " ".join(said.split()).removesuffix(".") for name, said in parts}
    for title in re.findall(r"^## (\d.*)$", text, re.MULTILINE):
        if tuple(found.get(title, ())) != HEAD:
            raise ValueError(f"docs/findings.md: the entry {title!r} must begin with a list of *{'*, *'.join(HEAD)}*, as the others do")
    return found


def findings_index() -> str:
    """A line for each entry, the newest last, with a link to it."""
    lines = ["| date | asked | answer | sets | stands |", "|---|---|---|---|---|"]
    for name, head in findings().items():
        date, _, title = name.partition(": ")
        anchor = re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-")
        cells = [f"{date}", f"{head['Asked']} [{title}](#{anchor})", head["Answer"], head["Sets"], head["Stands"]]
        lines.append(f"| {' | '.join('' if cell == 'nothing' else cell for cell in cells)} |")
    return "\n".join([*lines, ""])


GENERATED = {
    "findings": findings_index,
    "house": house_table,
    "glossary": glossary,
    "study": study_tables,
    "objectives": objective_table,
    "architecture": lambda: field_tables(architecture, "Architecture") + "\n" + field_tables(sharing, "Sharing"),
    "attempt": lambda: field_tables(attempt, "Attempt"),
    "record": lambda: field_tables(
        record, "TrialRecord", "Outcome", "Kind", "Costs", "FinalRecord", "RatePoint", "FreshSeed", "WrittenText"
    ),
    "training": lambda: field_tables(training, "Training", "CurvePoint", "Quality", "RoundedQuality", "Cooldown", "Diagnostics"),
    "latency": lambda: field_tables(latency, "Latency", "Yardstick", "AtPosition", "Spread"),
    "commands": command_tables,
    "health_checks": health_check_table,
    "space": space_table,
    "defaults": defaults_table,
    "fields": field_costs,
    "refusals": refusal_table,
    "ablation": ablation_tables,
}


def filled(text: str) -> str:
    """The document with each generated part made anew."""
    return PART.sub(lambda part: f"{part[1]}\n{GENERATED[part[2]]()}\n{part[3]}", text)


if __name__ == "__main__":
    for path in sorted(FOLDER.rglob("*.md")):
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
