"""What columns of text may hold, for code that runs without Spark as well."""

DEFAULT_CUSTOMER = "*"
"""The customer_id of what is shown to customers that a model does not know."""

LISTS = ("all", "discover")
"""The lists of gold.recommendations: what was bought may come again, or is left out."""

STRATEGIES = ("popular", "als", "content", "repurchase", "explore", "popular_store", "popular_region")
"""What made a row of gold.recommendations."""
