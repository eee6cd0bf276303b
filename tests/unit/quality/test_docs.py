"""Data Docs: static, offline, replaced by a rerun."""

from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from retail_spark.errors import UsageError
from retail_spark.quality.docs import DataDocs
from retail_spark.quality.report import CheckReport, CheckResult
from retail_spark.tables.silver import CUSTOMERS, SALES

NULL_CHECK = "expect_column_values_to_not_be_null"
PASSED = CheckResult(NULL_CHECK, ("sale_id",), "sale_id IS NOT NULL", True, 0)
FAILED = CheckResult(
    NULL_CHECK, ("unit_price",), "unit_price >= 0", False, 1234, ("sale_id=<b>s1</b>, unit_price=-1.0",)
)
REPORT = CheckReport("silver.sales", 5000, (PASSED, FAILED))
FINE = CheckReport("silver.customers", 7, (replace(PASSED, columns=("customer_id",), rule="customer_id IS NOT NULL"),))


def docs_of(root: Path, run_id: str = "r1", *, hour: int = 12, **other) -> DataDocs:
    return DataDocs(root, run_id, "recommend", 1, "2024-01-31", datetime(2024, 2, 1, hour), **other)


def files_of(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): p.read_text() for p in sorted(root.rglob("*")) if p.is_file()}


class Links(HTMLParser):
    """Collects what a page loads or points to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.targets: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.targets += [value for name, value in attrs if name in ("href", "src", "action", "data")]


def test_pages_hold_no_address_and_load_only_files_that_are_there(tmp_path):
    docs = docs_of(tmp_path)
    docs.add(REPORT, SALES)
    docs.add(FINE, CUSTOMERS)
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) == 3
    for name, text in files_of(tmp_path).items():
        assert "http:" not in text, name
        assert "https:" not in text, name
        assert "//" not in text.replace("<!doctype html>", ""), name
        assert "@import" not in text, name
        assert "url(" not in text, name
    for page in pages:
        links = Links()
        links.feed(page.read_text())
        assert links.targets
        assert not links.tags & {"script", "img", "iframe", "object"}
        assert all((page.parent / target).resolve().is_file() for target in links.targets)


def test_index_names_run_tables_and_status(tmp_path):
    docs = docs_of(tmp_path)
    docs.add(REPORT, SALES)
    docs.add(FINE, CUSTOMERS)
    index = docs.index.read_text()
    for part in ("recommend as of 2024-01-31", "r1", "silver.sales", "silver.customers", "5,000", "failed", "passed"):
        assert part in index


def test_table_page_names_every_check_with_count_and_escaped_example(tmp_path):
    page = docs_of(tmp_path).add(REPORT, SALES).read_text()
    for part in ("sale_id IS NOT NULL", "unit_price &gt;= 0", "1,234", "&lt;b&gt;s1&lt;/b&gt;", NULL_CHECK):
        assert part in page
    assert "<b>" not in page


def test_examples_that_name_a_customer_stay_out_of_the_page(tmp_path):
    personal = CheckResult(NULL_CHECK, ("region",), "region <> ''", False, 1, ("customer_id=ann",), is_personal=True)
    page = docs_of(tmp_path).add(CheckReport("silver.customers", 1, (personal,)), CUSTOMERS).read_text()
    assert "ann" not in page
    assert "region &lt;&gt;" in page


def test_rerun_replaces_the_pages_of_its_run(tmp_path):
    first = docs_of(tmp_path)
    first.add(REPORT, SALES)
    first.add(FINE, CUSTOMERS)
    before = files_of(tmp_path)
    again = docs_of(tmp_path)
    again.add(REPORT, SALES)
    again.add(FINE, CUSTOMERS)
    assert files_of(tmp_path) == before
    docs_of(tmp_path).add(FINE, CUSTOMERS)
    assert not (tmp_path / "runs" / "r1" / "silver.sales.html").exists()
    assert "silver.sales" not in (tmp_path / "index.html").read_text()


def test_index_lists_newest_first_and_keeps_a_bounded_number_of_runs(tmp_path):
    for hour, run_id in enumerate(("a", "b", "c")):
        docs_of(tmp_path, run_id, hour=hour, keep_runs=2).add(REPORT, SALES)
    index = (tmp_path / "index.html").read_text()
    assert index.index("<code>c</code>") < index.index("<code>b</code>")
    assert "<code>a</code>" not in index
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["b", "c"]


def test_remote_lake_skips_pages_with_a_reason():
    docs = DataDocs.open(
        Remote("s3://bucket/lake"),
        run_id="r1",
        job="recommend",
        attempt=1,
        as_of=None,
        checked_at=datetime(2024, 2, 1),
    )
    assert docs.add(REPORT, SALES) is None
    assert docs.index is None
    assert "s3://bucket/lake" in docs.skipped


def test_run_id_that_is_a_path_is_refused(tmp_path):
    with pytest.raises(UsageError):
        docs_of(tmp_path, "../../etc").add(REPORT, SALES)
    assert not list(tmp_path.iterdir())


class Remote:
    is_local = False

    def __init__(self, root: str) -> None:
        self.root = root
