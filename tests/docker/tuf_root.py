"""A TUF repository (The Update Framework 1.0) with a trusted root in it, as organisations give it to verifiers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

TRUSTED_ROOT = "trusted_root.json"
"""The name under which Sigstore's clients look for it."""


def write_tuf_repository(folder: Path, targets: dict[str, bytes]) -> Path:
    """Write a repository of `targets` into `folder`, and return the root that a client is to be given beforehand."""
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    signers = {role: CryptoSigner.generate_ed25519() for role in ("root", "targets", "snapshot", "timestamp")}
    root = Root(expires=expires, consistent_snapshot=True)
    for role, signer in signers.items():
        root.add_key(signer.public_key, role)
    listed = {name: TargetFile.from_data(name, content, ["sha256"]) for name, content in targets.items()}
    parts: dict[str, Metadata[Any]] = {
        "1.root": Metadata(root),
        "1.targets": Metadata(Targets(expires=expires, targets=listed)),
        "1.snapshot": Metadata(Snapshot(expires=expires, meta={"targets.json": MetaFile(1)})),
        "timestamp": Metadata(Timestamp(expires=expires, snapshot_meta=MetaFile(1))),
    }
    (folder / "targets").mkdir(parents=True)
    for name, part in parts.items():
        part.sign(signers[name.removeprefix("1.")])
        part.to_file(str(folder / f"{name}.json"))
    for name, content in targets.items():
        (folder / "targets" / f"{listed[name].hashes['sha256']}.{name}").write_bytes(content)
    return folder / "1.root.json"
