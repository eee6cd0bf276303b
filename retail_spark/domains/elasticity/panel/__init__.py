"""From sales lines to one row per store, product and period."""
