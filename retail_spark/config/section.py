"""Frozen, typed settings with units and defaults.

Layers, later wins: typed defaults < YAML files given by -c, in order < RETAIL_SPARK__SECTION__KEY environment
variables < --set section.key=value. The sections of the jobs live with their jobs (see engine/catalogue.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from retail_spark.config.secrets import SecretRef
from retail_spark.errors import UsageError

_NO_ROOT = re.compile(r"[\[\]{}*?\\%:#\x00-\x1f\x7f]")
"""Signs that Hadoop or Delta reads as something else in the path of a table."""


class Section(BaseModel):
    """A group of settings: frozen, and no unknown key is let in."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    MOVED: ClassVar[Mapping[str, str]] = {}
    """Keys of earlier versions -> where they stand now, both with dots and seen from this section."""


def setting(default: Any, comment: str, *, unit: str = "", **rules: Any) -> Any:
    """A setting with its comment and unit, both printed in conf/base.yml. `rules` are pydantic's (ge, le, ...)."""
    given = {"default_factory": default} if isinstance(default, type) else {"default": default}
    return Field(**given, description=comment, json_schema_extra={"unit": unit}, **rules)


def _at_home(path: str) -> str:
    """The path with a leading ~ as the user's home, as a shell would have read it."""
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError as error:
        raise ValueError(f"nobody's home is meant by {path.partition('/')[0]}") from error


LocalPath = Annotated[str, AfterValidator(_at_home)]


def _is_a_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("is not a time zone; write it as Europe/Berlin")
    return name


TimeZone = Annotated[str, AfterValidator(_is_a_zone)]
"""An IANA name."""


class LakeSettings(Section):
    """Where tables live."""

    root: LocalPath = setting("./lake", "folder or URL of a path lake; tables lie at <root>/<schema>/<table>")
    catalog: str | None = setting(
        None, "catalog of a catalog lake (Unity Catalog or Hive metastore); set, it wins over root for tables"
    )
    keep_as_of: int = setting(30, "snapshots kept in every gold table; older ones are deleted", unit="dates", ge=1)
    target_file_mib: int = setting(128, "size of file that OPTIMIZE aims for", unit="MiB", ge=1)

    @property
    def is_folder(self) -> bool:
        """True when the root is a folder of this machine's file system."""
        return "://" not in self.root or self.root.startswith("file:")

    @field_validator("root")
    @classmethod
    def _is_plain(cls, root: str) -> str:
        whole = "" if "://" in root else str(Path(root.removeprefix("file:")).absolute())
        found = _NO_ROOT.search(whole)
        if found:
            raise ValueError(f"a lake cannot lie in a folder whose path holds {found.group()!a}")
        return root


class SparkSettings(Section):
    """The session; all but shuffle_partitions and conf matter only where this package starts it."""

    master: str | None = setting(None, "Spark master; empty: the session that is there, else local on all cores")
    driver_memory: str = setting("4g", "memory of a local driver", unit="JVM size", pattern=r"^\d+[kmgtKMGT]$")
    shuffle_partitions: int = setting(
        0, "shuffle partitions of a local session; 0: twice the cores, at least 4", unit="partitions", ge=0
    )
    checkpoint_dir: LocalPath | None = setting(None, "folder for checkpoints; empty: <lake.root>/_checkpoints")
    delta_package: str = setting("io.delta:delta-spark_4.1_2.13:4.4.0", "Delta's JAR, for spark.jars.packages")
    package_mirror: str | None = setting(None, "address of a site mirror for JARs, asked before the public ones")
    jars_dir: LocalPath | None = setting(None, "folder that holds the JARs already, for machines without a network")
    log_file: LocalPath | None = setting(None, "where Spark's own messages go; empty: <lake.root>/_logs/spark.log")
    conf: dict[str, str] = setting(dict, "further Spark settings, applied to sessions that this package starts")


class MlflowSettings(Section):
    """Where runs are logged and models registered."""

    tracking_uri: str | None = setting(
        None, "MLflow server or store, or env:NAME that holds its address; empty: sqlite under <lake.root>/_mlflow"
    )
    token: SecretRef | None = setting(None, "token of the server: env:NAME, file:PATH or databricks:SCOPE/KEY")
    experiment: str = setting("retail-spark", "experiment that runs are logged to")
    model_prefix: str = setting("retail_spark_", "registered models are named <prefix><job>")
    timeout_seconds: int = setting(10, "how long to wait for the server before exit code 6", unit="seconds", ge=1)


class GateSettings(Section):
    """When a new model may become champion."""

    tolerance: float = setting(
        0.01, "a candidate may be worse than the champion by this share of its score", unit="share 0..1", ge=0, le=1
    )


class QualitySettings(Section):
    """Checks of outputs, and their pages."""

    data_docs: bool = setting(True, "write Data Docs under <lake.root>/_data_docs")
    examples: int = setting(3, "failing rows shown for a failed check", unit="rows", ge=0, le=100)


class PrivacySettings(Section):
    """What people's ids are hidden with."""

    salt: SecretRef | None = setting(
        None, "salt of the tombstones of erased people: env:NAME, file:PATH or databricks:SCOPE/KEY; never change it"
    )


class RunSettings(Section):
    """What every run shares."""

    seed: int = setting(42, "seed of everything random", ge=0)
    max_gap_days: int = setting(
        60,
        "a last date that lies further beyond the one before it is refused: it is a slip that would move the run",
        unit="days",
        ge=1,
    )
    max_failed_share: float = setting(
        0.05, "share of rows with a status other than ok above which a run fails", unit="share 0..1", ge=0, le=1
    )


class PipelineSettings(Section):
    """What `retail-spark pipeline` runs."""

    jobs: tuple[str, ...] = setting((), "jobs of the pipeline; empty: all whose inputs are there")


class SqlSettings(Section):
    """How the command `sql` answers."""

    stay_minutes: int = setting(
        10,
        "how long a session stays after a question on a local lake, to answer the next in less than a second; 0: none",
        unit="minutes",
        ge=0,
    )


class Settings(Section):
    """The root. The jobs' own sections are added by domains.settings_class(); read them with `section`."""

    data_root: LocalPath = setting("../shared/data", "folder of source files; {data_root} in the paths of a mapping")
    lake: LakeSettings = setting(LakeSettings, "where tables live")
    spark: SparkSettings = setting(SparkSettings, "the session")
    mlflow: MlflowSettings = setting(MlflowSettings, "runs and models")
    gate: GateSettings = setting(GateSettings, "when a new model may become champion")
    quality: QualitySettings = setting(QualitySettings, "checks and their pages")
    privacy: PrivacySettings = setting(PrivacySettings, "people's ids")
    run: RunSettings = setting(RunSettings, "what every run shares")
    sql: SqlSettings = setting(SqlSettings, "how the command sql answers")
    pipeline: PipelineSettings = setting(PipelineSettings, "what the command pipeline runs")


S = TypeVar("S", bound=Section)


def section(settings: Settings, name: str, kind: type[S]) -> S:
    """The section of a job, typed. Raises UsageError when the settings were built without it."""
    found = getattr(settings, name, None)
    if not isinstance(found, kind):
        raise UsageError(
            f"there is no section {name!r} of {kind.__name__}.", fix="add its folder to retail_spark/domains"
        )
    return found


def plain_values(value: Any) -> Any:
    """A setting, or a group of settings, as JSON values."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return {key: plain_values(item) for key, item in value.items()}
    return value
