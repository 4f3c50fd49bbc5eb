"""HTML as values: what is text is escaped, because it is text; only markup that was made here is markup."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from oneglance.errors import OneglanceError

#: Written into the beginning of every report; what has it may be overwritten by the next.
MARK = "<!-- made by oneglance: report -->"


class Html(str):
    """Markup. Any other string is text."""

    __slots__ = ()


def join(parts: Iterable[str]) -> Html:
    """Several pieces one after the other; text among them is escaped."""
    return Html("\n".join(part if isinstance(part, Html) else html.escape(part) for part in parts if part))


def tag(element: str, /, *children: str, **attributes: str | bool) -> Html:
    """``<element attributes>children</element>``; ``class_`` is `class`, True an attribute without a value."""
    words = []
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(f" {key}")
        elif value is not False and (value or key != "class"):
            words.append(f' {key}="{html.escape(value)}"')
    start = f"<{element}{''.join(words)}>"
    if element in ("img", "meta"):
        return Html(start)
    return Html(f"{start}{join(children)}</{element}>")


def section(title: str, anchor: str, *children: str) -> Html:
    """A section with a heading that can be linked to."""
    return tag("section", tag("h2", title), *children, id=anchor)


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str | int | float]],
    words: Sequence[int] = (0,),
) -> Html:
    """A table that scrolls sideways in its own box where it is too wide.

    Numbers are set to the right. The first cell of a row is its heading; ``words``: columns of text.
    Without ``headings`` the table has no head.
    """
    named = [tag("th", one, scope="col", class_="" if k in words else "n") for k, one in enumerate(headings)]
    lines = []
    for row in rows:
        cells = [
            tag("th", shown(cell), scope="row") if k == 0 else tag("td", shown(cell), class_="" if k in words else "n")
            for k, cell in enumerate(row)
        ]
        lines.append(tag("tr", *cells))
    body = tag("table", tag("thead", tag("tr", *named)) if named else "", tag("tbody", *lines))
    # A box that can be scrolled must be reachable by keyboard.
    return tag("div", body, class_="scroll", tabindex="0")


def shown(value: str | int | float) -> str:
    """A figure for people's eyes; a dash where nothing could be measured."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return "–"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


def details(summary: str, *children: str, is_open: bool = False) -> Html:
    """Something to be opened by who wants it."""
    return tag("details", tag("summary", summary), *children, open=is_open)


def document(title: str, *body: str) -> str:
    """The whole page."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        Html(f"<style>{STYLE}</style>"),
    )
    return f"<!doctype html>\n{MARK}\n" + tag("html", head, tag("body", *body), lang="en") + "\n"


def check_free(path: Path) -> None:
    """Raises OneglanceError where a file is in the way that is no report of ours."""
    if not path.exists():
        return
    if path.is_dir():
        raise OneglanceError(f"{path}: is a folder; give the report a file's name, such as {path / 'report.html'}")
    with path.open("rb") as file:
        if MARK.encode() not in file.read(200):
            raise OneglanceError(f"{path}: exists already and is no report that oneglance made; choose another name")


def write(path: Path, text: str) -> None:
    """Write a page, whole or not at all; an earlier report is replaced, nothing else (OneglanceError)."""
    check_free(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


STYLE = """
:root { color-scheme: light dark; --ink: #16191d; --faint: #5b636e; --line: #dfe3e8; --page: #fbfbfc; --card: #fff;
  --accent: #1f6fae; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebef; --faint: #9aa3ae; --line: #2c3138; --page: #14161a;
  --card: #1b1e23; --accent: #6fb1e4; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 88rem; padding: 1.5rem clamp(1rem, 3vw, 2.5rem) 4rem; color: var(--ink);
  background: var(--page); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .2rem 0; }
h2 { font-size: 1.3rem; margin: 3rem 0 .6rem; padding-top: 1.2rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.02rem; margin: 1.8rem 0 .3rem; }
p { margin: .3rem 0 .8rem; max-width: 46rem; }
a { color: var(--accent); }
.faint, figcaption p, .meaning { color: var(--faint); font-size: .9rem; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: 1rem 0 1.4rem; font-size: .95rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15.5rem), 1fr)); gap: 1rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem; }
.card h3 { margin: 0; } .card p { margin: .35rem 0 0; }
.score { font-size: 2.1rem; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1.2rem;
  align-items: start; margin: 1rem 0; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1rem; }
figcaption h3 { margin: 0 0 .1rem; } figcaption p { margin: 0 0 .6rem; }
figure.wide { grid-column: 1 / -1; }
.plot { overflow-x: auto; } svg.chart { display: block; max-width: 100%; height: auto; margin: auto; }
figure.wide svg.chart { max-width: none; }
svg.chart * { stroke-linejoin: round; stroke-linecap: butt; }
svg.chart text { font-family: system-ui, sans-serif !important; }
.scroll { overflow-x: auto; margin: .5rem 0 1rem; max-width: 100%; }
table { border-collapse: collapse; font-size: .92rem; overflow-wrap: normal; }
th, td { padding: .28rem 1.2rem .28rem 0; text-align: left; vertical-align: baseline;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--faint); font-weight: 500; white-space: nowrap; } tbody th { font-weight: 500; min-width: 7rem; }
td:not(.n) { min-width: 9rem; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 33rem), 1fr)); gap: 1rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem; align-items: start; }
.pair div { font-size: .82rem; color: var(--faint); } .pair img { display: block; width: 100%; height: auto;
  border-radius: 6px; }
.name { font-size: .85rem; margin: 0 0 .4rem; display: flex; justify-content: space-between; gap: 1rem; }
details { margin: .8rem 0; } summary { cursor: pointer; color: var(--accent); }
pre { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem;
  font-size: .85rem; line-height: 1.45; overflow-wrap: normal; }
.warn { border-left: 4px solid #d9631e; padding-left: .8rem; }
@media (max-width: 520px) { .pair { grid-template-columns: 1fr; } body { font-size: 15px; } }
@media print { nav { display: none; } figure, .card { break-inside: avoid; } }
"""
