"""Estimates over Spark: by category, by store-product, across products, and what they add up to."""
