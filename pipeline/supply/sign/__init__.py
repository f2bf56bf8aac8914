"""Signing: statements become Sigstore bundles, by a key or by the identity of a CI job, and bundles become referrers."""
