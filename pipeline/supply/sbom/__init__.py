"""Bills of materials: what is in an image, from its files and the lock, as SPDX and CycloneDX documents."""
