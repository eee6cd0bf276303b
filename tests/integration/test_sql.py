from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_spark.cli.query_output import listed, rendered
from retail_spark.config.section import LakeSettings, Settings
from retail_spark.engine.launch import open_lake_for_query
from retail_spark.errors import InputError, UsageError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.commit import carry_out
from retail_spark.lake.delta_log import local_facts
from retail_spark.lake.lake import Lake
from retail_spark.lake.sql import facts
from retail_spark.lake.write import replace_slice
from tests.toy import INPUT, SLICE, put_input


@pytest.fixture
def filled(lake: Lake) -> Lake:
    """Two snapshots of a gold table, and a silver table."""
    put_input(lake, ("a", "2024-01-01", 1.0))
    for day, value in ((1, 1.0), (2, 2.5)):
        frame = frame_of_rows(lake.spark, [(date(2024, 1, day), 'x,"y', value, "r", None)], SLICE.schema)
        carry_out(lake, replace_slice(SLICE, frame, as_of=date(2024, 1, day)), run_id=f"day {day}")
    # a fresh catalog, as every process has
    for table in ("gold.toy_slice", "silver.toy"):
        lake.spark.sql(f"DROP TABLE IF EXISTS {table}")
    lake.spark.sql("DROP VIEW IF EXISTS gold.latest_toy_slice")
    return lake


def answer(lake: Lake, query: str, form: str = "csv") -> str:
    return rendered(lake, query, form=form, limit=100)[0]


def test_tables_are_found_by_their_name(filled: Lake) -> None:
    assert answer(filled, "SELECT id, value FROM silver.toy") == "id,value\na,1.0\n"
    assert answer(filled, "SELECT count(*) AS n FROM GOLD.toy_slice JOIN silver.toy USING (value)") == "n\n1\n"


def test_latest_is_the_newest_snapshot(filled: Lake) -> None:
    assert answer(filled, "SELECT as_of, value FROM gold.latest_toy_slice") == "as_of,value\n2024-01-02,2.5\n"


def test_every_form_says_the_same(filled: Lake) -> None:
    query = "SELECT id, value, run_id, model_version FROM gold.latest_toy_slice"
    assert next(csv.DictReader(io.StringIO(answer(filled, query)))) == {
        "id": 'x,"y', "value": "2.5", "run_id": "r", "model_version": "",
    }  # fmt: skip
    assert json.loads(answer(filled, query, "json")) == {
        "id": 'x,"y', "value": 2.5, "run_id": "r", "model_version": None,
    }  # fmt: skip
    head, rule, row = answer(filled, query, "table").splitlines()
    assert head.split() == ["id", "value", "run_id", "model_version"]
    assert set(rule) == {"-", " "}
    assert row.split() == ['x,"y', "2.5", "r"]


def test_a_cut_is_told(filled: Lake) -> None:
    assert rendered(filled, "SELECT id FROM gold.toy_slice", form="csv", limit=1) == ('id\n"x,""y"\n', True)


def test_an_unknown_table_or_column_names_what_is_there(filled: Lake) -> None:
    with pytest.raises(InputError, match=r"tables: gold\.toy_slice, silver\.toy"):
        answer(filled, "SELECT * FROM silver.absent")
    with pytest.raises(InputError, match="absent"):
        answer(filled, "SELECT absent FROM silver.toy")
    with pytest.raises(UsageError, match="does not parse"):
        answer(filled, "SELEC 1")


CHANGES = (
    "DELETE FROM silver.toy",
    "/* SELECT */ DROP TABLE silver.toy",
    "WITH x AS (SELECT 1 AS id) INSERT INTO silver.toy SELECT id, current_date(), 1.0 FROM x",
    "FROM silver.toy INSERT INTO silver.toy SELECT * INSERT INTO silver.toy SELECT *",
    "UPDATE silver.toy SET value = 2",
    "MERGE INTO silver.toy t USING silver.toy s ON t.id = s.id WHEN MATCHED THEN DELETE",
    "TRUNCATE TABLE silver.toy",
    "CREATE TABLE silver.other AS SELECT 1",
    "CREATE OR REPLACE TEMP VIEW v AS SELECT 1",
    "INSERT OVERWRITE DIRECTORY '/tmp/x' USING csv SELECT 1",
    "SET spark.sql.ansi.enabled = false",
    "VACUUM silver.toy",
    "OPTIMIZE silver.toy",
    "RESTORE TABLE silver.toy TO VERSION AS OF 0",
    "CREATE TABLE silver.copy SHALLOW CLONE silver.toy",
    "ALTER TABLE silver.toy ADD COLUMNS (x INT)",
    "SELECT reflect('java.lang.System', 'setProperty', 'a', 'b')",
)


def test_sql_only_reads(filled: Lake) -> None:
    version = facts(filled, INPUT.table).version
    for statement in CHANGES:
        with pytest.raises(UsageError, match="only reads"):
            answer(filled, statement)
    assert facts(filled, INPUT.table).version == version
    # and questions of every kind are answered
    assert answer(filled, "WITH x AS (SELECT id FROM silver.toy) SELECT 'DROP TABLE x' AS t, id FROM x ORDER BY id")
    assert "toy" in answer(filled, "SHOW TABLES IN silver")
    assert "value" in answer(filled, "DESCRIBE TABLE silver.toy")
    assert "Plan" in answer(filled, "EXPLAIN SELECT * FROM silver.toy")
    assert answer(filled, "VALUES (1), (2)") == "col1\n1\n2\n"


def test_text_from_data_is_shown_and_not_obeyed(lake: Lake) -> None:
    query = r"SELECT concat('a', char(27), '[31m', char(10), 'b') AS t, '=1+1' AS f, -1 AS n"
    table = answer(lake, query, "table")
    assert r"a\x1b[31m\nb" in table
    assert len(table.splitlines()) == 3
    assert next(csv.DictReader(io.StringIO(answer(lake, query)))) == {"t": "a\x1b[31m\nb", "f": "=1+1", "n": "-1"}
    safe = rendered(lake, query, form="csv", limit=1, for_spreadsheets=True)[0]
    assert next(csv.DictReader(io.StringIO(safe)))["f"] == "'=1+1"
    assert next(csv.DictReader(io.StringIO(safe)))["n"] == "-1"


def test_a_root_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no lake at"):
        open_lake_for_query(Settings(lake=LakeSettings(root=str(tmp_path / "mistyped"))))
    assert not (tmp_path / "mistyped").exists()


def test_an_empty_log_folder_is_no_table(lake: Lake) -> None:
    (Path(lake.root) / "silver" / "crashed" / "_delta_log").mkdir(parents=True)
    assert "holds no tables" in listed(lake)


def test_tables_are_listed_with_rows_and_grain(filled: Lake) -> None:
    assert [line.split()[:3] for line in listed(filled).splitlines()[2:]] == [
        ["gold.toy_slice", "2", "2"],
        ["silver.toy", "1", "1"],
    ]
    assert "One row per id." in listed(filled)


def test_a_local_lake_is_listed_without_spark(filled: Lake) -> None:
    def no_session() -> SparkSession:
        raise AssertionError("Delta's log tells it")

    assert listed(Lake(no_session, filled.root, None)) == listed(filled)


def test_what_the_log_does_not_tell_is_counted(filled: Lake) -> None:
    """Rows taken away by a deletion vector, and a file whose statistics somebody left out."""
    ref = filled.ref(SLICE.table)
    filled.spark.sql(f"ALTER TABLE {ref} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')").collect()
    rows = frame_of_rows(filled.spark, [(date(2024, 1, 3), str(n), 1.0, "r", None) for n in range(4)], SLICE.schema)
    carry_out(filled, replace_slice(SLICE, rows.coalesce(1), as_of=date(2024, 1, 3)), run_id="day 3")
    filled.spark.sql(f"DELETE FROM {ref} WHERE id = '2'").collect()
    assert facts(filled, SLICE.table).rows == 2 + 3
    log = Path(filled.root) / "silver" / "toy" / "_delta_log" / f"{1:020d}.json"
    bare = [
        json.dumps({"add": {k: v for k, v in action["add"].items() if k != "stats"}} if "add" in action else action)
        for action in map(json.loads, log.read_text().splitlines())
    ]
    log.write_text("\n".join(bare))
    log.with_name(f".{log.name}.crc").unlink()
    assert (local_facts(filled.path(INPUT.table)).rows, facts(filled, INPUT.table).rows) == (None, 1)


@pytest.mark.slow
def test_the_command_prints_the_result_and_nothing_else(filled: Lake) -> None:
    command = [
        sys.executable,
        "-m",
        "retail_spark.cli",
        "sql",
        "--set",
        f"lake.root={filled.root}",
        "--engine",
        "spark",
    ]
    command += ["--format", "csv", "--engine", "spark"]
    done = subprocess.run([*command, "SELECT id, value FROM silver.toy"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "id,value\na,1.0\n", "")
    wrong = subprocess.run([*command, "SELECT 1 FROM silver.absent"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 3
    assert "`silver`.`absent` cannot be found" in wrong.stderr
    assert json.loads(wrong.stdout)["exit_code"] == 3
    assert Path(filled.root, "_logs", "spark.log").exists()
