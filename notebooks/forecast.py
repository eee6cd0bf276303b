# Databricks notebook source
# What `forecast` says, drawn from its output tables. As a script: python notebooks/forecast.py
# (lake.root by RETAIL_SPARK__LAKE__ROOT; the pictures land beside the lake, in <lake.root>/_notebooks).

# COMMAND ----------

from matplotlib import pyplot as plt

from retail_spark.cli.notebook import open_lake
from retail_spark.lake.sql import run_sql

lake, pictures = open_lake()

# COMMAND ----------

# What lies ahead, in all and by category, with the interval of the whole.
levels = run_sql(
    lake,
    "SELECT level, member, date, mean, lo_95, hi_95 FROM gold.latest_forecast_levels "
    "WHERE level IN ('total', 'category') ORDER BY level, member, date",
).toPandas()
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
total = levels[levels["level"] == "total"]
left.plot(total["date"], total["mean"], marker="o")
left.fill_between(total["date"], total["lo_95"], total["hi_95"], alpha=0.2)
left.set(ylabel="units", title="all stores, 95 %", ylim=(0, None))
for member, rows in levels[levels["level"] == "category"].groupby("member"):
    right.plot(rows["date"], rows["mean"], marker="o", label=member)
right.set(title="by category", ylim=(0, None))
right.legend(fontsize=7)
for axis in (left, right):
    axis.tick_params(axis="x", rotation=45)
figure.tight_layout()
figure.savefig(pictures / "forecast_levels.png", dpi=120)

# COMMAND ----------

# What was chosen for which kind of demand, and what it adds to seasonal naive.
chosen = run_sql(
    lake,
    "SELECT model, demand_class, count(*) AS series, avg(fva) AS fva FROM gold.latest_forecast_accuracy "
    "WHERE is_chosen GROUP BY model, demand_class ORDER BY model, demand_class",
).toPandas()
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
chosen.pivot(index="model", columns="demand_class", values="series").plot.barh(stacked=True, ax=left)
left.set(xlabel="series", ylabel="", title="chosen")
chosen.groupby("model")["fva"].mean().plot.barh(ax=right)
right.set(xlabel="WAPE of seasonal naive less its own", ylabel="", title="forecast value added")
figure.tight_layout()
figure.savefig(pictures / "forecast_chosen.png", dpi=120)
