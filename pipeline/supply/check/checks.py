"""The checks: signatures of every part, then provenance, bills of materials and scans of every platform.

The signature of a part is a claim of type `sign/v1` about it, and nothing else is: cosign takes any bundle of the right
key for one, so an image that was never released passes there when somebody attests to anything about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from pipeline.supply.check.claim import Claim, Heard
from pipeline.supply.check.policy import ProvenanceRules, VerifySpec, VulnerabilityRules
from pipeline.supply.check.result import Check, failed, not_asked, passed
from pipeline.supply.sign.referrers import SIGN_PREDICATE

PROVENANCE = "https://slsa.dev/provenance/v1"
SCAN = "https://cosign.sigstore.dev/attestation/vuln/v1"
SBOMS = {
    "spdx": ("https://spdx.dev/Document", "https://spdx.dev/Document/v2.3"),
    "cyclonedx": ("https://cyclonedx.org/bom", "https://cyclonedx.org/bom/v1.6"),
}
_SKEW = timedelta(minutes=10)


def check_parts(index: Heard, platforms: Sequence[Heard], spec: VerifySpec, now: datetime) -> tuple[Check, ...]:
    """Return all checks of an image's index and its platforms. `platforms` is empty where there is no index."""
    subjects = platforms or (index,)
    return (
        *_platforms([heard.part.name for heard in platforms], spec.platforms),
        *(check for heard in (index, *platforms) for check in _signature(heard)),
        *(_provenance(heard, index, spec.provenance) for heard in subjects),
        *(check for heard in subjects for check in _sboms(heard, spec.sboms)),
        *(_scan(heard, index, spec.vulnerabilities, now) for heard in subjects),
    )


def _platforms(there: Sequence[str], wanted: Sequence[str]) -> Iterator[Check]:
    if lacking := [name for name in wanted if name not in there]:
        yield failed("platforms", "index", f"there is none for {', '.join(lacking)}")
    elif wanted:
        yield passed("platforms", "index", ", ".join(there))


def _signature(heard: Heard) -> Iterator[Check]:
    name = heard.part.name
    for words in heard.broken:
        yield failed("evidence", name, words)
    signatures = heard.of_type(SIGN_PREDICATE)
    if signatures:
        yield passed("signature", name, f"by {', '.join(sorted({claim.signer for claim in signatures}))}")
    elif heard.claims:
        kinds = ", ".join(sorted({claim.predicate_type for claim in heard.claims}))
        yield failed("signature", name, f"there is none, only {kinds}: it was not released")
    elif heard.strangers:
        yield failed("signature", name, f"none by anybody who is trusted; bundles of others: {heard.strangers}")
    else:
        yield failed("signature", name, "there is none")


def _provenance(heard: Heard, index: Heard, rules: ProvenanceRules | None) -> Check:
    name = heard.part.name
    claims = _claims(heard, index, PROVENANCE)
    if not claims:
        return (not_asked if rules is None else failed)("provenance", name, "there is none")
    if rules is None:
        return not_asked("provenance", name, _told(claims[0]))
    wrong = [_wrong(claim, rules) for claim in claims]
    if "" in wrong:
        return passed("provenance", name, _told(claims[wrong.index("")]))
    return failed("provenance", name, wrong[0])


def _told(claim: Claim) -> str:
    return f"built by {claim.text('runDetails', 'builder', 'id') or 'nobody it names'}"


def _wrong(claim: Claim, rules: ProvenanceRules) -> str:
    """Return what a provenance says against the rules, empty where nothing."""
    builder = claim.text("runDetails", "builder", "id")
    if rules.builders and builder not in rules.builders:
        return f"the builder is {builder or 'not named'}"
    kind = claim.text("buildDefinition", "buildType")
    if rules.build_types and kind not in rules.build_types:
        return f"the build type is {kind or 'not named'}"
    if rules.repositories:
        if claim.at("buildDefinition", "externalParameters", "source", "modified") is True:
            return "the source was changed after its commit"
        if not any(source_of(address) in _plain(rules.repositories) for address, _ in _dependencies(claim)):
            return f"the source is not {' or '.join(rules.repositories)}"
    roots = [address for address, name in _dependencies(claim) if name.startswith("roots/")]
    if rules.roots and not any(address.startswith(rules.roots) for address in roots):
        return f"the root file system is from {roots[0] if roots else 'nowhere it names'}"
    return ""


def _dependencies(claim: Claim) -> Iterator[tuple[str, str]]:
    """Yield addresses and names of what a provenance says the image was made of."""
    for item in claim.items("buildDefinition", "resolvedDependencies"):
        address, name = item.get("uri"), item.get("name")
        if isinstance(address, str):
            yield address, name if isinstance(name, str) else ""


def source_of(address: str) -> str:
    """Return the repository of a source address (SPDX download location, `git+https://…@revision`), or nothing."""
    if not (address.startswith("git+") and "://" in address):
        return ""
    scheme, _, rest = address.removeprefix("git+").partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}{slash}{path.partition('@')[0].partition('#')[0]}".removesuffix(".git")


def _plain(repositories: Iterable[str]) -> set[str]:
    return {one.removesuffix("/").removesuffix(".git") for one in repositories}


def _sboms(heard: Heard, wanted: Sequence[str]) -> Iterator[Check]:
    there = [name for name, kinds in SBOMS.items() if heard.of_type(*kinds)]
    for name in wanted:
        made = passed if name in there else failed
        yield made("bill of materials", heard.part.name, name if name in there else f"there is none in {name}")
    if not wanted:
        yield not_asked("bill of materials", heard.part.name, ", ".join(there) or "there is none")


def _scan(heard: Heard, index: Heard, rules: VulnerabilityRules | None, now: datetime) -> Check:
    name = heard.part.name
    claims = _claims(heard, index, SCAN)
    times = [time for claim in claims if (time := _time(claim.text("metadata", "scanFinishedOn")))]
    # What says it comes from tomorrow says nothing.
    youngest = max((time for time in times if time <= now + _SKEW), default=None)
    if youngest is None:
        words = "there is none" if not claims else "none says when it was done"
        return (not_asked if rules is None else failed)("vulnerability scan", name, words)
    age = max(now - youngest, timedelta())
    words = f"{age.days} days old" if age.days != 1 else "1 day old"
    if rules is None:
        return not_asked("vulnerability scan", name, words)
    if age > timedelta(days=rules.max_age_days):
        return failed("vulnerability scan", name, f"{words}, {rules.max_age_days} at most are asked for")
    return passed("vulnerability scan", name, words)


def _claims(heard: Heard, index: Heard, kind: str) -> tuple[Claim, ...]:
    """Return the claims of a kind about a part, else those about the index, which speaks for all of its parts."""
    return heard.of_type(kind) or index.of_type(kind)


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
