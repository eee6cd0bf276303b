"""Product lists for every customer, from ALS and from what they bought before."""

from retail_spark.engine.catalogue import Entry

ENTRY = Entry("product lists for every customer", headline=("ndcg_at_10", "ndcg_at_10_discover"))
