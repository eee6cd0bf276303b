"""The life of a run: jobs, their order, settings, history and identity."""
