"""The estimators, in numpy."""
