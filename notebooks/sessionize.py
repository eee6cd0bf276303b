# Databricks notebook source
# What `sessionize` found, drawn from its output tables. As a script: python notebooks/sessionize.py
# (lake.root by RETAIL_SPARK__LAKE__ROOT; the pictures land beside the lake, in <lake.root>/_notebooks).

# COMMAND ----------

from matplotlib import pyplot as plt

from retail_spark.cli.notebook import open_lake
from retail_spark.lake.sql import run_sql

lake, pictures = open_lake()

# COMMAND ----------

# Visits and conversion by channel, bots left out.
channels = run_sql(
    lake,
    "SELECT channel, count(*) AS sessions, avg(cast(is_converted AS double)) AS conversion FROM gold.sessions "
    "WHERE NOT is_bot GROUP BY channel ORDER BY sessions",
).toPandas()
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), sharey=True)
left.barh(channels["channel"], channels["sessions"])
left.set(xlabel="sessions", title="by channel")
right.barh(channels["channel"], 100 * channels["conversion"], color="tab:green")
right.set(xlabel="% with an order", title="conversion")
figure.tight_layout()
figure.savefig(pictures / "sessionize_channels.png", dpi=120)

# COMMAND ----------

# Each funnel, all days together.
funnels = run_sql(
    lake,
    "SELECT funnel, step, step_name, sum(sessions) AS sessions FROM gold.funnels GROUP BY funnel, step, step_name",
).toPandas()
names = sorted(funnels["funnel"].unique())
figure, axes = plt.subplots(1, max(len(names), 1), figsize=(4.5 * max(len(names), 1), 3.5), squeeze=False)
for axis, name in zip(axes[0], names, strict=False):
    steps = funnels[funnels["funnel"] == name].sort_values("step")
    axis.bar(steps["step_name"], steps["sessions"])
    axis.set(title=f"funnel {name}", ylabel="sessions")
figure.tight_layout()
figure.savefig(pictures / "sessionize_funnels.png", dpi=120)
