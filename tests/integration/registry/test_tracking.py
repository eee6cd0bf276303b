"""Runs, versions and aliases on a real sqlite store."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from retail_spark.lake.lake import local_path
from retail_spark.modelling.gate import Verdict
from retail_spark.registry.pruning import prune_versions


def aliases(registry, job):
    with registry.connection.talking() as client:
        found = client.get_registered_model(registry.name_of(job)).aliases
        return {alias: str(version) for alias, version in found.items()}


def versions(registry, job):
    with registry.connection.talking() as client:
        return client.search_model_versions(f"name = '{registry.name_of(job)}'")


def logged(registry, version):
    with registry.connection.talking() as client:
        return client.get_run(version.mlflow_run_id)


def recorded(registry, candidate, run, slope=2.0, **metrics):
    return registry.record(run, candidate(slope), metrics=metrics or {"r2": 0.9})


def test_a_run_keeps_params_metrics_inputs_figures_and_gets_no_alias(registry, candidate, a_run, job):
    figure = Figure()
    figure.add_subplot().plot([1, 2])
    run = a_run(
        "run-1",
        inputs={"silver.sales": 3, "silver.calendar": 0, "silver.products": None},
        input_paths={"silver.sales": "/lake/silver/sales"},
        params={f"setting_{n}": n for n in range(230)},
    )
    version = registry.record(run, candidate(), metrics={"r2": 0.9}, figures={"curve": figure})
    found = logged(registry, version)
    inputs = {d.dataset.name: d.dataset for d in found.inputs.dataset_inputs}
    assert found.info.status == "FINISHED"
    assert found.data.tags["retail_spark.run_id"] == "run-1"
    assert found.data.metrics == {"r2": 0.9}
    assert len(found.data.params) == 232
    assert (found.data.params["seed"], found.data.params["model.slope"]) == ("42", "2.0")
    assert set(inputs) == {"silver.sales@3", "silver.calendar@0"}
    assert inputs["silver.sales@3"].source == '{"path": "/lake/silver/sales", "delta_table_version": 3}'
    assert [f"models:/{m.model_id}" for m in found.outputs.model_outputs] == [versions(registry, job)[0].source]
    assert aliases(registry, job) == {}
    with registry.connection.talking() as client:
        assert [f.path for f in client.list_artifacts(version.mlflow_run_id, "figures")] == ["figures/curve.png"]


def test_the_same_run_id_is_registered_once(registry, candidate, a_run, job):
    first = recorded(registry, candidate, a_run("run-1"))
    again = recorded(registry, candidate, a_run("run-1", attempt=2), r2=0.91)
    found = logged(registry, again)
    assert again == first
    assert len(versions(registry, job)) == 1
    assert len(found.inputs.dataset_inputs) == 1
    assert found.data.metrics == {"r2": 0.91}
    assert found.data.tags["retail_spark.attempt"] == "2"


def test_a_run_that_died_before_registering_is_taken_over(registry, candidate, a_run, job):
    died = registry.log(a_run("run-1"), metrics={})
    assert recorded(registry, candidate, a_run("run-1", attempt=2)).mlflow_run_id == died
    assert len(versions(registry, job)) == 1


def test_old_versions_go_but_for_champions_and_what_a_row_names(registry, candidate, a_run, job):
    made = [recorded(registry, candidate, a_run(f"{job}-{n}", f"2024-01-0{n + 1}")) for n in range(6)]
    for version in made[:3]:
        assert registry.promote(job, version.version)
    places = [Path(local_path(logged(registry, version).info.artifact_uri)) for version in made]
    own = replace(registry, prefix=registry.name_of(job))
    assert prune_versions(own, older_than_days=1, named_runs=set(), named_versions=set()) == 0, "all are young"
    gone = prune_versions(own, older_than_days=0, named_runs={f"{job}-3"}, named_versions={made[4].version})
    assert gone == 1
    assert {str(v.version) for v in versions(registry, job)} == {version.version for version in made[:5]}
    assert aliases(registry, job) == {"champion": made[2].version, "previous": made[1].version}
    assert not places[5].exists()
    assert logged(registry, made[5]).info.lifecycle_stage == "deleted"
    assert registry.champion(job).version == made[2].version


def test_promotion_moves_the_old_champion_to_previous(registry, candidate, a_run, job):
    assert registry.champion(job) is None
    first = recorded(registry, candidate, a_run("run-1", "2024-01-31"))
    assert registry.champion(job) is None
    assert registry.promote(job, first.version)
    assert aliases(registry, job) == {"champion": "1"}
    second = recorded(registry, candidate, a_run("run-2", "2024-02-29"))
    assert registry.promote(job, second.version)
    assert aliases(registry, job) == {"champion": "2", "previous": "1"}


def test_promoting_the_champion_again_changes_nothing(registry, candidate, a_run, job):
    for number in (1, 2):
        registry.promote(job, recorded(registry, candidate, a_run(f"run-{number}")).version)
    assert not registry.promote(job, "2")
    assert aliases(registry, job) == {"champion": "2", "previous": "1"}


def test_a_promotion_killed_between_the_aliases_is_completed(registry, candidate, a_run, job):
    registry.promote(job, recorded(registry, candidate, a_run("run-1")).version)
    second = recorded(registry, candidate, a_run("run-2"))
    with registry.connection.talking() as client:
        client.set_registered_model_alias(registry.name_of(job), "previous", "1")
    assert registry.promote(job, second.version)
    assert aliases(registry, job) == {"champion": "2", "previous": "1"}


def test_an_older_run_never_moves_the_champion(registry, candidate, a_run, job):
    registry.promote(job, recorded(registry, candidate, a_run("run-1", "2024-02-29")).version)
    older = recorded(registry, candidate, a_run("run-2", "2024-01-31"))
    assert not registry.promote(job, older.version)
    assert aliases(registry, job) == {"champion": "1"}


def test_the_champion_brings_its_recipe_and_files(registry, candidate, a_run, job):
    registry.promote(job, recorded(registry, candidate, a_run("run-1", "2024-02-29"), slope=3.0).version)
    champion = registry.champion(job)
    assert (champion.version, champion.run_id, champion.as_of) == ("1", "run-1", "2024-02-29")
    assert champion.recipe == {"slope": 3.0, "1": [1e-05, None, "on"]}
    assert list(champion.artifacts) == ["line"]
    assert champion.artifacts["line"].read_text(encoding="utf-8") == '{"slope": 3.0}'


def test_a_run_done_again_meets_the_champion_it_met_before(registry, candidate, a_run, job):
    registry.promote(job, recorded(registry, candidate, a_run("run-1", "2024-01-31")).version)
    second = recorded(registry, candidate, a_run("run-2", "2024-02-29", champion_version="1"))
    registry.promote(job, second.version)
    assert registry.champion(job).version == "2"
    assert registry.champion(job, run_id="run-2", as_of="2024-02-29").version == "1"
    assert registry.champion(job, run_id="run-1", as_of="2024-01-31") is None
    assert registry.champion(job, run_id="run-3", as_of="2024-02-29").version == "2"


def test_a_run_as_of_a_past_date_meets_no_champion_of_its_future(registry, candidate, a_run, job):
    for number, as_of in enumerate(("2024-01-31", "2024-02-29", "2024-03-31"), 1):
        registry.promote(job, recorded(registry, candidate, a_run(f"run-{number}", as_of)).version)
    recorded(registry, candidate, a_run("refused", "2024-02-29"))
    assert registry.champion(job, run_id="new", as_of="2024-03-01").version == "2"
    assert registry.champion(job, run_id="new", as_of="2023-12-31") is None


def test_trials_are_child_runs_and_stay_single(registry, candidate, a_run):
    trials = [{"params": {"rank": rank}, "metrics": {"ndcg": rank / 100}} for rank in (8, 16)]
    registry.log_trials(a_run("run-1"), trials)
    registry.log_trials(a_run("run-1", attempt=2), trials)
    version = recorded(registry, candidate, a_run("run-1"))
    parent = logged(registry, version)
    with registry.connection.talking() as client:
        where = f"tags.`mlflow.parentRunId` = '{version.mlflow_run_id}'"
        children = client.search_runs([parent.info.experiment_id], where)
    assert sorted(child.data.params["rank"] for child in children) == ["16", "8"]
    assert sorted(child.data.metrics["ndcg"] for child in children) == [0.08, 0.16]


def test_the_verdict_stands_on_the_version(registry, candidate, a_run, job):
    version = recorded(registry, candidate, a_run("run-1"))
    registry.note_verdict(job, version.version, Verdict(False, "baseline", None, ("not clearly better",)))
    tags = versions(registry, job)[0].tags
    assert (tags["retail_spark.gate"], tags["retail_spark.gate_reasons"]) == ("refused", "not clearly better")


def test_talking_puts_back_what_mlflow_keeps_per_process(registry, tmp_path):
    mlflow = sys.modules["mlflow"]
    elsewhere = f"sqlite:///{tmp_path}/other.db"
    mlflow.set_tracking_uri(elsewhere)
    try:
        with registry.connection.talking():
            assert mlflow.get_tracking_uri() == registry.connection.uri
        assert mlflow.get_tracking_uri() == elsewhere
    finally:
        mlflow.set_tracking_uri("")
    with registry.connection.talking():
        pass
    assert not mlflow.is_tracking_uri_set()
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


LOAD_AND_PREDICT = """
import sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
assert model.metadata.signature.inputs.input_names() == ["x"]
assert model.input_example["x"].tolist() == [1.0]
print(model.predict(pd.DataFrame({"x": [10.0]}))["y"].tolist())
"""


@pytest.mark.slow
def test_another_process_without_java_predicts_with_only_the_tracking_uri(registry, candidate, a_run, job, tmp_path):
    registry.promote(job, recorded(registry, candidate, a_run("run-1"), slope=7.0).version)
    left_out = ("MLFLOW", "JAVA", "SPARK", "PATH")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    said = subprocess.run(
        [sys.executable, "-c", LOAD_AND_PREDICT, f"models:/{registry.name_of(job)}@champion"],
        env={**environment, "MLFLOW_TRACKING_URI": registry.connection.uri},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.strip() == "[70.0]"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_recording_says_nothing_on_the_terminal(registry, candidate, a_run, job, capfd, stream):
    registry.promote(job, recorded(registry, candidate, a_run("run-1")).version)
    assert getattr(capfd.readouterr(), {"stdout": "out", "stderr": "err"}[stream]) == ""
