"""Is what was built what was meant: smoke tests inside the image."""
