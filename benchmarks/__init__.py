"""What the claims of speed and of searching well rest on; run as `python -m benchmarks.NAME`."""
