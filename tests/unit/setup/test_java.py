"""Which Java is taken, on machines that have none, a wrong one, or several."""

from __future__ import annotations

from pathlib import Path

import pytest

from retail_spark.errors import ServiceMissingError
from retail_spark.spark.java import java_home


def jvm(folder: Path, version: str, *, release: bool = True) -> Path:
    """A made-up Java that knows nothing but its version."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    java.chmod(0o755)
    if release:
        (folder / "release").write_text(f'IMPLEMENTOR="Debian"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Java: nothing in JAVA_HOME and PATH; its folder of JVMs is `jvms`."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    (tmp_path / "jvms").mkdir()
    return tmp_path


def test_no_java_at_all_says_what_to_install(machine: Path) -> None:
    with pytest.raises(ServiceMissingError, match="no Java") as told:
        java_home(jvms=machine / "jvms")
    assert "openjdk-17-jre-headless" in told.value.fix
    assert told.value.exit_code == 6


@pytest.mark.parametrize("version", ["17.0.15", "21.0.2"])
@pytest.mark.parametrize("release", [True, False])
def test_java_home_is_taken(machine: Path, monkeypatch: pytest.MonkeyPatch, version: str, release: bool) -> None:
    home = jvm(machine / "java", version, release=release)
    monkeypatch.setenv("JAVA_HOME", str(home))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert java_home(jvms=machine / "jvms") == home


def test_a_wrong_java_in_path_gives_way_to_a_right_one_among_the_jvms(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(jvm(machine / "newest", "25.0.3") / "bin"))
    right = jvm(machine / "jvms" / "java-17", "17.0.15")
    jvm(machine / "jvms" / "java-11", "11.0.1")
    assert java_home(jvms=machine / "jvms") == right


def test_a_link_in_path_leads_to_the_home_of_that_java(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = jvm(machine / "java", "17.0.15")
    (machine / "bin").mkdir()
    (machine / "bin" / "java").symlink_to(home / "bin" / "java")
    monkeypatch.setenv("PATH", str(machine / "bin"))
    assert java_home(jvms=machine / "jvms") == home


def test_only_wrong_ones_are_all_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(machine / "gone"))
    jvm(machine / "jvms" / "java-11", "11.0.1")
    jvm(machine / "jvms" / "java-8", "1.8.0_402")
    with pytest.raises(ServiceMissingError) as told:
        java_home(jvms=machine / "jvms")
    assert "java-11 is Java 11" in told.value.what
    assert "gone has no working java" in told.value.what
