# Databricks notebook source
# What `experiments` found, plotted from its output tables. As a script: python notebooks/experiments.py
# (lake.root by RETAIL_SPARK__LAKE__ROOT; the pictures land beside the lake, in <lake.root>/_notebooks).

# COMMAND ----------

from matplotlib import pyplot as plt

from retail_spark.cli.notebook import open_lake
from retail_spark.lake.sql import run_sql

lake, pictures = open_lake()

# COMMAND ----------

# Every comparison: the lift and its interval.
results = run_sql(
    lake,
    "SELECT concat_ws(' ', experiment_id, metric, variant) AS name, 100 * lift AS lift, 100 * lift_low AS low, "
    "100 * lift_high AS high FROM gold.latest_experiment_results WHERE lift IS NOT NULL ORDER BY name DESC LIMIT 40",
).toPandas()
figure, axis = plt.subplots(figsize=(9, 1 + 0.4 * max(3, len(results))))
axis.hlines(results["name"], results["low"], results["high"])
axis.plot(results["lift"], results["name"], "o")
axis.axvline(0, color="grey", linewidth=0.8)
axis.set(xlabel="lift over the control, %, with its 95 % interval")
figure.tight_layout()
figure.savefig(pictures / "experiments_lifts.png", dpi=120)

# COMMAND ----------

# The looks of the comparison with the most of them: fixed intervals narrow first, sequences hold at every look.
looks = run_sql(
    lake,
    "SELECT *, concat_ws(' ', experiment_id, metric, variant) AS name FROM gold.latest_experiment_looks "
    "ORDER BY name, look_on",
).toPandas()
if not looks.empty:
    name = looks["name"].value_counts().sort_index().idxmax()
    shown = looks[looks["name"] == name]
    figure, axis = plt.subplots(figsize=(9, 4))
    axis.fill_between(shown["look_on"], shown["sequence_low"], shown["sequence_high"], alpha=0.3, label="sequence")
    axis.fill_between(shown["look_on"], shown["effect_low"], shown["effect_high"], alpha=0.5, label="fixed interval")
    axis.plot(shown["look_on"], shown["effect"], marker=".", color="black")
    axis.axhline(0, color="grey", linewidth=0.8)
    axis.set(title=name, ylabel="effect")
    axis.legend()
    figure.tight_layout()
    figure.savefig(pictures / "experiments_looks.png", dpi=120)
