"""Old model versions leave the registry: never one that was or is champion, and never one that rows of a table name."""

from __future__ import annotations

import shutil
import time
from collections.abc import Set
from pathlib import Path
from typing import Any

from retail_spark.lake.lake import local_path
from retail_spark.registry.registry import CHAMPION, PREVIOUS, Registry

_TAG = "retail_spark."


def prune_versions(registry: Registry, *, older_than_days: int, named_runs: Set[str], named_versions: Set[str]) -> int:
    """Deletes versions that never became champion, with their model, run and files; returns how many.

    Kept are: what has an alias, what was ever promoted (a run as of a past date competes with it), what a row names by
    its run or version, what is younger, and models of other packages. Raises ServiceMissingError when MLflow does not
    answer.
    """
    limit = (time.time() - older_than_days * 86_400) * 1000
    deleted = 0
    with registry.connection.talking() as client:
        for model in client.search_registered_models(f"name LIKE '{registry.prefix}%'", max_results=1000):
            aliased = {str(version) for alias, version in model.aliases.items() if alias in (CHAMPION, PREVIOUS)}
            for version in client.search_model_versions(f"name = '{model.name}'", max_results=10_000):
                run_id = version.tags.get(f"{_TAG}run_id")
                is_kept = str(version.version) in aliased | named_versions or bool(version.aliases)
                is_kept |= run_id is None or run_id in named_runs or f"{_TAG}promoted" in version.tags
                if is_kept or version.creation_timestamp >= limit:
                    continue
                _delete(client, registry, version)
                deleted += 1
    return deleted


def _delete(client: Any, registry: Registry, version: Any) -> None:
    """The version, then its model and its run, then their files where they lie on this machine."""
    run = client.get_run(version.run_id)
    places = [str(run.info.artifact_uri)]
    model_id = getattr(version, "model_id", None) or str(version.source).removeprefix("models:/")
    if model_id.startswith("m-"):
        places.append(str(client.get_logged_model(model_id).artifact_location))
    client.delete_model_version(version.name, str(version.version))
    if model_id.startswith("m-"):
        client.delete_logged_model(model_id)
    client.delete_run(version.run_id)
    root = registry.connection.artifact_root
    if root is None or not registry.connection.is_local:
        return
    for place in places:
        folder = Path(local_path(place) if "://" in place else place)
        if folder.is_relative_to(root) and folder != Path(root):
            shutil.rmtree(folder, ignore_errors=True)
