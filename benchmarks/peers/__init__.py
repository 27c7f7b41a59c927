"""What `benchmarks.neighbours` has other searches do: the same task for all, and the program that a user of each would write."""
