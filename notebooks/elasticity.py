# Databricks notebook source
# What `elasticity` says, drawn from its output tables. As a script: python notebooks/elasticity.py
# (lake.root by RETAIL_SPARK__LAKE__ROOT; the pictures land beside the lake, in <lake.root>/_notebooks).

# COMMAND ----------

from matplotlib import pyplot as plt

from retail_spark.cli.notebook import open_lake
from retail_spark.lake.sql import run_sql

lake, pictures = open_lake()

# COMMAND ----------

# The default elasticity of every category, and what other estimators say.
rows = run_sql(
    lake,
    "SELECT member, estimator, estimate, ci_low, ci_high, is_default FROM gold.latest_elasticity_estimates "
    "WHERE level = 'category' AND term = 'price' AND status = 'ok' ORDER BY member DESC, estimator",
).toPandas()
members = list(dict.fromkeys(rows["member"]))
figure, axis = plt.subplots(figsize=(7, 0.5 * len(members) + 1.5))
for shift, (estimator, some) in enumerate(rows.groupby("estimator")):
    places = [members.index(member) + 0.15 * (shift - 2) for member in some["member"]]
    spread = [some["estimate"] - some["ci_low"], some["ci_high"] - some["estimate"]]
    axis.errorbar(some["estimate"], places, xerr=spread, fmt="o", markersize=3, linewidth=1, label=estimator)
axis.axvline(-1, color="black", linewidth=0.8, linestyle=":")
axis.set_yticks(range(len(members)), members)
axis.set(xlabel="price elasticity, 95 %", title="categories")
axis.legend(fontsize=7)
figure.tight_layout()
figure.savefig(pictures / "elasticity_categories.png", dpi=120)

# COMMAND ----------

# What the prices that follow would change, and what keeps them from changing more.
advice = run_sql(
    lake,
    "SELECT bound_hit, is_recommended, count(*) AS items, sum(expected_margin_change) AS margin "
    "FROM gold.latest_price_recommendations GROUP BY ALL ORDER BY bound_hit, is_recommended",
).toPandas()
figure, axis = plt.subplots(figsize=(6, 3.5))
names = [f"{r.bound_hit}{'' if r.is_recommended else ' (no change)'}" for r in advice.itertuples()]
axis.barh(names, advice["items"])
axis.set(xlabel="store-products", title=f"margin a period: {advice['margin'].sum():+,.0f}")
figure.tight_layout()
figure.savefig(pictures / "elasticity_prices.png", dpi=120)
