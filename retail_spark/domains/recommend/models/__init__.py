"""Scoring and ranking, in numpy."""
