"""The pieces of an HTML page that needs nothing but itself: escaped text, tables, and one hand-written style."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape, unescape
from pathlib import Path

from analysis.records.json_writer import json_of
from analysis.report import theme
from analysis.report.terms import hover, meanings_on_page, spelled_terms


class Html(str):
    """Text that is markup already; every other text is escaped before it reaches the page."""

    __slots__ = ()


def html(value: object) -> Html:
    """Markup from anything: text is escaped, markup stays as it is."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def element(tag: str, *children: object, **attributes: str) -> Html:
    """One element; `class_` becomes `class`."""
    written = "".join(f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"' for name, value in attributes.items())
    return Html(f"<{tag}{written}>{''.join(map(html, children))}</{tag}>")


def section(identity: str, title: str, *children: object, is_folded: bool = False) -> Html:
    """A part of the page with its heading, which unfolds it where `is_folded`; the navigation points to its identity."""
    heading = element("h2", title, **hover(title))
    parts = [element("details", element("summary", heading), *children)] if is_folded else [heading, *children]
    return element("section", *parts, id=identity)


def paragraphs(texts: Iterable[object]) -> Html:
    """One paragraph each."""
    return Html("".join(element("p", text) for text in texts))


def with_code(text: str) -> Html:
    """Words between backticks as code."""
    parts = text.split("`")
    return Html("".join(element("code", part) if place % 2 else html(part) for place, part in enumerate(parts)))


def facts(rows: Mapping[str, object]) -> Html:
    """Names and what they are, for instance a study's budget and corpus; line breaks of the text are kept."""
    return element("dl", *(part for name, value in rows.items() for part in (element("dt", name, **hover(name)), element("dd", value))))


def table(
    columns: Mapping[str, bool],
    rows: Iterable[Sequence[object]],
    caption: str,
    emphasised: Iterable[int] = (),
    named: Mapping[str, str] | None = None,
    is_sortable: bool = True,
) -> Html:
    """A table that scrolls sideways where the screen is narrow, below its caption.

    `columns` says of each heading whether its cells are numbers, which stand on the right; the rows in `emphasised` stand out.
    A heading shows what it means; of headings that a study named, `named` says it. Rows that mean something by where they stand, such as
    a total, are not to be sorted: `is_sortable` is False.
    """
    strong = set(emphasised)
    titles = {name: {"title": text} for name, text in (named or {}).items()}
    heads = (_cell("th", name, numeric, scope="col", **titles.get(name, hover(name))) for name, numeric in columns.items())
    lines, rows_of_body = [element("thead", element("tr", *heads))], list[Html]()
    for place, row in enumerate(rows):
        cells = (_cell("td", value, numeric) for value, numeric in zip(row, columns.values(), strict=True))
        rows_of_body.append(element("tr", *cells, **({"class_": "strong"} if place in strong else {})))
    lines.append(element("tbody", *rows_of_body))
    scroll = element(
        "div",
        element("table", *lines, **({} if is_sortable else {"data_sorts": "false"})),
        class_="scroll",
        role="region",
        aria_label=caption,
        tabindex="0",
    )
    return Html(element("p", caption, class_="quiet") + scroll)


def folded(summary: str, *children: object) -> Html:
    """Something that is shown when it is asked for."""
    return element("details", element("summary", summary), *children)


def json_text(data: object) -> str:
    """JSON that may stand in a script element."""
    return json_of(data, separators=(",", ":")).replace("<", "\\u003c")


def later(*children: Html) -> Html:
    """Markup that becomes part of the page when what it is folded in is opened, so that a long table costs nothing before."""
    return element("template", *children, class_="later")


def document(title: str, head: Html, body: Iterable[Html]) -> str:
    """The whole page. Its policy forbids every request, so that a page that opens here opens anywhere."""
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{element('title', title)}\n<style>{STYLE}</style>\n{head}\n</head>\n<body>\n{chr(10).join(body)}\n"
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def sections_page(
    title: str, lead: str, titles: Mapping[str, str], bodies: Mapping[str, Sequence[Html]], head: Html, first: Html | None = None
) -> str:
    """The whole page of sections by identity, those that are empty left out, with a navigation; every one must have its title.

    With `first`, which then is what the page begins with in place of title and lead, the sections are folded.
    """
    titled = [(name, titles[name], children) for name, children in bodies.items()]
    shown = [each for each in titled if each[2]]
    words = terms([*shown, ("first", title, [first or Html("")])])
    glossary = Html(f'<script type="application/json" id="glossary">{json_text(spelled_terms())}</script>')
    shown += [("terms", "Terms", [words[1] if first else folded(*words)])]
    links = [element("a", heading, href=f"#{name}", **hover(heading)) for name, heading, _ in shown]
    header = first or element("header", element("h1", title), element("p", lead, class_="lead"))
    parts = (section(name, heading, *children, is_folded=first is not None) for name, heading, children in shown)
    return document(f"{title} · archfront", head, [header, element("nav", *links), *parts, glossary])


def terms(sections: Iterable[tuple[str, str, Sequence[Html]]]) -> tuple[str, Html]:
    """How many words of sections have a meaning, and each with it; headings explain themselves where they stand."""
    parts = [(title, re.sub(r"<script.*?</script>", "", "".join(children), flags=re.DOTALL)) for _, title, children in sections]
    markup = "".join(part for _, part in parts)
    headings, labels = (
        [unescape(re.sub("<[^>]+>", "", found)) for found in re.findall(rf"<{tag}(?:\s[^>]*)?>(.*?)</{tag}>", markup, re.DOTALL)]
        for tag in ("th", "code")
    )
    found = meanings_on_page(unescape(re.sub("<[^>]+>", " ", markup)), headings, (label.rpartition(": ")[2] for label in labels))
    return f"What {len(found)} words on this page mean", facts({word: with_code(text) for word, text in found.items()})


def _cell(tag: str, value: object, numeric: bool, **attributes: str) -> Html:
    return element(tag, value, **({"class_": "number"} if numeric else {}), **attributes)


def _recoloured(light: str, dark: str) -> str:
    """Give everything that a figure draws in one colour another one."""
    red, green, blue = (int(light[place : place + 2], 16) for place in (1, 3, 5))
    found = f"rgb({red}, {green}, {blue})"
    return "".join(f'.js-plotly-plot [style*="{what}: {found}"] {{ {what}: {dark} !important }}\n' for what in ("fill", "stroke"))


RECOLOURED = {
    theme.GRID_COLOR: "#2a323a",
    theme.FRONT: "#56b4e9",
    theme.REFERENCE: "#ff9a4d",
    theme.DOMINATED: "#5c6772",
    theme.INTERVAL: "#2f4c63",
}
"""Colours of figures, each with the one that it has in the dark."""


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


SCRIPT = _beside("page.js")
STYLE = (
    _beside("page.css")
    .replace("$FRONT", theme.FRONT)
    .replace("$FONT", theme.FONT)
    .replace("/* colours of figures */", "".join(_recoloured(light, dark) for light, dark in RECOLOURED.items()))
)
