"""What a model's log-likelihoods of a task's options say: accuracies, intervals, differences."""
