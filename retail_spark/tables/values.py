"""What columns of text may hold, for code that runs without Spark as well."""

DEFAULT_CUSTOMER = "*"
"""The customer_id of what is shown to customers that a model does not know."""

LISTS = ("all", "discover")
"""The lists of gold.recommendations: what was bought may come again, or is left out."""

STRATEGIES = ("popular", "als", "content", "repurchase", "explore", "popular_store", "popular_region")
"""What made a row of gold.recommendations."""

EVERYTHING = "*"
"""What a dimension holds in rows that are not broken down by it."""

UNKNOWN = "unknown"
"""What a dimension holds where the source says nothing of it."""

KPI_LEVELS = ("all", "channel", "store", "category", "channel_category", "store_category")
"""What rows of gold.kpis_daily and gold.kpis_weekly are broken down by. A store has one channel."""

CUSTOMER_SEGMENTS = ("champions", "loyal", "new", "promising", "at_risk", "hibernating", "others")
"""Segments of gold.customer_segments, in the order in which their rules are asked."""

QUANTILES = {"lo_95": 0.025, "p10": 0.1, "p50": 0.5, "p90": 0.9, "hi_95": 0.975}
"""Column -> the share of outcomes that lie below."""

CONTRIBUTION_BASE = "(base)"
"""The part of a margin in gold.delivery_risk that no feature explains."""
