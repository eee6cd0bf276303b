from __future__ import annotations

from pathlib import Path

import pytest

from retail_spark.errors import UsageError
from retail_spark.secrets import SecretRef, masked


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    assert SecretRef(f"file:{tmp_path}/token").reveal() == "abc"


def test_a_missing_secret_names_its_reference(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="NOT_THERE_AT_ALL"):
        SecretRef("env:NOT_THERE_AT_ALL").reveal()
    with pytest.raises(UsageError, match="cannot be read"):
        SecretRef(f"file:{tmp_path}/absent").reveal()


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ann:hush@db/x",
        "jdbc:postgresql://db/x?user=ann&password=hush",
        "jdbc:sqlserver://db;password=hush;x=1",
        "https://store/x?sig=hush",
        "token=hush",
    ],
)
def test_passwords_are_masked_in_text(text: str) -> None:
    assert "hush" not in masked(text)


def test_harmless_text_stays_as_it_is() -> None:
    assert masked("see https://mlflow.example/runs?page=2") == "see https://mlflow.example/runs?page=2"
