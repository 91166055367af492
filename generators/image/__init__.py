"""Generators for images: models that learn from labelled pictures and make new ones of a class."""
