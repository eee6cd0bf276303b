"""The whole house on a tiny made-up retailer: twice the same, MLflow down, and what is registered can be loaded."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from retail_spark.engine.catalogue import entry
from retail_spark.engine.job import Result
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.errors import ServiceMissingError
from retail_spark.lake.sql import facts, run_sql, tables
from retail_spark.lake.table_name import TableName
from tests.house import DOMAINS, ORDER, REPO, House, house_settings

NOTEBOOKS = REPO / "notebooks"
# late events and impossible times: one ingest of sound rows has none; and no product of the tiny shop need end soon
EMPTY = {"gold.session_redirects", "gold.session_dead_letters", "gold.markdown_plans"}


def _rows(result: Result) -> dict[str, int]:
    """Rows a table of this run, without id maps: who has a number already gets no second one."""
    return {name: about["rows"] for name, about in result.tables.items() if not name.startswith("ids.")}


@pytest.mark.slow
def test_forced_again_every_table_holds_the_same(house: House) -> None:
    before = house.contents()
    assert "gold.recommendations" in before
    for name in before:
        if "quarantine" not in name and name not in EMPTY:
            assert facts(house.lake, TableName.parse(name)).rows, name
    for name in DOMAINS:  # that raw and silver come out the same is the matter of synthetic's and ingest's own tests
        again = house.run(name, force=True)
        assert again.status in ("done", "gate_refused")
        assert _rows(again) == _rows(house.first[name])
    assert house.contents() == before


@pytest.mark.slow
def test_run_again_every_job_answers_unchanged_without_spark(house: House) -> None:
    before = house.contents()
    for name in ORDER:
        again = house.run_without_spark(name)
        assert again.status == "unchanged"
        # computed twice, means may differ in the last bit: Spark adds up partitions as they come
        assert again.metrics == pytest.approx(house.first[name].metrics, rel=1e-9)
    assert house.contents() == before


@pytest.mark.slow
def test_no_time_is_stored_as_int96(house: House) -> None:
    files = [file for table in tables(house.lake) for file in Path(house.lake.path(table)).glob("**/*.parquet")]
    stored = {kind for file in files if "_delta_log" not in file.parts for kind in _physical_types(file)}
    assert "INT64" in stored
    assert "INT96" not in stored


def _physical_types(file: Path) -> set[str]:
    schema = pq.read_metadata(file).schema
    return {schema.column(n).physical_type for n in range(len(schema))}


@pytest.mark.slow
@pytest.mark.parametrize("notebook", sorted(NOTEBOOKS.glob("*.py")), ids=lambda path: path.stem)
def test_a_notebook_draws_its_pictures_from_the_output_tables(
    house: House, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETAIL_SPARK__LAKE__ROOT", str(house.settings.lake.root))
    runpy.run_path(str(notebook))
    pictures = list(Path(house.settings.lake.root).glob(f"_notebooks/{notebook.stem}_*.png"))
    assert len(pictures) == 2
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


@pytest.fixture
def own_names(spark: SparkSession) -> Iterator[None]:
    """No table names from another test's lake in the session's catalog, before and after."""

    def forget() -> None:
        for schema in ("silver", "gold", "ops"):
            spark.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")  # external tables: no data is deleted

    forget()
    yield
    forget()


QUERIES = [
    pytest.param(query, id=f"{path.stem}-{number}")
    for path in sorted((REPO / "deploy" / "sql").glob("*.sql"))
    for number, query in enumerate(path.read_text(encoding="utf-8").split(";"), start=1)
    if query.strip()
]


@pytest.mark.slow
@pytest.mark.usefixtures("own_names")
@pytest.mark.parametrize("query", QUERIES)
def test_the_shipped_sql_answers(house: House, query: str) -> None:
    assert run_sql(house.lake, query).limit(5).collect()


@pytest.mark.slow
def test_without_mlflow_a_job_that_learns_changes_no_table(house: House) -> None:
    before = house.contents()
    down = house_settings(house.settings.lake.root, "mlflow.tracking_uri=http://127.0.0.1:9", "run.seed=7")
    runs = house.lake.pin(next(t for t in tables(house.lake) if str(t) == "ops.job_runs"))
    with pytest.raises(ServiceMissingError, match="MLflow"):
        run_job(entry("recommend").job(), down, spark=house.spark, progress=Progress("recommend", quiet=True))
    assert house.contents() == before
    assert house.lake.pin(next(t for t in tables(house.lake) if str(t) == "ops.job_runs")) == runs
