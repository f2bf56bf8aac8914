"""`agc verify`: the page for people, and what a rebuild takes from what was verified."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.catalog.evidence import Image
from pipeline.cli import main
from pipeline.cli.output import text_of
from pipeline.cli.verify import lines_of
from pipeline.digest import Digest, digest_bytes
from pipeline.engine.api import Compression
from pipeline.errors import ExitCode, VerifyError
from pipeline.stages.rebuilding import compared
from pipeline.stages.verifying import Recorded, compression_of, recorded
from pipeline.supply.check.claim import Claim, Part
from pipeline.supply.check.result import Outcome, Verification, failed, not_asked, passed

DIGEST = digest_bytes(b"it")
COMMIT = "ab" * 20


def test_the_page_goes_part_by_part() -> None:
    """The index first, then each platform with its digest, then what it comes to."""
    checks = (
        passed("signature", "index", "by key cosign.pub"),
        passed("signature", "linux/amd64", "by key cosign.pub"),
        not_asked("provenance", "linux/amd64", "there is none"),
        failed("content", "index", "\x1b[31mevil"),
    )

    page = text_of(lines_of(Verification("r/a:latest", DIGEST, {"linux/amd64": DIGEST}, checks)))

    assert (
        page
        == f"""\
r/a:latest  {DIGEST}

  index
    passed  signature  by key cosign.pub
    failed  content    evil

  linux/amd64  {DIGEST}
    passed     signature   by key cosign.pub
    not asked  provenance  there is none

not verified: 1 of the checks failed; do not run this image
"""
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("localhost:1/a/b",),
        ("localhost:1/a/b", "--issuer", "https://i"),
        ("localhost:1/a/b", "--identity", "me"),
        ("no reference", "--issuer", "https://i", "--identity", "me"),
        ("localhost:1/a/b", "--key", "/nowhere"),
    ],
)
def test_who_names_nobody_is_told_so(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is asked of a registry."""
    assert main(["verify", *arguments]) == ExitCode.USAGE
    assert "try: " in capsys.readouterr().err


def provenance(*dependencies: Any, **more: Any) -> Claim:
    """Return the claim of what an image was made of."""
    return Claim("p", {"buildDefinition": {"resolvedDependencies": list(dependencies), **more}}, "test")


SOURCE = {"uri": f"git+https://git.example/me/agents@{COMMIT}", "digest": {"gitCommit": COMMIT}}


def test_the_commit_of_an_image_is_that_of_all_platforms() -> None:
    """Said by each, and the same."""
    claims = [provenance({"uri": "pkg:npm/a@1"}, SOURCE), provenance(SOURCE | {"uri": "git+local:project"})]

    assert recorded(claims, "claude") == Recorded("claude", COMMIT)


@pytest.mark.parametrize(
    "claims",
    [
        [],
        [provenance()],
        [provenance({"uri": SOURCE["uri"]})],
        [provenance(SOURCE | {"digest": {"gitCommit": "--upload-pack=evil"}})],
        [provenance(SOURCE | {"digest": {"gitCommit": COMMIT[:10]}})],
        [provenance(SOURCE), provenance(SOURCE | {"digest": {"gitCommit": "cd" * 20}})],
        [provenance(SOURCE, externalParameters={"source": {"modified": True}})],
        [provenance(SOURCE), provenance(SOURCE, externalParameters={"image": "another"})],
    ],
    ids=["no provenance", "no source", "no digest", "an option", "short", "two commits", "changed", "two images"],
)
def test_an_image_without_one_commit_is_not_built_again(claims: list[Claim]) -> None:
    """What a provenance holds never becomes an argument of git by itself."""
    with pytest.raises(VerifyError, match="cannot be built again"):
        recorded(claims, "claude")


@pytest.mark.parametrize("compression", Compression)
def test_layers_are_compressed_as_they_were(compression: Compression) -> None:
    """Their types say how."""
    suffix = {Compression.ZSTD: "+zstd", Compression.GZIP: "+gzip", Compression.UNCOMPRESSED: ""}[compression]
    types = (f"application/vnd.oci.image.layer.v1.tar{suffix}",)

    assert compression_of(Image(Part("index", DIGEST), (), {}, types)) is compression


@pytest.mark.parametrize("types", [(), ("text/plain",), ("a.tar+zstd", "a.tar+gzip"), ("a.tar+zstd", "text/plain")])
def test_layers_compressed_in_no_one_way(types: tuple[str, ...]) -> None:
    """An image of somebody else."""
    with pytest.raises(VerifyError, match="cannot be built again"):
        compression_of(Image(Part("index", DIGEST), (), {}, types))


def test_a_rebuild_is_compared_platform_by_platform() -> None:
    """One that was not built differs."""
    published = {"linux/amd64": DIGEST, "linux/arm64": Digest("sha256:other")}

    checks = compared({"linux/amd64": DIGEST}, published, COMMIT)

    assert [check.outcome for check in checks] == [Outcome.PASSED, Outcome.FAILED]
    assert "gives nothing" in checks[1].found
