from __future__ import annotations

from pathlib import Path

import pytest

from retail_spark.config import secrets
from retail_spark.config.secrets import SecretRef, masked, masked_values
from retail_spark.errors import UsageError


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    assert SecretRef(f"file:{tmp_path}/token").reveal() == "abc"


def test_a_missing_secret_names_its_reference(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="NOT_THERE_AT_ALL"):
        SecretRef("env:NOT_THERE_AT_ALL").reveal()
    with pytest.raises(UsageError, match="cannot be read"):
        SecretRef(f"file:{tmp_path}/absent").reveal()


HUSH = [
    "postgresql://ann:hush@db/x",
    "postgresql://ann:pa/hush@db/x",
    "postgresql://ann:p@hush@db/x",
    "jdbc:postgresql://db/x?user=ann&password=hush",
    "jdbc:sqlserver://db;password=hush;x=1",
    "jdbc:oracle:thin:ann/hush@db:1521:x",
    "jdbc:oracle:thin:ann/hu/hush@//db/x",
    "https://hush@host/path",
    "https://store/x?sig=hush",
    "https://store/x?X-Amz-Signature=hush&X-Amz-Date=1",
    "s3a://AKIA:hush@bucket/path",
    "token=hush",
    "password: hush",
    "password = hush",
    "{'password': 'hush', 'user': 'ann'}",
    '{"password":"hush"}',
    '{"password": "a \\"b hush"}',
    "--password hush",
    "run --db-password hush --now",
    "Authorization: Bearer hush-hush.hush",
    "Authorization: hush",
    "sent Bearer hush-hush.hush",
    "AccountKey=hush;EndpointSuffix=core.windows.net",
    "aws_secret_access_key = hush",
    "aws_access_key_id=hush",
    "client_secret=hush",
    "refresh_token=hush",
    "PGPASSWORD=hush psql",
    "fs.s3a.secret.key=hush",
    "spark.hadoop.fs.s3a.access.key: hush",
    "SharedAccessSignature=sv=1&sig=hush",
    "SharedAccessKey=hush",
    "api-key: hush",
    "passphrase='hush hush'",
    "ingest.hash_salt=hush",
    "-----BEGIN RSA PRIVATE KEY-----\nhush\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("text", HUSH)
def test_secrets_are_masked_in_text_and_masking_twice_changes_nothing(text: str) -> None:
    once = masked(f"it said {text} and ended")
    assert "hush" not in once
    assert masked(once) == once


def test_a_secret_that_was_fetched_is_hidden_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_revealed", set())
    monkeypatch.setenv("CANARY", "plainword7")
    assert masked("the row plainword7 is odd") == "the row plainword7 is odd"
    SecretRef("env:CANARY").reveal()
    assert masked("the row plainword7 is odd") == "the row *** is odd"


@pytest.mark.parametrize(
    "text",
    [
        "see https://mlflow.example/runs?page=2",
        "token: env:MLFLOW_TOKEN",
        "token: null",
        "password=None",
        "--set privacy.salt=env:SALT",
        "abfss://lake@account.dfs.core.windows.net/x",
        "12:30:00 ann@example.org wrote 5 keys",
        "key=store_id, rows=5",
        "jdbc:postgresql://db/x?user=ann",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text


def test_settings_are_masked_by_their_names() -> None:
    given = {"conf": {"spark.hadoop.fs.s3a.secret.key": "a b"}, "token": "env:T", "urls": ["https://hush@x"], "n": 1}
    assert masked_values(given) == {
        "conf": {"spark.hadoop.fs.s3a.secret.key": "***"}, "token": "env:T", "urls": ["https://***@x"], "n": 1,
    }  # fmt: skip


def test_harmless_text_stays_as_it_is() -> None:
    assert masked("see https://mlflow.example/runs?page=2") == "see https://mlflow.example/runs?page=2"
