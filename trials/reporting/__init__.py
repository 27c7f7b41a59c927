"""A directory becomes a report and MLflow runs."""
