"""The forecasting models, in numpy."""
