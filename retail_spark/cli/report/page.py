"""The page itself: one file of HTML, pictures in it, no scripts, nothing loaded from elsewhere."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from datetime import date, datetime
from html import escape
from pathlib import Path
from typing import Any

from retail_spark.cli.report.content import Content, JobPart, Rows, Shown, content_of
from retail_spark.config.section import Settings
from retail_spark.errors import UsageError
from retail_spark.lake.lake import Lake
from retail_spark.quality.pages import facts, tiles

FOLDER = "_report"

_STYLE = Path(__file__).parents[2] / "quality" / "docs.css"
_MORE_STYLE = """
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; margin: .4rem 0; }
figure { margin: .6rem 0; } figcaption { color: var(--quiet); font-size: .8rem; }
h3 { font-size: .95rem; margin: 1rem 0 .2rem; }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1rem; margin: .6rem 0 0; }
@media (max-width: 40rem) {
  main, header { padding-left: 1rem; padding-right: 1rem; }
  td, th { padding: .35rem .4rem; }
}
"""


def write_report(lake: Lake, settings: Settings, *, to: str | None = None) -> Path:
    """Writes the page of the lake, and gives its place.

    Raises UsageError where it is not said where to for a lake that is no folder of this machine.
    """
    if to is None and not lake.is_local:
        raise UsageError(f"{lake.where} is no folder of this machine.", fix="say where the page goes: --to FILE")
    path = Path(to) if to is not None else Path(lake.root) / FOLDER / "index.html"
    text = page_of(content_of(lake, settings))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def page_of(content: Content) -> str:
    """The whole page."""
    parts = "\n".join(_job(part) for part in content.jobs)
    links = "".join(f'<a href="#{escape(part.job)}">{escape(part.job)}</a>' for part in content.jobs)
    body = (
        f'<h1>{escape(content.where)}</h1>\n<nav>{links}<a href="#quality">data quality</a>'
        f'<a href="#tables">tables</a></nav>\n{parts}\n{_quality(content)}\n{_tables(content)}'
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>retail-spark report</title>\n'
        f"<style>\n{_STYLE.read_text(encoding='utf-8')}{_MORE_STYLE}</style>\n</head>\n<body>\n"
        f"<header><strong>retail-spark</strong><span>what the jobs found</span></header>\n<main>\n{body}\n</main>\n"
        "</body>\n</html>\n"
    )


def _job(part: JobPart) -> str:
    badge = {"done": ("good", "done"), "gate_refused": ("bad", "the gate refused the model")}[part.status]
    about = [("As of", part.as_of or "—"), ("Finished", f"{part.finished_at:%Y-%m-%d %H:%M} UTC")]
    about += [("Took", f"{part.seconds:.0f} s"), ("Model", part.model or "—")]
    about += [("Checks", f"{part.checks - part.failed_checks} of {part.checks} passed" if part.checks else "—")]
    headline = tiles({name: _number(value) for name, value in part.headline.items()})
    pictures = "".join(_picture(name, data) for name, data in part.figures.items())
    excerpts = "".join(_shown(shown) for shown in part.excerpts)
    return (
        f'<section id="{escape(part.job)}">\n<h2>{escape(part.job)} '
        f'<span class="badge {badge[0]}">{badge[1]}</span></h2>\n'
        f"<p>{escape(part.does)}</p>\n{headline}\n{facts(about)}\n"
        f"{excerpts}{pictures}</section>"
    )


def _picture(name: str, data: bytes) -> str:
    title = escape(Path(name).stem.replace("_", " "))
    return (
        f'<figure><img alt="{title}" src="data:image/png;base64,{b64encode(data).decode()}">'
        f"<figcaption>{title}</figcaption></figure>\n"
    )


def _shown(shown: Shown) -> str:
    return f"<h3>{escape(shown.title)}</h3>\n{_rows(shown.rows)}\n"


def _quality(content: Content) -> str:
    told = _rows(content.quarantined) if content.quarantined else "<p>Every row that came in was kept.</p>"
    what = "<p>Rows in quarantine, by the rule they broke.</p>"
    return f'<section id="quality">\n<h2>Data quality</h2>\n{what}\n{told}</section>'


def _tables(content: Content) -> str:
    query = "SELECT * FROM gold.latest_forecasts LIMIT 10"
    ask = f'retail-spark sql --set lake.root={content.root} "{query}"'
    return f'<section id="tables">\n<h2>Tables</h2>\n<pre>{escape(ask)}</pre>\n{_rows(content.tables)}</section>'


def _rows(rows: Rows) -> str:
    if not rows:
        return "<p>None.</p>"
    names = list(rows[0])
    is_number = [all(_is_number(row[name]) or row[name] is None for row in rows) for name in names]
    return (
        f"<table><thead><tr>{_cells('th', [name.replace('_', ' ') for name in names], is_number)}</tr></thead><tbody>"
        + "".join(f"<tr>{_cells('td', [_cell(row[name]) for name in names], is_number)}</tr>" for row in rows)
        + "</tbody></table>"
    )


def _cells(tag: str, texts: Sequence[str], is_number: Sequence[bool]) -> str:
    return "".join(
        f"<{tag}{' class=number' if number else ''}>{escape(text)}</{tag}>"
        for text, number in zip(texts, is_number, strict=True)
    )


def _cell(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, datetime | date):
        return f"{value:%Y-%m-%d}"
    return _number(value) if _is_number(value) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: float) -> str:
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:,.4g}"
