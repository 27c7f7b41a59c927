"""Ask and tell: Optuna around `analysis.search`."""
