"""All that knows MLflow: runs, models, gates, aliases."""
