"""What goes into MLflow and comes out of it: params, input tables as datasets, the model's files."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import version as installed
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from retail_spark.config.secrets import masked
from retail_spark.config.section import Section
from retail_spark.modelling.contest import Candidate
from retail_spark.modelling.served import SERVED, address_of
from retail_spark.registry.connection import Connection
from retail_spark.registry.model import RunRecord

RECIPE = "retail_spark.recipe"
SPARK_MODEL = "spark_model"
_LONGEST_PARAM = 6000  # MLflow's own limit
_PYFUNC = files("retail_spark.modelling") / "pyfunc.py"
_ALWAYS = ("retail-spark", "mlflow", "numpy", "pandas")


def params_of(settings: Section) -> dict[str, str]:
    """A section of the settings as flat text: `als.rank` -> "32". Secrets stay masked."""
    flat: dict[str, str] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(inner, f"{path}.{key}" if path else str(key))
        else:
            flat[path] = as_param(value)

    walk(settings.model_dump(mode="json"), "")
    return flat


def as_param(value: Any) -> str:
    """A value as text without secrets, at most as long as MLflow takes; what is cut is named by a hash."""
    text = masked(value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False))
    if len(text) <= _LONGEST_PARAM:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text[: _LONGEST_PARAM - 40]}... sha256:{digest}"


def as_datasets(run: RunRecord) -> list[Any]:
    """The input tables as MLflow's datasets, named table@version, without reading any data.

    MLflow keeps one dataset per (experiment, name, digest), so the digest of a path table also tells lakes apart.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    found = []
    for table, version in sorted(run.inputs.items()):
        if version is None:
            continue
        path = run.input_paths.get(table)
        place = {"path": masked(path)} if path else {"delta_table_name": table}
        lake = f"-{hashlib.sha256(path.encode()).hexdigest()[:8]}" if path else ""
        source = json.dumps({**place, "delta_table_version": version})
        dataset = Dataset(f"{table}@{version}", f"v{version}{lake}", "delta_table", source)
        found.append(DatasetInput(dataset, [InputTag("mlflow.data.context", "input")]))
    return found


def save_model(client: Any, run: RunRecord, candidate: Candidate, logged: str) -> str:
    """Uploads the candidate as a logged model of the MLflow run; gives its id.

    The steps of mlflow.pyfunc.log_model without those that cost seconds: requirements are named, not inferred by a
    second process, and the example is not sent through a serving round trip.
    """
    import mlflow
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model, infer_signature

    experiment = client.get_run(logged).info.experiment_id
    held = client.create_logged_model(experiment, name=run.job, source_run_id=logged)
    description = Model(
        artifact_path=held.artifact_location,
        run_id=logged,
        model_uuid=held.model_id,
        model_id=held.model_id,
        metadata={RECIPE: json.dumps(dict(candidate.recipe), sort_keys=True)},
    )
    with (
        TemporaryDirectory() as folder,
        as_file(files("retail_spark.modelling") / "pyfunc.py") as code,
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message=".*Add type hints to the `predict` method.*")
        warnings.filterwarnings("ignore", message=".*[Ii]nteger column.*")
        mlflow.pyfunc.save_model(
            path=f"{folder}/model",
            mlflow_model=description,
            python_model=str(code),
            model_config={SERVED: address_of(candidate.served)},
            artifacts={name: str(path) for name, path in candidate.artifacts.items()},
            signature=infer_signature(candidate.example, candidate.example_output),
            input_example=candidate.example,
            pip_requirements=[f"{name}=={installed(name)}" for name in (*_ALWAYS, *candidate.packages)],
        )
        client.log_model_artifacts(held.model_id, f"{folder}/model")
    client.finalize_logged_model(held.model_id, "READY")
    client.log_outputs(logged, [LoggedModelOutput(held.model_id, step=run.attempt)])
    return str(held.model_id)


def log_spark_model(client: Any, run: RunRecord, model: Any, logged: str) -> None:
    """Uploads a Spark ML model as the artifact `spark_model` of the MLflow run."""
    import mlflow

    with TemporaryDirectory() as folder:
        requirements = [f"{name}=={installed(name)}" for name in ("pyspark", "mlflow")]
        path = f"{folder}/{SPARK_MODEL}"
        mlflow.spark.save_model(model, path=path, dfs_tmpdir=run.scratch, pip_requirements=requirements)
        client.log_artifacts(logged, path, SPARK_MODEL)


class FetchedArtifacts(Mapping[str, Path]):
    """Name -> local file of a model's artifacts; each is fetched when first asked for."""

    def __init__(self, addresses: Mapping[str, str], connection: Connection) -> None:
        self._addresses = dict(addresses)
        self._connection = connection
        self._fetched: dict[str, Path] = {}
        self._folder: TemporaryDirectory[str] | None = None
        """Lives as long as this mapping; files of a local store are read where they lie."""

    def __getitem__(self, name: str) -> Path:
        if name not in self._fetched:
            self._fetched[name] = self._fetch(self._addresses[name])
        return self._fetched[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._addresses)

    def __len__(self) -> int:
        return len(self._addresses)

    def _fetch(self, address: str) -> Path:
        with self._connection.talking():
            from mlflow.artifacts import download_artifacts

            if self._connection.is_local:
                return Path(download_artifacts(artifact_uri=address))
            if self._folder is None:
                self._folder = TemporaryDirectory(prefix="retail-spark-model-")
            own = Path(self._folder.name) / str(len(self._fetched))  # two artifacts may have the same file name
            own.mkdir(exist_ok=True)
            return Path(download_artifacts(artifact_uri=address, dst_path=str(own)))
