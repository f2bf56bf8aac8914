"""Registries for the tests of publishing: one for each test, which starts in a tenth of a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.registry.server import Registry, run_registry


@pytest.fixture
def registry() -> Iterator[Registry]:
    """Start an empty registry without a login."""
    with run_registry() as registry:
        yield registry


@pytest.fixture
def secured() -> Iterator[Registry]:
    """Start an empty registry with TLS and a login."""
    with run_registry(secured=True) as registry:
        yield registry
