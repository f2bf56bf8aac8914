"""The engines there are, by the names that people give."""

from __future__ import annotations

from enum import StrEnum


class EngineName(StrEnum):
    """What can build."""

    BUILDKIT = "buildkit"
    DAGGER = "dagger"
