"""Which signer a project's settings and a command line ask for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.settings import SignSettings
from pipeline.supply.sign.api import Signer


def chosen(settings: SignSettings, option: str | None = None, trust_config: Path | None = None) -> SignSettings:
    """Return the settings with what a command line says in their place; raises UsageError.

    `option` is `keyless`, `key:ADDRESS` or `none`.
    """
    update: dict[str, object] = {"trust_config": trust_config} if trust_config else {}
    match option:
        case None:
            pass
        case "none":
            update |= {"keyless": False, "key": ""}
        case "keyless":
            update |= {"keyless": True, "key": ""}
        case _ if option.startswith("key:") and len(option) > len("key:"):
            update |= {"keyless": False, "key": option.removeprefix("key:")}
        case _:
            remedy = "write keyless, none, or key: with an address, as in key:file:release.key"
            raise UsageError("--sign does not say how to sign", remedy=remedy)  # it may be a key that somebody pasted
    return settings.model_copy(update=update)


def open_signer(settings: SignSettings, environment: Mapping[str, str]) -> Signer | None:
    """Return what signs, None where nothing is to be signed; raises SignError or UsageError.

    Opens keys, and sees that there is an identity, so it is called once, before anything is built.
    """
    if settings.key:
        from pipeline.supply.sign.keys import open_key  # only who signs pays for it

        return open_key(settings.key, environment, public=settings.public_key, password_file=settings.password_file)
    if settings.keyless:
        from pipeline.supply.sign.keyless import open_identity  # 350 ms

        return open_identity(environment, settings.trust_config)
    return None
