"""Sessions: a visitor's events with no pause longer than the gap, and what is told of them."""
