"""in-toto Statements v1 (github.com/in-toto/attestation `spec/v1/statement.md`): what is claimed of which content.

A subject is named by its digest. Equal claims are equal bytes, so a predicate that says nothing of when and by whom it
was made gives one statement for one image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.digest import Digest, canonical_json, hex_of

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


@dataclass(frozen=True, slots=True)
class Statement:
    """A claim of the form `predicate_type` about the content `subject`, which a person knows as `name`."""

    predicate_type: str
    predicate: Mapping[str, Any]
    subject: Digest
    name: str = ""

    def encode(self) -> bytes:
        """Return the one encoding of the statement."""
        named = {"name": self.name} if self.name else {}
        return canonical_json(
            {
                "_type": STATEMENT_TYPE,
                "subject": [{**named, "digest": {"sha256": hex_of(self.subject)}}],
                "predicateType": self.predicate_type,
                "predicate": self.predicate,
            }
        )
