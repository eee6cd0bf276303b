"""The archive of the JVM's classes: found where it fits, absent where it does not, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from retail_spark.spark.class_archive import archive_file, empty_conf_folder, make_options, use_options
from retail_spark.spark.session import CLASS_PATH, class_archive, on_class_path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "retail-spark"


def test_another_java_or_another_jar_has_another_archive(tmp_path: Path, cache: Path) -> None:
    jar, java = tmp_path / "delta.jar", tmp_path / "java"
    jar.write_bytes(b"one")
    java.mkdir()
    first = archive_file(java, [jar])
    assert first == archive_file(java, [jar])
    assert first.parent == cache
    (java / "release").write_text('JAVA_VERSION="17.0.15"')
    second = archive_file(java, [jar])
    jar.write_bytes(b"another")
    assert len({first, second, archive_file(java, [jar])}) == 3


def test_deltas_jars_move_to_the_class_path_before_the_users_own() -> None:
    moved = on_class_path({"spark.jars": "/a/delta.jar,/a/storage.jar", CLASS_PATH: "/mine", "spark.x": "1"})
    assert moved == {CLASS_PATH: "/a/delta.jar:/a/storage.jar:/mine", "spark.x": "1"}


def test_while_spark_has_to_find_the_jars_there_is_no_archive() -> None:
    conf = {"spark.jars.packages": "io.delta:delta-spark_4.1_2.13:4.4.0"}
    assert on_class_path(conf) == conf
    assert class_archive(conf) is None


def test_the_options_name_the_archive_and_keep_the_jvm_silent(tmp_path: Path) -> None:
    archive = tmp_path / "classes.jsa"
    assert use_options(archive)[0] == f"-XX:SharedArchiveFile={archive}"
    assert make_options(archive)[0] == f"-XX:ArchiveClassesAtExit={archive}"
    assert "-Xshare:auto" in use_options(archive), "an archive that does not fit stops no JVM"


def test_the_folder_for_sparks_conf_is_empty(cache: Path) -> None:
    assert empty_conf_folder().parent == cache
    assert list(empty_conf_folder().iterdir()) == []
