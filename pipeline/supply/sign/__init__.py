"""Signing: statements become Sigstore bundles by a key or the identity of a CI job, and bundles become referrers."""
