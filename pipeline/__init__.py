"""AgentContainers: reproducible container images for AI coding agents, composed as BuildKit graphs."""

from importlib.metadata import version

__version__ = version("agentcontainers")
