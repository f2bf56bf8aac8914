"""What is in a registry: indexes and manifests put there."""
