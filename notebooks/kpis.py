# Databricks notebook source
# What `kpis` found, drawn from its output tables. As a script: python notebooks/kpis.py
# (lake.root by RETAIL_SPARK__LAKE__ROOT; the pictures land beside the lake, in <lake.root>/_notebooks).

# COMMAND ----------

from matplotlib import pyplot as plt

from retail_spark.cli.notebook import open_lake
from retail_spark.lake.sql import run_sql

lake, pictures = open_lake()

# COMMAND ----------

# Revenue, orders and the share of customers who came again, by week.
weeks = run_sql(
    lake,
    "SELECT week, currency, revenue, orders, repeat_rate FROM gold.latest_kpis_weekly WHERE level = 'all' "
    "AND date_add(week, 6) <= as_of ORDER BY week",
).toPandas()
figure, axes = plt.subplots(3, 1, figsize=(9, 7), sharex=True)
for axis, (name, label) in zip(
    axes, (("revenue", "revenue"), ("orders", "orders"), ("repeat_rate", "customers who came again")), strict=True
):
    for currency, rows in weeks.groupby("currency"):
        axis.plot(rows["week"], rows[name], marker=".", label=currency)
    axis.set(ylabel=label)
axes[0].legend()
figure.tight_layout()
figure.savefig(pictures / "kpis_weeks.png", dpi=120)

# COMMAND ----------

# Categories: what they bring, and what is left of it.
categories = run_sql(
    lake,
    "SELECT category, sum(gross_revenue) AS gross_revenue, avg(gross_margin) AS gross_margin "
    "FROM gold.latest_kpis_weekly WHERE level = 'category' GROUP BY category ORDER BY gross_revenue DESC LIMIT 15",
).toPandas()
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
left.barh(categories["category"], categories["gross_revenue"])
left.set(xlabel="gross revenue", title="by category")
right.barh(categories["category"], 100 * categories["gross_margin"].astype(float), color="tab:green")
right.set(xlabel="%", title="gross margin")
figure.tight_layout()
figure.savefig(pictures / "kpis_categories.png", dpi=120)
