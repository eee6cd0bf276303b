"""Scores for all customers over Spark, block by block."""
