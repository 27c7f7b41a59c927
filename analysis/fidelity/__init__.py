"""Whether a short training tells the truth: longer trainings, transfer of learning rates, ablations."""
