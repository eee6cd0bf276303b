"""The HTML of Data Docs: an index of runs, and a page per run and table. No scripts; nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from retail_spark.lake.contract import Contract
from retail_spark.quality.report import CheckReport, CheckResult

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="{up}docs.css">
</head>
<body>
<header><a href="{up}index.html">Data Docs</a><span>what was checked before it was written</span></header>
<main>
{body}
</main>
</body>
</html>
"""


def index_page(runs: Sequence[Mapping[str, Any]]) -> str:
    """The runs, newest first, each with its tables."""
    tables = [table for run in runs for table in run["tables"].values()]
    failed = sum(1 for table in tables if table["failed"])
    counts = {"Runs": len(runs), "Tables checked": len(tables), "Tables with failed checks": failed}
    shown = tiles(_texts(counts), alarming=failed > 0)
    body = "\n".join(_run_section(run) for run in runs)
    return _PAGE.format(title="Data Docs", up="", body=f"<h1>Checked runs</h1>\n{shown}\n{body}")


def table_page(report: CheckReport, contract: Contract, run: Mapping[str, Any]) -> str:
    """One table in one run: every check with its result and counts."""
    failed = len(report.failed)
    counts = {"Rows": report.rows, "Checks": len(report.results), "Failed": failed}
    shown = tiles(_texts(counts), alarming=failed > 0)
    told = [("Job", run["job"]), ("Run", run["run_id"]), ("Attempt", run["attempt"])]
    told += [("As of", run["as_of"] or "—"), ("Checked at", f"{run['checked_at']} UTC")]
    told += [("Key", ", ".join(contract.key) or "—")]
    body = (
        f"<h1>{escape(report.table)} {_badge(failed)}</h1>\n<p>{escape(contract.grain)}</p>\n"
        f"{facts(told)}\n{shown}\n{_results(report.results)}"
    )
    return _PAGE.format(title=f"{escape(report.table)} · {escape(run['run_id'])}", up="../../", body=body)


def _run_section(run: Mapping[str, Any]) -> str:
    as_of = f" as of {run['as_of']}" if run["as_of"] else ""
    rows = "\n".join(
        f"<tr><td>{_badge(table['failed'])}</td>"
        f'<td><a href="runs/{escape(run["run_id"])}/{escape(name)}.html">{escape(name)}</a></td>'
        f'<td class="number">{table["rows"]:,}</td><td class="number">{table["checks"]}</td>'
        f'<td class="number">{table["failed"]}</td></tr>'
        for name, table in run["tables"].items()
    )
    return (
        f"<section><h2>{escape(run['job'])}{escape(as_of)}</h2>\n"
        f"<p>run <code>{escape(run['run_id'])}</code>, attempt {run['attempt']}, {escape(run['checked_at'])} UTC</p>\n"
        f"{_head('Status', 'Table', numbers=('Rows', 'Checks', 'Failed'))}\n"
        f"<tbody>\n{rows}\n</tbody></table></section>"
    )


def _results(results: Iterable[CheckResult]) -> str:
    """The checks that failed, then those that passed, each in the contract's order."""
    groups = groupby(sorted(results, key=_failed_first), key=lambda result: result.success)
    return "\n".join(
        f"<section><h2>{'Passed' if passed else 'Failed'}</h2>\n"
        f"{_head('Status', 'Columns', 'Rule', numbers=('Unexpected',))}\n"
        f"<tbody>\n{''.join(_result_row(result) for result in group)}</tbody></table></section>"
        for passed, group in groups
    )


def _head(*texts: str, numbers: Sequence[str]) -> str:
    cells = "".join(f"<th>{text}</th>" for text in texts) + "".join(f'<th class="number">{n}</th>' for n in numbers)
    return f"<table><thead><tr>{cells}</tr></thead>"


def _failed_first(result: CheckResult) -> bool:
    return result.success


def _result_row(result: CheckResult) -> str:
    count = "—" if result.unexpected_count is None else f"{result.unexpected_count:,}"
    return (
        f"<tr><td>{_badge(0 if result.success else 1)}</td><td>{escape(', '.join(result.columns) or 'table')}</td>"
        f"<td><code>{escape(result.rule)}</code><small>{escape(result.expectation)}</small>{_examples(result)}</td>"
        f'<td class="number">{count}</td></tr>\n'
    )


def _examples(result: CheckResult) -> str:
    if result.is_personal and result.examples:
        return "<p>Example rows name a customer or visitor; they stand in the message of the run, not here.</p>"
    return "".join(f"<pre>{escape(example)}</pre>" for example in result.examples)


def _badge(failed: int) -> str:
    return '<span class="badge bad">failed</span>' if failed else '<span class="badge good">passed</span>'


def tiles(texts: Mapping[str, str], *, alarming: bool = False) -> str:
    """Large texts over their names, side by side; `alarming` marks the last one."""
    last = len(texts) - 1
    told = "".join(
        f"<div{' class=' + chr(34) + 'alarm' + chr(34) if alarming and i == last else ''}>"
        f"<strong>{escape(text)}</strong><span>{escape(name)}</span></div>"
        for i, (name, text) in enumerate(texts.items())
    )
    return f'<div class="tiles">{told}</div>'


def facts(about: Iterable[tuple[str, object]]) -> str:
    """Small facts under their names."""
    told = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(str(fact))}</dd></div>" for name, fact in about)
    return f'<dl class="facts">{told}</dl>'


def _texts(counts: Mapping[str, int]) -> dict[str, str]:
    return {name: f"{count:,}" for name, count in counts.items()}
