"""Prices that follow from elasticities."""
