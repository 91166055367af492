"""What the benchmarks of images share."""
