"""Trainings beside a study: validate, promote, lr-check, ablate."""
