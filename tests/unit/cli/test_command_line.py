"""The command line at its edges: exit codes and words of wrong commands, escapes, a full temporary folder."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from retail_spark.cli import main as cli
from retail_spark.cli.escaped import visible
from retail_spark.errors import InputError


@pytest.mark.parametrize(
    "words",
    [["run"], ["runn"], ["run", "ingest", "--absent"], ["tables", "too", "many"], ["sql"], ["run", "absent"], []],
)
def test_a_wrong_command_line_is_exit_2_in_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    said = capsys.readouterr()
    assert json.loads(said.out.splitlines()[-1])["exit_code"] == 2
    assert "fix: " in said.err
    assert "Traceback" not in said.err + said.out
    assert ".trace" not in said.err


def test_help_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "run" in capsys.readouterr().out


def fail_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> int:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "_settings", failing)
    return cli.main(["config"])


def test_a_full_temporary_folder_does_not_hide_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    assert fail_with(KeyError("odd"), monkeypatch) == 1
    said = capsys.readouterr()
    assert "KeyError: 'odd'" in said.err
    assert "could not be kept" in said.err
    assert json.loads(said.out)["exit_code"] == 1


def test_the_trace_of_what_nobody_thought_of_is_kept_for_the_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert fail_with(KeyError("password=hush"), monkeypatch) == 1
    trace = next(tmp_path.glob("retail-spark-*.trace"))
    assert trace.stat().st_mode & 0o077 == 0
    assert "hush" not in trace.read_text() + capsys.readouterr().err


def test_text_from_data_cannot_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail_with(InputError("the file a\x1b[31m\nb is bad", fix="mend it"), monkeypatch) == 3
    said = capsys.readouterr()
    assert "a\\x1b[31m\\nb" in said.err
    assert "\x1b" not in said.err + said.out
    assert len(visible("x" * 10_000)) < 5000
    assert visible("Grün, 日本") == "Grün, 日本"
