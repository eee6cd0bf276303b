"""Source files to canonical tables, by configuration alone."""
