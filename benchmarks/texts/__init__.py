"""Cells and measurements of the text benchmarks."""
