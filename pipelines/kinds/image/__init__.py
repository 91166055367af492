"""What a stage asks of images."""
