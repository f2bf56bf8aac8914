"""An image in memory, the key that signed it, and what comes of verifying it against a policy."""

from __future__ import annotations

from typing import Any

import anyio
from cryptography.hazmat.primitives.asymmetric import ec
from securesystemslib.signer import CryptoSigner

from pipeline.catalog.evidence import check_content, parse_image, read_image
from pipeline.digest import digest_bytes
from pipeline.engine.layout import Descriptor
from pipeline.errors import VerifyError
from pipeline.supply.artifact import Artifact
from pipeline.supply.check.checks import check_parts
from pipeline.supply.check.claim import hear
from pipeline.supply.check.policy import VerifySpec
from pipeline.supply.check.result import Verification
from pipeline.supply.sign.key_files import known_key
from pipeline.supply.sign.keys import KeySigner
from pipeline.supply.sign.referrers import sign_all
from pipeline.supply.statement import Statement
from tests.unit.supply.evidence_shelf import BUILD_TYPE, BUILDER, NOW, REPOSITORY, Shelf

REFERENCE = parse_image("registry.example/agents/claude:latest")
EVERYTHING: dict[str, Any] = {
    "platforms": ["linux/amd64", "linux/arm64"],
    "provenance": {
        "builders": [BUILDER],
        "buildTypes": [BUILD_TYPE],
        "repositories": [REPOSITORY],
        "roots": ["pkg:oci/debian@"],
    },
    "sboms": ["spdx", "cyclonedx"],
    "vulnerabilities": {"maxAgeDays": 7},
}


def new_signer() -> KeySigner:
    """Return the signer for a new key."""
    private = ec.generate_private_key(ec.SECP256R1())
    key = known_key(private.public_key())
    return KeySigner(CryptoSigner(private, key), key, "test")


SIGNER = new_signer()
SUBJECT = digest_bytes(b"it")


def spec(**more: Any) -> VerifySpec:
    """Return a policy that asks for everything, but for what is given."""
    return VerifySpec.model_validate({**EVERYTHING, **more})


def verified(shelf: Shelf, policy: VerifySpec | None = None, signer: KeySigner = SIGNER) -> Verification:
    """Return what comes of verifying the image of a repository."""

    async def work() -> Verification:
        image = await read_image(shelf, REFERENCE)
        index, *platforms = [hear(part, [signer.trust]) for part in (image.index, *image.platforms)]
        checks = check_parts(index, platforms, policy or spec(), NOW)
        content = await check_content(shelf, image)
        return Verification("it", image.index.digest, {}, (*checks, *content))

    return anyio.run(work)


def failures(shelf: Shelf, policy: VerifySpec | None = None) -> list[tuple[str, str]]:
    """Return name and part of the checks that fail, or the error that ends it all."""
    try:
        return [(check.name, check.part) for check in verified(shelf, policy).failed]
    except VerifyError:
        return [("unreadable", "")]


def resigned(shelf: Shelf, index: Descriptor, platforms: dict[str, Descriptor], *statements: Statement) -> None:
    """Attach the given statements alone, signed."""

    async def work() -> tuple[Artifact, ...]:
        made = await sign_all(SIGNER, index, tuple(platforms.values()), statements, NOW)
        return made[: len(statements)]

    shelf.attach(anyio.run(work))
