"""What models see of a series beyond its own past."""
