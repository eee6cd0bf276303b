"""Forecasts of all levels that add up."""
