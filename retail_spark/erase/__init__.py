"""Erasure: a visitor or customer leaves every table, and does not come back."""
