"""All that knows Delta: names, contracts, reading at a pinned version, the three writers, leases, maintenance."""
