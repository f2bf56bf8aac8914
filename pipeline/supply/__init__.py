"""What proves where an image came from: its bill of materials, provenance, attestations and signatures."""
