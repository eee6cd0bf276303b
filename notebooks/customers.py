# Databricks notebook source
# What `customers` found, drawn from its output tables. As a script: python notebooks/customers.py
# (lake.root by RETAIL_SPARK__LAKE__ROOT; the pictures land beside the lake, in <lake.root>/_notebooks).

# COMMAND ----------

from matplotlib import pyplot as plt

from retail_spark.cli.notebook import open_lake
from retail_spark.lake.sql import run_sql

lake, pictures = open_lake()

# COMMAND ----------

# What customers are expected to bring, and how many are still there.
values = run_sql(
    lake,
    "SELECT v.expected_value, c.p_alive FROM gold.latest_customer_value v "
    "JOIN gold.latest_churn_risk c ON v.customer_id = c.customer_id WHERE v.expected_value IS NOT NULL "
    "ORDER BY v.expected_value DESC LIMIT 100000",
).toPandas()
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5))
share = values["expected_value"].cumsum() / values["expected_value"].sum()
left.plot(100 * (share.index + 1) / len(share), 100 * share)
left.set(xlabel="% of customers, best first", ylabel="% of the expected value")
right.hist(values["p_alive"].dropna().astype(float), bins=20, color="tab:green")
right.set(xlabel="chance to be still a customer", ylabel="customers")
figure.tight_layout()
figure.savefig(pictures / "customers_value.png", dpi=120)

# COMMAND ----------

# Cohorts: who came again in which month since.
cohorts = run_sql(
    lake, "SELECT cohort, months_since, retention FROM gold.latest_cohort_retention WHERE is_complete"
).toPandas()
grid = cohorts.pivot_table(index="cohort", columns="months_since", values="retention").sort_index()
figure, axis = plt.subplots(figsize=(9, 4))
picture = axis.imshow(100 * grid.to_numpy(dtype=float), aspect="auto", vmin=0, vmax=100)
axis.set_yticks(range(len(grid)), [str(day)[:7] for day in grid.index])
axis.set(xlabel="months since the first purchase", ylabel="month of the first purchase")
figure.colorbar(picture, label="% who came again")
figure.tight_layout()
figure.savefig(pictures / "customers_cohorts.png", dpi=120)
