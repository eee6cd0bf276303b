"""Statistics in numpy and scipy, without Spark."""
