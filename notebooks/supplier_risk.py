# Databricks notebook source
# What `supplier_risk` says, drawn from its output tables. As a script: python notebooks/supplier_risk.py
# (lake.root by RETAIL_SPARK__LAKE__ROOT; the pictures land beside the lake, in <lake.root>/_notebooks).

# COMMAND ----------

from matplotlib import pyplot as plt

from retail_spark.cli.notebook import open_lake
from retail_spark.lake.sql import run_sql

lake, pictures = open_lake()

# COMMAND ----------

# The riskiest suppliers: their score, and how sure their rate is.
suppliers = run_sql(
    lake,
    "SELECT supplier_id, risk_score, late_rate, late_rate_low, late_rate_high, changed_on "
    "FROM gold.latest_supplier_risk ORDER BY risk_score DESC, supplier_id LIMIT 20",
).toPandas()
suppliers = suppliers.iloc[::-1]
labels = [f"{r.supplier_id}*" if r.changed_on is not None else r.supplier_id for r in suppliers.itertuples()]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 5), sharey=True)
left.barh(labels, suppliers["risk_score"])
left.set(xlabel="risk score", title="riskiest suppliers (* changed)")
spread = [suppliers["late_rate"] - suppliers["late_rate_low"], suppliers["late_rate_high"] - suppliers["late_rate"]]
right.errorbar(100 * suppliers["late_rate"], labels, xerr=[100 * x for x in spread], fmt="o")
right.set(xlabel="% of shipments late, 95 %", title="lateness")
figure.tight_layout()
figure.savefig(pictures / "supplier_risk_suppliers.png", dpi=120)

# COMMAND ----------

# What is open: how likely it is late.
lines = run_sql(lake, "SELECT p_late FROM gold.latest_delivery_risk WHERE NOT is_overdue").toPandas()
figure, axis = plt.subplots(figsize=(5, 3.5))
axis.hist(lines["p_late"], bins=20, range=(0, 1))
axis.set(xlabel="P(late)", ylabel="open lines not yet due", title="what is on its way")
figure.tight_layout()
figure.savefig(pictures / "supplier_risk_lines.png", dpi=120)
