"""A secret in every place where a user may put one, and a person who leaves: found nowhere afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

PERSON = "canary-person"
SECRETS = {name: f"canary-{name}-7f3a" for name in ("salt", "hash", "token", "key", "jdbc", "env", "url")}


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line, with the secrets in its environment and in files, and Spark's event log on."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    environ = os.environ | {
        "TMPDIR": str(temporary), "SALT": SECRETS["salt"], "TOKEN": SECRETS["token"], "JDBC": SECRETS["jdbc"],
        "RETAIL_SPARK__SPARK__CONF": json.dumps({"spark.hadoop.fs.azure.account.key": SECRETS["env"]}),
    }  # fmt: skip
    (folder / "hash.txt").write_text(SECRETS["hash"])
    (folder / "events").mkdir(exist_ok=True)
    sets = [
        f"lake.root={folder}/lake", "privacy.salt=env:SALT", "mlflow.token=env:TOKEN",
        f"ingest.hash_salt=file:{folder}/hash.txt", f"spark.conf.spark.hadoop.fs.s3a.secret.key={SECRETS['key']}",
        "spark.conf.spark.eventLog.enabled=true", f"spark.conf.spark.eventLog.dir=file://{folder}/events",
    ]  # fmt: skip
    options = [part for text in sets for part in ("--set", text)]
    line = [sys.executable, "-m", "retail_spark.cli", *words, *options]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environ)


def places(folder: Path, *runs: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """All that was written or said, by its place. Of data files what ops tables hold now: old rows await VACUUM."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != "hash.txt"]
    found = {
        str(file.relative_to(folder)): file.read_bytes().decode("utf-8", "replace")
        for file in files
        if file.suffix != ".parquet"
    }
    for log in (folder / "lake" / "ops").glob("*/_delta_log"):
        found[f"rows of {log.parent.name}"] = str(DeltaTable(log.parent).to_pyarrow_table().to_pylist())
    for number, run in enumerate(runs):
        found |= {f"stdout {number}": run.stdout, f"stderr {number}": run.stderr}
    return found


def leaks(found: dict[str, str], *texts: str) -> list[tuple[str, str]]:
    return [(place, text) for place, said in found.items() for text in texts if text in said]


@pytest.mark.slow
def test_settings_are_printed_and_refused_without_a_secret(tmp_path: Path) -> None:
    shown = command(tmp_path, "config")
    refused = command(tmp_path, "config", "--set", f"mlflow.tracking_uri=https://ann:{SECRETS['url']}@mlflow.example/")
    wrong = command(tmp_path, "config", "--set", f"spark.pasword={SECRETS['url']}", "--password", SECRETS["jdbc"])
    assert (shown.returncode, refused.returncode, wrong.returncode) == (0, 2, 2)
    assert "fs.s3a.secret.key" in shown.stdout
    assert leaks(places(tmp_path, shown, refused, wrong), *SECRETS.values()) == []


@pytest.mark.slow
def test_neither_secrets_nor_people_stand_in_logs_tables_or_messages(tmp_path: Path) -> None:
    rows = {"event_id": ["1", "2"], "visitor_id": ["v1", "v2"], "customer_id": [PERSON, "bob"]}
    write_deltalake(tmp_path / "lake" / "silver" / "events", pa.table(rows))
    (tmp_path / "people").mkdir()
    people = tmp_path / "people" / "list.txt"
    people.write_text(f"\ufeffcustomer_id\n{PERSON}\n")
    erased = command(tmp_path, "run", "erase", "--set", f"erase.customers=file:{people}")
    people.unlink()
    assert erased.returncode == 0, erased.stderr
    assert json.loads(erased.stdout.splitlines()[-1])["metrics"]["rows"] == 1.0
    assert DeltaTable(tmp_path / "lake" / "silver" / "events").to_pyarrow_table()["customer_id"].to_pylist() == ["bob"]
    mapping = {
        "source": "shop",
        "inputs": {"x": {"jdbc": {"url": "jdbc:none://db/x", "query": "q", "user": "app", "password": "env:JDBC"}}},
        "tables": {"products": {"from": "x", "columns": {"product_id": "id"}}},
    }
    (tmp_path / "mapping.yml").write_text(json.dumps(mapping))
    failed = command(tmp_path, "run", "ingest", "-c", f"{tmp_path}/mapping.yml")
    assert failed.returncode == 6, failed.stderr
    assert "JDBC driver" in failed.stderr
    found = places(tmp_path, erased, failed)
    assert any(place.startswith("events") for place in found), "Spark wrote its event log"
    assert "rows of job_runs" in found
    lost = leaks(found, *SECRETS.values())
    lost += [(place, PERSON) for place, _ in leaks(found, PERSON) if "silver/events/_delta_log/" not in place]
    assert lost == []
    deleting = [said for place, said in found.items() if place.endswith("silver/events/_delta_log/" + f"{1:020d}.json")]
    assert deleting
    assert "MERGE" in deleting[0]
    assert PERSON not in "".join(line for line in deleting[0].splitlines() if "commitInfo" in line)
