# Databricks notebook source
# What `recommend` shows, drawn from its output tables. As a script: python notebooks/recommend.py
# (lake.root by RETAIL_SPARK__LAKE__ROOT; the pictures land beside the lake, in <lake.root>/_notebooks).

# COMMAND ----------

from matplotlib import pyplot as plt

from retail_spark.cli.notebook import open_lake
from retail_spark.lake.sql import run_sql

lake, pictures = open_lake()

# COMMAND ----------

# What makes the rows of each list, place by place.
made = run_sql(
    lake,
    "SELECT list, rank, strategy, count(*) AS rows FROM gold.latest_recommendations GROUP BY list, rank, strategy",
).toPandas()
names = sorted(made["list"].unique())
figure, axes = plt.subplots(1, len(names), figsize=(5 * len(names), 3.5), sharey=True, squeeze=False)
for axis, name in zip(axes[0], names, strict=True):
    shares = made[made["list"] == name].pivot(index="rank", columns="strategy", values="rows").fillna(0)
    shares.div(shares.sum(axis=1), axis=0).plot.bar(stacked=True, ax=axis, title=f"list {name}", legend=True)
    axis.set_ylabel("share of customers")
figure.tight_layout()
figure.savefig(pictures / "recommend_strategies.png", dpi=120)

# COMMAND ----------

# How many products are shown how often.
shown = run_sql(
    lake,
    "SELECT list, product_id, count(*) AS shown FROM gold.latest_recommendations GROUP BY list, product_id",
).toPandas()
figure, axis = plt.subplots(figsize=(5, 3.5))
for name, own in shown.groupby("list"):
    axis.plot(own["shown"].sort_values(ascending=False).to_numpy(), label=str(name))
axis.set(xlabel="products, most shown first", ylabel="customers who are shown it", yscale="log", title="reach")
axis.legend()
figure.tight_layout()
figure.savefig(pictures / "recommend_reach.png", dpi=120)
