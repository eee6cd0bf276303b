"""Where a session writes beside the lake, and how Java is told to read names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from retail_spark.config.section import LakeSettings, Settings
from retail_spark.spark import session


def beside(root: object) -> Path:
    return session._beside(Settings(lake=LakeSettings(root=str(root))), "_logs")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(session.tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


def test_a_lake_that_may_be_written_keeps_its_logs(tmp_path: Path) -> None:
    assert beside(tmp_path) == tmp_path / "_logs"
    assert beside(tmp_path / "new") == tmp_path / "new" / "_logs"


def test_a_lake_that_may_only_be_read_or_is_remote_logs_to_a_folder_of_the_user_alone(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and may(path, mode))
    for root in (tmp_path, "s3a://bucket/lake"):
        folder = beside(root)
        assert folder.parent.parent == temporary
        assert folder.parent.stat().st_mode & 0o077 == 0


def test_a_folder_that_somebody_else_made_first_is_not_used(temporary: Path) -> None:
    (temporary / "theirs").mkdir()
    (temporary / f"retail-spark-{os.getuid()}").symlink_to(temporary / "theirs")
    assert not (beside("s3a://bucket/lake").resolve().is_relative_to(temporary / "theirs"))


@pytest.mark.parametrize(
    ("given", "then"), [("C", "C.UTF-8"), ("POSIX", "C.UTF-8"), ("C.UTF-8", "C.UTF-8"), ("de_DE.UTF-8", "de_DE.UTF-8")]
)
def test_java_reads_names_in_utf_8_under_a_plain_locale(given: str, then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", given)
    with session._unicode_names():
        assert os.environ["LC_ALL"] == then
    assert os.environ["LC_ALL"] == given
