"""What a training run is made of: optimizers, schedules, evaluation, failures; `trials.proxy` is the door."""
