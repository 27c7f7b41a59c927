"""Scaling laws: forms, fit, intervals, prediction."""
