"""AgentContainers: reproducible container images for AI coding agents, composed as BuildKit graphs."""
