"""The pieces of an HTML page that needs nothing but itself: escaped text, tables, and one hand-written style."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape, unescape

from analysis.report import theme
from analysis.report.terms import hover, meanings_on_page


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


def section(identity: str, title: str, *children: object) -> Html:
    """A part of the page with its heading; the navigation points to its identity."""
    return element("section", element("h2", title, **hover(title)), *children, id=identity)


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
) -> Html:
    """A table that scrolls sideways where the screen is narrow, below its caption.

    `columns` says of each heading whether its cells are numbers, which stand on the right; the rows in `emphasised` stand out.
    A heading shows what it means; of headings that a study named, `named` says it.
    """
    strong = set(emphasised)
    titles = {name: {"title": text} for name, text in (named or {}).items()}
    heads = (_cell("th", name, numeric, scope="col", **titles.get(name, hover(name))) for name, numeric in columns.items())
    lines = [element("thead", element("tr", *heads))]
    for place, row in enumerate(rows):
        cells = (_cell("td", value, numeric) for value, numeric in zip(row, columns.values(), strict=True))
        lines.append(element("tr", *cells, **({"class_": "strong"} if place in strong else {})))
    scroll = element("div", element("table", *lines), class_="scroll", role="region", aria_label=caption, tabindex="0")
    return Html(element("p", caption, class_="quiet") + scroll)


def folded(summary: str, *children: object) -> Html:
    """Something that is shown when it is asked for."""
    return element("details", element("summary", summary), *children)


def document(title: str, head: Html, body: Iterable[Html]) -> str:
    """The whole page. Its policy forbids every request, so that a page that opens here opens anywhere."""
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{element('title', title)}\n<style>{STYLE}</style>\n{head}\n</head>\n<body>\n{chr(10).join(body)}\n</body>\n</html>\n"
    )


def sections_page(title: str, lead: str, titles: Mapping[str, str], bodies: Mapping[str, Sequence[Html]], head: Html) -> str:
    """The whole page of sections by identity, those that are empty left out, with a navigation; every one must have its title."""
    titled = [(name, titles[name], children) for name, children in bodies.items()]
    shown = [each for each in titled if each[2]]
    shown += [("terms", "Terms", [terms(shown)])]
    links = [element("a", heading, href=f"#{name}") for name, heading, _ in shown]
    header = element("header", element("h1", title), element("p", lead, class_="lead"), element("nav", *links))
    return document(f"{title} · archfront", head, [header, *(section(name, heading, *children) for name, heading, children in shown)])


def terms(sections: Iterable[tuple[str, str, Sequence[Html]]]) -> Html:
    """The words that sections of a page use and what they mean, folded; the headings of sections explain themselves where they stand."""
    parts = [(title, re.sub(r"<script.*?</script>", "", "".join(children), flags=re.DOTALL)) for _, title, children in sections]
    markup = "".join(part for _, part in parts)
    headings, labels = (
        [unescape(re.sub("<[^>]+>", "", found)) for found in re.findall(rf"<{tag}(?:\s[^>]*)?>(.*?)</{tag}>", markup, re.DOTALL)]
        for tag in ("th", "code")
    )
    found = meanings_on_page(unescape(re.sub("<[^>]+>", " ", markup)), headings, (label.rpartition(": ")[2] for label in labels))
    return folded(f"What {len(found)} words on this page mean", facts({word: with_code(text) for word, text in found.items()}))


def _cell(tag: str, value: object, numeric: bool, **attributes: str) -> Html:
    return element(tag, value, **({"class_": "number"} if numeric else {}), **attributes)


def _recoloured(light: str, dark: str) -> str:
    """Give everything that a figure draws in one colour another one."""
    red, green, blue = (int(light[place : place + 2], 16) for place in (1, 3, 5))
    found = f"rgb({red}, {green}, {blue})"
    return "".join(f'.js-plotly-plot [style*="{what}: {found}"] {{ {what}: {dark} !important }}\n' for what in ("fill", "stroke"))


STYLE = f"""
:root {{ color-scheme: light dark; --page: #fff; --ink: #1f2933; --quiet: #5b6672; --line: #dde3e9; --soft: #f5f7f9; --front: {theme.FRONT}; --reference: #b84f00 }}
* {{ box-sizing: border-box }}
body {{ margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem; background: var(--page); color: var(--ink); font: 16px/1.55 {theme.FONT} }}
h1 {{ font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; overflow-wrap: anywhere }}
h2 {{ font-size: 1.3rem; margin: 2.8rem 0 .8rem; padding-top: .8rem; border-top: 1px solid var(--line) }}
h3 {{ font-size: 1rem; margin: 1.5rem 0 .4rem }}
p {{ margin: .5rem 0; max-width: 54rem }}
a {{ color: var(--front) }}
nav {{ display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; margin: 1rem 0 0; font-size: .92rem }}
code, pre {{ font: .88em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }}
pre {{ background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: .7rem .9rem; overflow-x: auto; margin: .5rem 0 }}
.lead {{ color: var(--quiet); margin: 0 }}
.quiet, figcaption {{ color: var(--quiet); font-size: .92rem }}
.cards {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .9rem; margin: 1rem 0 1.2rem }}
.card {{ border: 1px solid var(--line); border-top: 4px solid var(--front); border-radius: 6px; padding: .8rem 1rem }}
.card.reference {{ border-top-color: var(--reference) }}
.card .what {{ font-size: .85rem; font-weight: 600; color: var(--quiet) }}
.card .what::first-letter {{ text-transform: uppercase }}
.card .figure {{ font-size: 1.45rem; font-weight: 600; line-height: 1.25; margin: .15rem 0 }}
.card .figure small {{ font-size: .9rem; font-weight: 400; color: var(--quiet) }}
.card p {{ margin: .15rem 0; font-size: .92rem; overflow-wrap: anywhere }}
figure {{ margin: 1.2rem 0 }}
.scroll {{ overflow-x: auto; margin: .8rem 0 }}
table {{ border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums }}
th, td {{ padding: .38rem .7rem .38rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line) }}
th {{ font-weight: 600; vertical-align: bottom; border-bottom-width: 2px }}
th:last-child, td:last-child {{ padding-right: 0 }}
.number {{ text-align: right }}
td.number {{ white-space: nowrap }}
td code {{ display: inline-block; min-width: 11rem }}
tr.strong {{ background: var(--soft) }}
.tag {{ display: inline-block; border-radius: 4px; padding: 0 .4em; font-size: .82em; background: var(--front); color: #fff; white-space: nowrap }}
.tag.reference {{ background: var(--reference) }}
.nowrap {{ white-space: nowrap }}
dl {{ display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .35rem 1.4rem; margin: .8rem 0 }}
dt {{ color: var(--quiet) }}
dd {{ margin: 0; white-space: pre-line; overflow-wrap: anywhere }}
summary {{ cursor: pointer; color: var(--front); margin: .6rem 0 }}
@media (max-width: 40rem) {{
  body {{ padding: 1.2rem .9rem 3rem }}
  dl {{ grid-template-columns: 1fr; gap: 0 }}
  dd {{ margin-bottom: .6rem }}
}}
@media screen and (prefers-color-scheme: dark) {{
:root {{ --page: #14181d; --ink: #e4e8ec; --quiet: #9aa5b1; --line: #323a43; --soft: #1d232a; --front: #56b4e9; --reference: #ff9a4d }}
.tag {{ color: #14181d }}
.js-plotly-plot .main-svg {{ background: transparent !important }}
.js-plotly-plot .bg {{ fill: transparent !important }}
.js-plotly-plot .point[style*="stroke: rgb(255, 255, 255)"] {{ stroke: var(--page) !important }}
.js-plotly-plot :is(.xtick, .ytick, .g-xtitle, .g-ytitle, .g-gtitle, .legend) text {{ fill: var(--ink) !important }}
{_recoloured(theme.GRID_COLOR, "#2a323a")}{_recoloured(theme.FRONT, "#56b4e9")}{_recoloured(theme.REFERENCE, "#ff9a4d")}{_recoloured(theme.DOMINATED, "#5c6772")}{_recoloured(theme.INTERVAL, "#2f4c63")}}}
@media print {{
  body {{ max-width: none; padding: 0; font-size: 11pt }}
  nav, .modebar {{ display: none !important }}
  .scroll {{ overflow: visible }}
  table {{ font-size: 7.5pt }}
  th, td {{ padding-right: .4rem }}
  td code {{ min-width: 0 }}
  figure, .card, tr {{ break-inside: avoid }}
  h2, h3 {{ break-after: avoid }}
}}
"""  # noqa: E501  one rule a line reads better
