"""Which service a secret belongs to, and how a request shows it: what a proxy at a sandbox's border has to know.

A table, because no definition says it: a definition names a variable, and the variable's name is the vendor's. What is
not in it is given to the agent itself, and the reports say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Service:
    """A service by the name that credential stores have for it; `form` has `%s` where the secret goes."""

    name: str
    header: str
    form: str
    hosts: tuple[str, ...]


_COPILOT = (
    "api.business.githubcopilot.com",
    "api.enterprise.githubcopilot.com",
    "api.github.com",
    "api.githubcopilot.com",
    "api.individual.githubcopilot.com",
)

SERVICES: Mapping[str, Service] = MappingProxyType(
    {
        "ANTHROPIC_API_KEY": Service("anthropic", "x-api-key", "%s", ("api.anthropic.com", "mcp-proxy.anthropic.com")),
        "COPILOT_GITHUB_TOKEN": Service("github", "Authorization", "Bearer %s", _COPILOT),
        "GEMINI_API_KEY": Service("google", "x-goog-api-key", "%s", ("generativelanguage.googleapis.com",)),
        "GOOGLE_API_KEY": Service("vertex", "x-goog-api-key", "%s", ("aiplatform.googleapis.com",)),
        "OPENAI_API_KEY": Service("openai", "Authorization", "Bearer %s", ("api.openai.com",)),
    }
)
"""By the name of the variable."""
