"""Records become MLflow runs."""
