"""A thousand A/A tests and a thousand with a true effect through the job: how often intervals err, at one look and all.

python -m tests.benchmarks.experiments_aa [--experiments 1000] [--days 37] [--units-a-day 30]

Every experiment has two metrics over the same units: `nothing`, which the variant does not touch, and `something`,
whose mean (1, exponential) it raises by a tenth. Figures are read from gold.experiment_results and
gold.experiment_looks after one run of the job.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import numpy as np
import pandas as pd
from deltalake import DeltaTable

from retail_spark.domains.experiments.job import JOB
from retail_spark.engine.launch import launch
from retail_spark.engine.settings_layers import resolve
from retail_spark.lake.commit import carry_out
from retail_spark.lake.contract import Contract
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import replace_slice
from retail_spark.spark.session import get_session
from retail_spark.tables.assignments import ASSIGNMENTS, OUTCOMES

EFFECT = 0.1
START = pd.Timestamp("2024-01-01 12:00:00", tz="UTC")


def worlds(*, experiments: int, days: int, units_a_day: int, seed: int) -> pd.DataFrame:
    """One row per unit with both of its values."""
    rng = np.random.default_rng(seed)
    count = experiments * days * units_a_day
    number = np.arange(count)
    treated = rng.random(count) < 0.5
    day = number // units_a_day % days
    return pd.DataFrame({
        "experiment_id": [f"e{n}" for n in number // (days * units_a_day)],
        "unit_id": [f"u{n}" for n in number],
        "variant": np.where(treated, "new", "control"),
        "assigned_at": START + pd.to_timedelta(day, unit="D"),
        "nothing": rng.exponential(1.0, count).round(6),
        "something": (rng.exponential(1.0, count) * (1 + EFFECT * treated)).round(6),
    })  # fmt: skip


def put(lake: Lake, contract: Contract, rows: pd.DataFrame) -> None:
    origin = {"source": "made_up", "source_file": None, "received_at": None, "row_hash": "made up"}
    absent = {name: None for name in contract.names if name not in rows}
    whole = rows.assign(**absent | origin)[list(contract.names)]
    frame = lake.spark.createDataFrame(whole, contract.schema)
    carry_out(lake, replace_slice(contract, frame, source="made_up"), run_id="made_up")


def figures(root: str) -> None:
    results = DeltaTable(f"{root}/gold/experiment_results").to_pandas()
    looks = DeltaTable(f"{root}/gold/experiment_looks").to_pandas()
    sound = results[results["status"] == "ok"]
    print(f"{len(results):,} comparisons, {len(results) - len(sound)} without figures (sample ratio by chance)")
    print(f"looks of an experiment: {looks.groupby(['experiment_id', 'metric']).size().median():.0f}")
    for metric, truth in (("nothing", 0.0), ("something", EFFECT)):
        own = sound[sound["metric"] == metric]
        fixed = (own["effect_low"] <= truth) & (truth <= own["effect_high"])
        seen = looks[looks["metric"] == metric]
        at_looks = seen.assign(
            fixed=(seen["effect_low"] <= truth) & (truth <= seen["effect_high"]),
            sequence=(seen["sequence_low"] <= truth) & (truth <= seen["sequence_high"]),
        )
        always = at_looks.groupby("experiment_id")[["fixed", "sequence"]].all().mean()
        print(
            f"{metric}: fixed interval at the end holds the truth in {fixed.mean():.1%}; at every look together the "
            f"fixed one in {always['fixed']:.1%}, the sequence in {always['sequence']:.1%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--days", type=int, default=37)
    parser.add_argument("--units-a-day", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        settings = resolve(sets=[f"lake.root={root}", "quality.data_docs=false", "experiments.tuned_for_units=1000"])
        lake = Lake.open(get_session(settings), settings.lake)
        units = worlds(experiments=given.experiments, days=given.days, units_a_day=given.units_a_day, seed=given.seed)
        put(lake, ASSIGNMENTS, units.drop(columns=["nothing", "something"]))
        long = units.drop(columns="variant").rename(columns={"assigned_at": "measured_at"})
        long = long.melt(["experiment_id", "unit_id", "measured_at"], var_name="metric", value_name="value")
        put(lake, OUTCOMES, long)
        began = time.monotonic()
        launch(JOB, settings)
        print(f"{len(units):,} units, {len(long):,} outcomes: {time.monotonic() - began:.0f} s")
        figures(root)


if __name__ == "__main__":
    main()
