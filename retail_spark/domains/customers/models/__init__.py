"""Models of when and for how much customers buy, in numpy and scipy."""
