"""Supplier risk: who will be late, how sure that is, why, and what changed."""

from retail_spark.engine.catalogue import Entry

ENTRY = Entry("who will be late, how sure that is, and why", headline=("auc", "brier", "average_precision"))
