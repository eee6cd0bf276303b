"""The analysis of experiments from sums: numpy and scipy, without Spark."""
