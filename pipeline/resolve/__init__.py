"""From names to exact pins: the lock, what is checked against it, and the plan of an image."""
