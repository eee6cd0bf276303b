"""The Spark vocabulary of all domains: exact sums, joins, batches, periods and small frames."""
