"""One page about a lake: what its jobs found, how sound the data are, and how to ask further."""
