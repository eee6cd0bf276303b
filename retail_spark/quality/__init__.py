"""A contract turned into Great Expectations checks, and what they found: reports, ops.expectations, Data Docs."""
