"""moto's server with what its KMS leaves out: `MessageType=DIGEST` is a digest already, and moto hashes it once more.

Started as a program. Whatever is signed there must be a digest, as all that we and cosign send is.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed


def as_digests() -> SimpleNamespace:
    """Return what moto takes for the hashes of `cryptography`, each for what was hashed with it."""

    def prehashed(kind: type[hashes.HashAlgorithm]) -> Any:
        return lambda: Prehashed(kind())

    kinds = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
    return SimpleNamespace(**{kind.__name__: prehashed(kind) for kind in kinds})


if __name__ == "__main__":
    from moto.kms import utils
    from moto.server import main

    utils.hashes = as_digests()
    main(sys.argv[1:])
