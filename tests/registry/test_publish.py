"""Publishing to a real registry: what arrives, how often it is sent, and in which order."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from pipeline.catalog.credentials import Credentials
from pipeline.catalog.referrers import fallback_tag
from pipeline.digest import Digest, digest_bytes
from pipeline.engine.layout import Descriptor
from pipeline.errors import OutputError
from pipeline.resolve.tags import Tags
from pipeline.supply.artifact import Artifact
from tests.registry.images import QUICK, TAGS, about, blob, image, publish
from tests.registry.proxy import Proxy
from tests.registry.server import PASSWORD, USER, Registry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

ACCEPT = {"Accept": "application/vnd.oci.image.index.v1+json"}
WRONG = "c4n4ry-wr0ng"


def test_an_image_arrives_whole_under_all_its_tags(registry: Registry, tmp_path: Path) -> None:
    """Both platforms in one index, which every tag names; another tool copies it out with each digest checked."""
    done = publish({"one": image(tmp_path / "in", [blob("a")])}, f"{registry.address}/ns")["one"]

    assert registry.tags("ns/one") == dict.fromkeys(("1.0", "2026.11.21", "latest"), done.digest)
    assert done.moved == ("2026.11.21", "1.0", "latest")
    registry.check_whole("ns/one", "latest")
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    source = f"docker://{registry.address}/ns/one:latest"
    command = [
        "skopeo",
        "copy",
        "--all",
        "--preserve-digests",
        "--quiet",
        "--src-tls-verify=false",
        source,
        f"oci:{tmp_path}/out:x",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    (copied,) = json.loads((tmp_path / "out/index.json").read_text())["manifests"]
    assert copied["digest"] == done.digest


def test_publishing_again_sends_no_byte_and_moves_no_tag(registry: Registry, tmp_path: Path) -> None:
    """Nothing that changes anything is asked of the registry."""
    images = {"one": image(tmp_path, [blob("a"), blob("big", 9 << 20)])}
    first = publish(images, f"{registry.address}/ns")["one"]
    before = registry.uploads()

    with Proxy(registry.address).run() as proxy:
        again = publish(images, f"{proxy.address}/ns")["one"]

    assert (again.digest, again.moved, again.traffic.sent_bytes) == (first.digest, (), 0)
    assert proxy.blob_bytes == 0
    assert {call.method for call in proxy.heard} == {"GET", "HEAD"}
    assert registry.uploads() == before


def test_nine_images_send_each_distinct_blob_once(registry: Registry, tmp_path: Path) -> None:
    """Side by side: the others wait for the first, and have it mounted."""
    shared = [blob("root", 300_000), blob("base", 200_000)]
    images = {f"i{n}": image(tmp_path / f"{n}", [*shared, blob(f"own{n}", 50_000)]) for n in range(9)}

    with Proxy(registry.address).run() as proxy:
        done = publish(images, f"{proxy.address}/ns")

    finished = [call.path for call in proxy.heard if call.method == "PUT" and "/blobs/uploads/" in call.path]
    digests = [path.partition("digest=")[2].replace("%3A", ":") for path in finished]
    assert len(digests) == len(set(digests)) == 2 + 9 * 3  # shared layers; each image's own, and a config per platform
    assert proxy.blob_bytes == sum(one.traffic.sent_bytes for one in done.values())
    assert sum(one.traffic.mounted for one in done.values()) == 8 * 2
    for name in images:
        registry.check_whole(f"ns/{name}", "latest")


def test_a_blob_that_was_published_by_an_earlier_run_is_mounted(registry: Registry, tmp_path: Path) -> None:
    """Where the catalog says that a repository has it."""
    layer = blob("root", 300_000)
    publish({"old": image(tmp_path / "old", [layer])}, f"{registry.address}/ns")

    new = image(tmp_path / "new", [layer, blob("more")])
    done = publish({"new": new}, f"{registry.address}/ns", hints={digest_bytes(layer): ["ns/old"]})["new"]

    # Each platform's config is another one, and so is the layer on top.
    assert (done.traffic.mounted, done.traffic.sent) == (1, 3)


def test_a_hint_that_is_wrong_costs_nothing_but_a_question(registry: Registry, tmp_path: Path) -> None:
    """What was there may be gone."""
    layer = blob("root")
    hints = {digest_bytes(layer): ["ns/never"]}
    done = publish({"new": image(tmp_path, [layer])}, f"{registry.address}/ns", hints=hints)["new"]

    assert (done.traffic.mounted, done.traffic.sent) == (0, 3)
    registry.check_whole("ns/new", "latest")


def test_evidence_and_signatures_are_found_and_come_before_tags(registry: Registry, tmp_path: Path) -> None:
    """Attestations stand in the index; referrers are listed under the tag, as this registry has no API for them."""
    plain = image(tmp_path, [blob("a")])
    attested = replace(plain, attestations=[about(one, name) for name, one in plain.platforms.items()])
    top, _ = attested.top
    full = replace(attested, referrers=[about(top, "sbom"), about(plain.platforms["linux/arm64"], "vex")])
    signed: list[str] = []

    async def sign(index: Descriptor, platforms: Mapping[str, Descriptor]) -> Sequence[Artifact]:
        assert bool(signed) == ("latest" in registry.tags("ns/one"))
        signed.append(index.digest)
        registry.check_whole("ns/one", index.digest)
        return [about(subject, "signature") for subject in (index, *platforms.values())]

    done = publish({"one": replace(full, sign=sign)}, f"{registry.address}/ns")["one"]

    assert signed == [top.digest] == [done.digest]
    with registry.client() as client:
        index = client.get("/v2/ns/one/manifests/latest", headers=ACCEPT).json()
        listed = client.get(f"/v2/ns/one/manifests/{fallback_tag(done.digest)}", headers=ACCEPT).json()["manifests"]
    unknown = [entry for entry in index["manifests"] if entry["platform"]["os"] == "unknown"]
    assert [entry["annotations"]["vnd.docker.reference.digest"] for entry in unknown] == sorted(
        descriptor.digest for descriptor in plain.platforms.values()
    )
    assert sorted(entry["annotations"]["note"] for entry in listed) == ["sbom", "signature"]
    assert {entry["artifactType"] for entry in listed} == {"application/vnd.example.note"}
    before = registry.state()
    publish({"one": replace(full, sign=sign)}, f"{registry.address}/ns")
    assert registry.state() == before


def test_what_another_tool_attached_stays_listed(registry: Registry, tmp_path: Path) -> None:
    """The list is added to, not replaced."""
    plain = image(tmp_path, [blob("a")])
    top, _ = plain.top
    publish({"one": replace(plain, referrers=[about(top, "theirs")])}, f"{registry.address}/ns")
    publish({"one": replace(plain, referrers=[about(top, "ours")])}, f"{registry.address}/ns")

    with registry.client() as client:
        listed = client.get(f"/v2/ns/one/manifests/{fallback_tag(top.digest)}", headers=ACCEPT).json()
    assert sorted(entry["annotations"]["note"] for entry in listed["manifests"]) == ["ours", "theirs"]


def test_a_dated_tag_of_another_image_is_never_moved(registry: Registry, tmp_path: Path) -> None:
    """Not even where it appeared after the tags were chosen; nor does any tag that comes after it move."""
    first = publish({"one": image(tmp_path / "a", [blob("a")])}, f"{registry.address}/ns")["one"]

    with pytest.raises(OutputError, match=r"ns/one:2026\.11\.21 was given to another image"):
        publish({"one": image(tmp_path / "b", [blob("b")])}, f"{registry.address}/ns")

    assert registry.tags("ns/one") == dict.fromkeys(("1.0", "2026.11.21", "latest"), first.digest)


def test_a_login_is_given_to_a_registry_with_tls(secured: Registry, tmp_path: Path) -> None:
    """And the registry, which wants it for everything, takes the image."""
    images = {"one": image(tmp_path, [blob("a"), blob("big", 9 << 20)])}
    done = publish(images, f"{secured.address}/ns", credentials=Credentials(USER, PASSWORD), ca=secured.ca)["one"]

    assert secured.tags("ns/one")["latest"] == done.digest


@pytest.mark.parametrize("credentials", [None, Credentials(USER, WRONG)], ids=["none", "wrong"])
def test_a_login_that_is_refused_says_how_to_log_in(
    secured: Registry, tmp_path: Path, credentials: Credentials | None
) -> None:
    """By the registry's name and both ways there are; the password is not told."""
    with pytest.raises(OutputError) as caught:
        publish({"one": image(tmp_path, [blob("a")])}, f"{secured.address}/ns", credentials=credentials, ca=secured.ca)

    assert secured.address in caught.value.message
    assert f"docker login {secured.address}" in caught.value.remedy
    assert "_PASSWORD" in caught.value.remedy
    assert WRONG not in f"{caught.value} {caught.value.remedy} {caught.value!r}"


def test_a_certificate_nobody_vouches_for_is_told_at_once(secured: Registry, tmp_path: Path) -> None:
    """Trying again would not help."""
    with pytest.raises(OutputError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        publish({"one": image(tmp_path, [blob("a")])}, f"{secured.address}/ns", patience=replace(QUICK, stranger=600))

    assert "ca-bundle" in caught.value.remedy


def test_a_token_that_expires_in_the_middle_is_fetched_again(registry: Registry, tmp_path: Path) -> None:
    """Every few calls; the login goes to the token service alone."""
    login = httpx.BasicAuth(USER, PASSWORD)._auth_header
    images = {"one": image(tmp_path, [blob("a"), blob("b"), blob("big", 9 << 20)])}

    with Proxy(registry.address, token_lasts=15, credentials=login).run() as proxy:
        done = publish(images, f"{proxy.address}/ns", credentials=Credentials(USER, PASSWORD))["one"]

    assert registry.tags("ns/one")["latest"] == done.digest
    assert len(proxy.tokens) >= 2
    assert {call.path.partition("?")[0] for call in proxy.heard if call.authorization == login} == {"/token"}


def test_a_single_platform_may_be_tagged_without_an_index(registry: Registry, tmp_path: Path) -> None:
    """As `agc build --output push:` does."""
    single = replace(image(tmp_path, [blob("a")], ["linux/amd64"]), single=True)
    done = publish({"one": single}, f"{registry.address}/ns", Tags(moving=("latest",)))["one"]

    assert done.digest == single.manifests["linux/amd64"]
    assert registry.tags("ns/one") == {"latest": done.digest}


def test_blobs_altered_on_disk_are_not_published(registry: Registry, tmp_path: Path) -> None:
    """The registry checks what it is sent, and no tag appears."""
    made = image(tmp_path, [blob("a")])
    digest = Digest(digest_bytes(blob("a")))
    (tmp_path / "blobs/sha256" / digest.partition(":")[2]).write_bytes(blob("b"))

    with pytest.raises(OutputError, match=r"DIGEST_INVALID|HTTP 400"):
        publish({"one": made}, f"{registry.address}/ns", TAGS)

    assert registry.tags("ns/one") == {}
