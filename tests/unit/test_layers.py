from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from retail_spark.config.section import RunSettings, Section, section
from retail_spark.domains.forecast.settings import JobSettings
from retail_spark.engine.catalogue import settings_class
from retail_spark.engine.settings_layers import resolve, shown
from retail_spark.engine.settings_reference import defaults_as_yaml
from retail_spark.errors import UsageError


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def refusal(**layers: object) -> str:
    with pytest.raises(UsageError) as caught:
        resolve(**layers)  # type: ignore[arg-type]
    return str(caught.value)


layer = st.one_of(st.none(), st.integers(0, 10_000))


@given(file_one=layer, file_two=layer, environment=layer, given_set=layer)
def test_the_last_layer_that_says_something_wins(
    tmp_path_factory: pytest.TempPathFactory,
    file_one: int | None,
    file_two: int | None,
    environment: int | None,
    given_set: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("layers")
    files = [
        written(folder / f"{i}.yml", yaml.safe_dump({"run": {"seed": value}}))
        for i, value in enumerate((file_one, file_two))
        if value is not None
    ]
    environ = {} if environment is None else {"RETAIL_SPARK__RUN__SEED": str(environment)}
    sets = [] if given_set is None else [f"run.seed={given_set}"]
    said = [value for value in (42, file_one, file_two, environment, given_set) if value is not None]
    settings = resolve(files=files, environ=environ, sets=sets)
    assert settings.run.seed == said[-1]
    assert settings.run.max_failed_share == 0.05


def test_base_yml_says_just_the_defaults(tmp_path: Path) -> None:
    base = written(tmp_path / "base.yml", defaults_as_yaml())
    assert resolve(files=[base]) == resolve()


def test_base_yml_in_the_repository_is_fresh() -> None:
    base = Path(__file__).parents[2] / "conf" / "base.yml"
    assert base.read_text(encoding="utf-8") == defaults_as_yaml(), "run: retail-spark config --defaults > conf/base.yml"


def test_every_key_of_base_yml_has_a_comment() -> None:
    keys = [line for line in defaults_as_yaml().splitlines() if line and not line.startswith("#")]
    assert len(keys) > 30
    assert [line for line in keys if "  # " not in line or line.rstrip().endswith(("#", "None"))] == []


def test_an_unknown_key_is_refused_with_its_path_and_the_nearest_name(tmp_path: Path) -> None:
    message = refusal(files=[written(tmp_path / "mine.yml", "lake:\n  rot: /tmp/x\n")])
    assert "mine.yml" in message
    assert "lake.rot" in message
    assert "did you mean lake.root?" in message


@pytest.mark.parametrize("given", ["run.chance.seed=1", "run.old_seed=1"])
def test_a_key_of_an_earlier_version_is_refused_with_where_it_stands_now(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setattr(RunSettings, "MOVED", {"old_seed": "seed", "chance.seed": "seed"})
    message = refusal(sets=[given])
    key = given.partition("=")[0]
    if key == "run.old_seed":
        assert f"there is no setting '{key}'" in message
        assert "write run.seed" in message
    else:  # its whole group is gone
        assert "there is no setting 'run.chance'" in message
        assert "run.seed" in message


def test_every_key_that_moved_has_a_place_now() -> None:
    for group, name in sections_of(settings_class()):
        for old, new in group.MOVED.items():
            found: Any = group
            for key in new.split("."):
                assert key in found.model_fields, f"{name}: {old} is said to be {new}"
                found = found.model_fields[key].annotation
            assert old.partition(".")[0] not in group.model_fields or "." in old, f"{name}.{old} is there still"


def sections_of(model: type[BaseModel], name: str = "") -> Iterator[tuple[type[Section], str]]:
    for key, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield kind, f"{name}{key}"
            yield from sections_of(kind, f"{name}{key}.")


def test_a_wrong_unit_is_refused_with_the_right_one() -> None:
    message = refusal(sets=["mlflow.timeout_minutes=1"])
    assert "did you mean mlflow.timeout_seconds, in seconds?" in message
    message = refusal(sets=["mlflow.timeout_seconds=10s"])
    assert "mlflow.timeout_seconds" in message
    assert "in seconds, a plain number without the unit" in message


def test_a_key_in_the_wrong_section_is_told_where_it_belongs() -> None:
    assert "did you mean run.seed?" in refusal(sets=["gate.seed=1"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lake: [", "not YAML"),
        ("- a\n- b\n", "not sections"),
        ("run:\n  seed: 1\n  seed: 2\n", "given twice"),
        ("run: 5\n", "run"),
        ("run:\n  seed: -1\n", "run.seed"),
        ("run:\n  max_failed_share: .nan\n", "run.max_failed_share"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    message = refusal(files=[written(tmp_path / "broken.yml", text)])
    assert "broken.yml" in message
    assert said in message


def test_a_missing_file_and_bad_bytes_are_named(tmp_path: Path) -> None:
    assert "absent.yml" in refusal(files=[tmp_path / "absent.yml"])
    (tmp_path / "bytes.yml").write_bytes(b"run:\n  seed: \xff\n")
    assert "not UTF-8" in refusal(files=[tmp_path / "bytes.yml"])


def test_two_sources_at_once_are_refused(tmp_path: Path) -> None:
    one = written(tmp_path / "one.yml", "source: one\n")
    two = written(tmp_path / "two.yml", "source: two\n")
    assert "one source at a time" in refusal(files=[one, two])


def test_text_settings_keep_their_text() -> None:
    settings = resolve(sets=["lake.root=007", "mlflow.experiment=1e3", "spark.master="])
    assert settings.lake.root == "007"
    assert settings.mlflow.experiment == "1e3"
    assert settings.spark.master is None


@pytest.mark.parametrize(
    "text",
    ["/a b #1", "a: b: c", "%odd", "@odd", "/x[1]", "[1]", "2024-01-01", "*.csv", "yes: no", "- x", "it's", "!x"],
)
def test_a_text_is_taken_as_it_is(text: str) -> None:
    assert resolve(sets=[f"data_root={text}"]).data_root == text
    assert resolve(environ={"RETAIL_SPARK__DATA_ROOT": text}).data_root == text


def test_what_is_plainly_yaml_is_read_as_yaml() -> None:
    settings = resolve(
        sets=['data_root="#1"', "maintain.tables=[silver.sales, gold.x]", "quality.data_docs=no", "spark.conf={a: b}"]
    )
    assert settings.data_root == "#1"
    assert settings.maintain.tables == ["silver.sales", "gold.x"]  # type: ignore[attr-defined]
    assert settings.quality.data_docs is False
    assert settings.spark.conf == {"a": "b"}


def test_home_is_meant_by_a_tilde_and_memory_by_either_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    settings = resolve(sets=["lake.root=~/lake", "data_root=~", "spark.driver_memory=3G", "spark.jars_dir=a~b"])
    assert (settings.lake.root, settings.data_root) == ("/home/ann/lake", "/home/ann")
    assert (settings.spark.driver_memory, settings.spark.jars_dir) == ("3G", "a~b")
    assert "nobody's home" in refusal(sets=["lake.root=~nobody-of-this-name/x"])


def test_a_wrong_key_inside_an_input_names_the_nearest() -> None:
    message = refusal(sets=["inputs.lines.path=x.csv", "inputs.lines.seperator=;"])
    assert "did you mean inputs.lines.separator?" in message


@pytest.mark.parametrize(
    ("given", "reference"),
    [
        ("mlflow.tracking_uri=https://ann:hush-hush@mlflow.example/", "mlflow.token"),
        ("lake.root=s3a://AKIA:hush-hush@bucket/lake", "AWS_SECRET_ACCESS_KEY"),
        ("inputs.x.jdbc.url=jdbc:postgresql://app:hush-hush@db/x", "jdbc.password by reference"),
        ("inputs.x.jdbc.url=jdbc:sqlserver://db;password=hush-hush", "jdbc.password by reference"),
        ("inputs.x.jdbc.url=jdbc:oracle:thin:ann/hush-hush@db", "jdbc.password by reference"),
        ("inputs.x.path=https://hush-hush@host/x.csv", "reference"),
    ],
)
def test_credentials_in_an_address_are_refused_with_the_reference_as_the_fix(given: str, reference: str) -> None:
    message = refusal(sets=[given])
    assert "credentials in its address" in message
    assert reference in message
    assert "hush-hush" not in message


def test_a_key_of_a_mapping_of_texts_may_hold_dots() -> None:
    settings = resolve(sets=["spark.conf.spark.eventLog.enabled=true", "forecast.renamed.1.5l-cola=00715"])
    assert settings.spark.conf == {"spark.eventLog.enabled": "true"}
    assert section(settings, "forecast", JobSettings).renamed == {"1.5l-cola": "00715"}


def test_settings_are_frozen() -> None:
    with pytest.raises(Exception, match="frozen"):
        resolve().run.seed = 1  # type: ignore[misc]


def test_a_secret_is_a_reference_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "hush-hush")
    settings = resolve(sets=["mlflow.token=env:MY_TOKEN", "spark.conf.spark.hadoop.fs.s3a.secret.key=hush-hush"])
    assert settings.mlflow.token is not None
    assert settings.mlflow.token.reveal() == "hush-hush"
    assert "hush-hush" not in shown(settings)
    assert "MY_TOKEN" not in repr(settings.mlflow.token)


def test_a_plain_secret_is_refused_without_repeating_it() -> None:
    message = refusal(sets=["mlflow.token=hush-hush"])
    assert "by reference" in message
    assert "hush-hush" not in message
