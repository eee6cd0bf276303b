"""Settings in sections, and secrets that are references."""
