"""Leaven: synthetic training data that is released only when a classifier gets better for it."""

__version__ = "0.1.0"
