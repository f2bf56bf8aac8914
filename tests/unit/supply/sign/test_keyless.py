"""Identities, as far as no service is asked: what is refused before, and what a bundle of a key says to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SignError, UsageError, VerifyError
from pipeline.settings import SignSettings
from pipeline.supply.sign.bundle import Envelope, key_bundle, read_bundle
from pipeline.supply.sign.choose import open_signer
from pipeline.supply.sign.keyless import Identity, IdentityTrust, open_identity_trust

CANARY = "canary-77aa-token"
_CI = ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "GOOGLE_SERVICE_ACCOUNT_NAME")
WHO = Identity("https://issuer.example", "https://git.example/me/agents")


def trust(identity: Identity = WHO) -> IdentityTrust:
    """Return the trust in an identity, with no services behind it."""
    return IdentityTrust(identity, verifier=None)  # type: ignore[arg-type]  # (nothing here comes to it)


def test_a_machine_that_is_no_ci_job_has_no_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is told so, and what to do instead."""
    for name in _CI:
        monkeypatch.delenv(name, raising=False)
    # What Google's machines say of themselves is read from this file.
    monkeypatch.setattr("id._internal.oidc.ambient._GCP_PRODUCT_NAME_FILE", str(tmp_path / "none"))

    with pytest.raises(SignError, match="no CI job") as caught:
        open_signer(SignSettings(keyless=True), {})
    assert "sign with a key" in caught.value.remedy


def test_a_token_that_is_none_is_not_told() -> None:
    """It may be a good one that was pasted with a blank."""
    with pytest.raises(SignError, match="token cannot be used") as caught:
        open_signer(SignSettings(keyless=True), {"SIGSTORE_ID_TOKEN": CANARY})

    assert CANARY not in f"{caught.value} {caught.value.__cause__!r}"


@pytest.mark.parametrize("text", ["", "{}", "no json", '{"mediaType":"clienttrustconfig"}'])
def test_a_trust_configuration_that_is_none(text: str, tmp_path: Path) -> None:
    """Whichever of the two forms it tries to be."""
    file = tmp_path / "trust.json"
    file.write_text(text)

    with pytest.raises(UsageError) as caught:
        open_identity_trust(WHO, file, offline=True)
    assert str(file) in caught.value.message


def test_a_trust_configuration_that_is_not_there(tmp_path: Path) -> None:
    """The file is named."""
    with pytest.raises(UsageError, match="No such file"):
        open_identity_trust(WHO, tmp_path / "none", offline=True)


def test_a_bundle_of_a_key_is_not_of_an_identity() -> None:
    """It is left to those who trust the key."""
    bundle = read_bundle(key_bundle(Envelope(b"{}", "text/plain", b"signature"), "a hint"))

    assert trust().check(bundle) is None


def test_a_bundle_of_nobody_is_broken() -> None:
    """It names no key and has no certificate."""
    with pytest.raises(VerifyError, match="not good"):
        trust().check(read_bundle(key_bundle(Envelope(b"{}", "text/plain", b"signature"), "")))


def test_an_identity_is_told_by_its_name_or_repository() -> None:
    """With whose word it is."""
    assert str(WHO) == "https://git.example/me/agents of https://issuer.example"
    assert str(Identity("https://i", repository="https://r")) == "https://r of https://i"
