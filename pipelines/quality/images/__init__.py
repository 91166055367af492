"""Fidelity, diversity and privacy of images, in the features of an extractor that every number names."""
