"""A standalone cluster and a Spark Connect server, each a set of processes on loopback and free ports."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.processes import (
    REPO,
    SPARK_HOME,
    bare_python,
    built_wheel,
    clean_environment,
    free_port,
    server,
)

ON_LOOPBACK = (
    "--conf spark.driver.host=127.0.0.1 --conf spark.driver.bindAddress=127.0.0.1 --conf spark.ui.enabled=false"
)
FOR_TWO_CORES = (
    "--driver-memory 1g --conf spark.executor.memory=1g --conf spark.cores.max=2 "
    "--conf spark.sql.shuffle.partitions=4 --conf spark.databricks.delta.snapshotPartitions=2"
)


@dataclass(frozen=True)
class Cluster:
    """A master and two workers; jobs are submitted to it with the wheel, by a Python that lacks the package."""

    master: str
    python: Path
    wheel: Path

    def submit(self, job: str, *arguments: str, jobs: Path = REPO / "jobs") -> subprocess.CompletedProcess[str]:
        """Runs jobs/<job>.py through deploy/spark_submit/submit.sh. Raises AssertionError with its stderr's end."""
        environment = clean_environment(
            MASTER=self.master,
            WHEEL=str(self.wheel),
            JOBS=str(jobs),
            SPARK_SUBMIT=str(SPARK_HOME / "bin" / "spark-submit"),
            SUBMIT_ARGS=f"{ON_LOOPBACK} {FOR_TWO_CORES}",
            PYSPARK_PYTHON=str(self.python),
        )
        return ended_well([REPO / "deploy" / "spark_submit" / "submit.sh", job, *arguments], environment=environment)


def ended_well(
    command: Sequence[str | Path], *, environment: dict[str, str], cwd: Path = REPO
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(part) for part in command], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout[-1000:]}\n{done.stderr[-6000:]}"
    return done


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    home = tmp_path_factory.mktemp("cluster")
    python = bare_python(home / "python")
    wheel = built_wheel(home)
    environment = clean_environment(PYSPARK_PYTHON=str(python))
    address = f"127.0.0.1:{(port := free_port())}"
    run = [SPARK_HOME / "bin" / "spark-class"]
    master = ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"]
    worker = ["org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--cores", "1", "--memory", "1g"]
    with ExitStack() as started:
        log = home / "master.log"
        started.enter_context(
            server([*run, *master], log=log, says="I have been elected leader", environment=environment)
        )
        for name in ("worker-1", "worker-2"):
            (work := home / name).mkdir()
            command = [*run, *worker, "--webui-port", "0", "--work-dir", work, f"spark://{address}"]
            log = home / f"{name}.log"
            started.enter_context(
                server(command, log=log, says="Successfully registered with master", environment=environment)
            )
        yield Cluster(f"spark://{address}", python, wheel)


@pytest.fixture(scope="session")
def connect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Spark Connect server with Delta."""
    home = tmp_path_factory.mktemp("connect")
    port = free_port()
    command = [
        *(SPARK_HOME / "bin" / "spark-submit", "--master", "local[2]"),
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
        *("--properties-file", REPO / "deploy" / "spark_submit" / "spark-defaults.conf"),
        *f"{ON_LOOPBACK} {FOR_TWO_CORES}".split(),
        *("--conf", "spark.connect.grpc.binding.address=127.0.0.1"),
        *("--conf", f"spark.connect.grpc.binding.port={port}"),
        *("--conf", f"spark.sql.warehouse.dir={home / 'warehouse'}"),
        *("--conf", f"spark.checkpoint.dir={home / 'checkpoints'}"),
        "spark-internal",
    ]
    log = home / "server.log"
    with server(command, log=log, says="Spark Connect server started", environment=clean_environment()):
        yield f"sc://127.0.0.1:{port}"
