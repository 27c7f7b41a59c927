"""What a latency measurement is made of: the machine, repeats in pairs, and the yardstick."""
