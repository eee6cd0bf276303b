"""The registry: one MLflow run per retail-spark run, one model version per run id, and the aliases."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from retail_spark.config.section import Settings
from retail_spark.modelling.contest import Candidate, Champion
from retail_spark.modelling.gate import Verdict
from retail_spark.registry.connection import Connection, warm
from retail_spark.registry.model import RegisteredVersion, RunRecord
from retail_spark.registry.model_files import (
    RECIPE,
    FetchedArtifacts,
    as_datasets,
    as_param,
    log_spark_model,
    save_model,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHAMPION = "champion"
PREVIOUS = "previous"
_TAG = "retail_spark."
_PARAMS_AT_ONCE = 100  # MLflow's own limit
_NONE = "none"
_FIGURES = "figures"


@dataclass(frozen=True)
class Registry:
    """All that a run asks of MLflow. Every method raises ServiceMissingError when MLflow does not answer."""

    connection: Connection
    experiment: str
    prefix: str

    @classmethod
    def open(cls, settings: Settings) -> Registry:
        """The registry of the settings. Imports nothing, asks nobody.

        Raises UsageError for a remote lake root without mlflow.tracking_uri.
        """
        return cls(Connection.of(settings), settings.mlflow.experiment, settings.mlflow.model_prefix)

    def warm(self) -> None:
        """Starts importing MLflow, and making its database, in a thread; call it before the JVM starts."""
        warm(self.connection)

    def ping(self) -> None:
        """Raises ServiceMissingError within mlflow.timeout_seconds unless MLflow answers."""
        self.connection.ping()

    def name_of(self, job: str) -> str:
        """The name of a job's registered model."""
        return f"{self.prefix}{job}"

    def champion(self, job: str, *, run_id: str | None = None, as_of: str | None = None) -> Champion | None:
        """The model that a run of `job` competes with, or None.

        Without `run_id` and `as_of` it is the one behind the alias. A run that was registered before gets the
        champion it met then, so that doing it again gives the same rows; a run as of a past date gets the newest
        champion of that time, because a later one has seen its future.
        """
        name = self.name_of(job)
        with self.connection.talking() as client:
            found = _champion_for(client, name, run_id=run_id, as_of=as_of)
            return None if found is None else _opened(found, self.connection)

    def record(
        self,
        run: RunRecord,
        candidate: Candidate,
        *,
        metrics: Mapping[str, float],
        figures: Mapping[str, Figure] | None = None,
    ) -> RegisteredVersion:
        """Logs the run and registers its model without alias; the same run id again gives the same version."""
        name = self.name_of(run.job)
        with self.connection.talking() as client:
            logged = self._log(client, run, metrics=metrics, figures=figures or {}, learned=candidate.params)
            known = client.search_model_versions(f"name = '{name}' and run_id = '{logged}'")
            version = str(known[0].version) if known else _register(client, name, run, candidate, logged)
            client.set_terminated(logged, "FINISHED")
        return RegisteredVersion(name, version, logged)

    def log(self, run: RunRecord, *, metrics: Mapping[str, float], figures: Mapping[str, Figure] | None = None) -> str:
        """Logs a run that trains no model; gives MLflow's id of it."""
        with self.connection.talking() as client:
            logged = self._log(client, run, metrics=metrics, figures=figures or {}, learned={})
            client.set_terminated(logged, "FINISHED")
        return logged

    def figures(self, job: str, run_id: str) -> dict[str, bytes]:
        """The pictures that a run has logged, by file name; none where MLflow does not know the run."""
        with self.connection.talking() as client, TemporaryDirectory() as folder:
            experiment = client.get_experiment_by_name(self.experiment)
            found = _logged_run(client, experiment.experiment_id, job=job, run_id=run_id) if experiment else None
            if found is None or not client.list_artifacts(found.info.run_id, _FIGURES):
                return {}
            files = Path(client.download_artifacts(found.info.run_id, _FIGURES, folder)).glob("*.png")
            return {file.name: file.read_bytes() for file in sorted(files)}

    def log_trials(self, run: RunRecord, trials: Sequence[Mapping[str, Mapping[str, Any]]]) -> None:
        """One child run a hyper-parameter trial ({"params": ..., "metrics": ...}); trials already there stay."""
        with self.connection.talking() as client:
            parent = self._run_of(client, run)
            experiment = parent.info.experiment_id
            where = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
            there = {child.data.tags.get(f"{_TAG}trial") for child in client.search_runs([experiment], where)}
            for number, trial in enumerate(trials):
                if str(number) in there:
                    continue
                tags = {"mlflow.parentRunId": parent.info.run_id, f"{_TAG}trial": str(number)}
                child = client.create_run(experiment, tags=tags, run_name=f"trial {number}").info.run_id
                _log_values(client, child, params=trial["params"], metrics=trial["metrics"], step=0)
                client.set_terminated(child, "FINISHED")

    def note_verdict(self, job: str, version: str, verdict: Verdict) -> None:
        """Writes the gate's decision on the version, for people who look at it later."""
        tags = {f"{_TAG}gate": "passed" if verdict.passed else "refused"}
        if verdict.reasons:
            tags[f"{_TAG}gate_reasons"] = "; ".join(verdict.reasons)[:4000]
        with self.connection.talking() as client:
            for key, value in tags.items():
                client.set_model_version_tag(self.name_of(job), version, key, value)

    def promote(self, job: str, version: str) -> bool:
        """Moves `champion` to the version and `previous` to the old champion; True when it moved.

        A version older (as_of) than the champion stays behind it. Safe to repeat after a kill at any point.
        """
        name = self.name_of(job)
        with self.connection.talking() as client:
            current = _aliased(client, name)
            if current is not None and str(current.version) == version:
                return False
            promoted = client.get_model_version(name, version)
            if current is not None and _as_of(promoted) < _as_of(current):
                return False
            if current is not None:
                client.set_registered_model_alias(name, PREVIOUS, str(current.version))
            client.set_model_version_tag(name, version, f"{_TAG}promoted", "true")
            client.set_registered_model_alias(name, CHAMPION, version)
            return True

    def _log(
        self,
        client: Any,
        run: RunRecord,
        *,
        metrics: Mapping[str, float],
        figures: Mapping[str, Figure],
        learned: Mapping[str, Any],
    ) -> str:
        found = self._run_of(client, run)
        logged = str(found.info.run_id)
        params = {**run.params, "seed": run.seed, **{f"model.{key}": value for key, value in learned.items()}}
        missing = {key: value for key, value in params.items() if key not in found.data.params}
        _log_values(client, logged, params=missing, metrics=metrics, step=run.attempt)
        client.set_tag(logged, f"{_TAG}attempt", str(run.attempt))
        client.log_inputs(logged, as_datasets(run))
        for name, figure in figures.items():
            file = name if "." in name else f"{name}.png"
            client.log_figure(logged, figure, f"{_FIGURES}/{file}")
        return logged

    def _run_of(self, client: Any, run: RunRecord) -> Any:
        """MLflow's run for the run id, made when it is not there."""
        experiment = self._experiment_id(client)
        found = _logged_run(client, experiment, job=run.job, run_id=run.run_id)
        if found is not None:
            return found
        tags = {
            f"{_TAG}run_id": run.run_id,
            f"{_TAG}job": run.job,
            f"{_TAG}as_of": run.as_of,
            "mlflow.source.name": f"retail-spark run {run.job}",
        }
        return client.create_run(experiment, tags=tags, run_name=f"{run.job} {run.as_of} {run.run_id[:8]}")

    def _experiment_id(self, client: Any) -> str:
        from mlflow.exceptions import MlflowException

        found = client.get_experiment_by_name(self.experiment)
        if found is None:
            root = self.connection.artifact_root
            try:
                return str(client.create_experiment(self.experiment, artifact_location=root))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = client.get_experiment_by_name(self.experiment)  # another run made it just now
        return str(found.experiment_id)


def _logged_run(client: Any, experiment: str, *, job: str, run_id: str) -> Any | None:
    """MLflow's run for the run id; None when there is none."""
    where = f"tags.`{_TAG}run_id` = '{run_id}' and tags.`{_TAG}job` = '{job}'"
    return next(iter(client.search_runs([experiment], where, max_results=1)), None)


def _log_values(
    client: Any, logged: str, *, params: Mapping[str, Any], metrics: Mapping[str, float], step: int
) -> None:
    """Params and metrics in as few requests as MLflow allows; the step of a metric is the attempt."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)  # when it was logged; no result depends on it
    values = [Metric(key, float(value), now, step) for key, value in metrics.items()]
    texts = [Param(key, as_param(value)) for key, value in params.items()]
    first, rest = texts[:_PARAMS_AT_ONCE], texts[_PARAMS_AT_ONCE:]
    client.log_batch(logged, metrics=values, params=first)
    for at in range(0, len(rest), _PARAMS_AT_ONCE):
        client.log_batch(logged, params=rest[at : at + _PARAMS_AT_ONCE])


def _register(client: Any, name: str, run: RunRecord, candidate: Candidate, logged: str) -> str:
    """Uploads the model and makes a version of it without alias; gives its number."""
    from mlflow.exceptions import MlflowException

    model_id = save_model(client, run, candidate, logged)
    if candidate.spark_model is not None:
        log_spark_model(client, run, candidate.spark_model, logged)
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise
    tags = {
        f"{_TAG}run_id": run.run_id,
        f"{_TAG}job": run.job,
        f"{_TAG}as_of": run.as_of,
        f"{_TAG}met_champion": run.champion_version or _NONE,
    }
    made = client.create_model_version(name, f"models:/{model_id}", run_id=logged, tags=tags, model_id=model_id)
    return str(made.version)


def _champion_for(client: Any, name: str, *, run_id: str | None, as_of: str | None) -> Any | None:
    """The version a run competes with (see Registry.champion)."""
    current = _aliased(client, name)
    if current is None:
        return None
    if run_id is None and as_of is None:
        return current
    versions = {str(v.version): v for v in client.search_model_versions(f"name = '{name}'", max_results=10_000)}
    own = [v for v in versions.values() if v.tags.get(f"{_TAG}run_id") == run_id]
    if own:
        return versions.get(own[0].tags.get(f"{_TAG}met_champion", _NONE))
    if as_of is None or _as_of(current) <= as_of:
        return current
    return _newest(v for v in versions.values() if f"{_TAG}promoted" in v.tags and _as_of(v) <= as_of)


def _newest(versions: Iterable[Any]) -> Any | None:
    return max(versions, key=lambda v: (_as_of(v), int(v.version)), default=None)


def _aliased(client: Any, name: str) -> Any | None:
    """The version behind the alias `champion`; None when there is no such model or alias."""
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_registered_model(name).aliases.get(CHAMPION)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return None if version is None else client.get_model_version(name, version)


def _as_of(version: Any) -> str:
    """ISO date, so that text order is time order."""
    return str(version.tags.get(f"{_TAG}as_of", ""))


def _opened(version: Any, connection: Connection) -> Champion:
    from mlflow.models import get_model_info

    uri = f"models:/{version.name}/{version.version}"
    info = get_model_info(uri)
    files = info.flavors["python_function"].get("artifacts") or {}
    return Champion(
        version=str(version.version),
        as_of=_as_of(version),
        run_id=version.tags.get(f"{_TAG}run_id", ""),
        recipe=json.loads((info.metadata or {}).get(RECIPE, "{}")),
        artifacts=FetchedArtifacts({key: f"{uri}/{file['path']}" for key, file in files.items()}, connection),
    )
