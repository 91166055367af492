"""Quality of texts."""
