"""Key figures of the business by day and week, each defined once: in the contracts of retail_spark/tables/kpis.py."""

from retail_spark.engine.catalogue import Entry

ENTRY = Entry("key figures of the business by day and week", headline=("revenue", "orders", "customers"))
