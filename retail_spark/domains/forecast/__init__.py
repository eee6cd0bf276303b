"""Forecasts per store and product: many series at once, honest accuracy, coherent levels, intervals that hold."""

from retail_spark.engine.catalogue import Entry

ENTRY = Entry("what every store will sell of every product", headline=("wape", "fva", "coverage_80"))
