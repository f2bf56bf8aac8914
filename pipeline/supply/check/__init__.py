"""Checking: what bundles vouch for, held against the image they are about and a policy. No network, no clock."""
