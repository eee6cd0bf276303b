"""Forecasts per store and product: many series at once, honest accuracy, coherent levels, intervals that hold."""
