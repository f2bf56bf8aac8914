"""The JSON Schema of policies for `agc verify`."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.models import kinds, parts, values
from pipeline.models.schema import schema_text
from pipeline.supply.check import policy


def policy_schema() -> Mapping[str, str]:
    """Return file name and text of the schema of policies."""
    modules = (values, parts, kinds, policy)
    return {"verify-policy.schema.json": schema_text("VerifyPolicy", policy.VerifyPolicy, modules)}
