"""Translators: what takes texts in one language and gives them in another."""
