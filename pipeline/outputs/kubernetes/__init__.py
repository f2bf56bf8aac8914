"""Stacks for Kubernetes: the same objects as a Kustomize base, with a variant for Cilium, and as a Helm chart."""
