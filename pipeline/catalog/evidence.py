"""An image of a registry with everything that refers to it, read to be checked (OCI distribution-spec v1.1).

Rules kept here:

- every document and blob is checked against the digest and size it is named by, and what differs is told, not used;
- referrers are asked of the API, else of the tag that stands in for it; what is no bundle is left alone;
- there is a limit to all of it, so that no registry can make a check take for ever.

A registry that cannot be reached is a ResolveError; one that has something else than it should is a VerifyError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.digest import Digest, digest_bytes, hex_of
from pipeline.engine.layout import Descriptor
from pipeline.errors import UsageError, VerifyError
from pipeline.resolve.oci import Reference
from pipeline.supply.check.claim import Part
from pipeline.supply.check.result import Check, failed, passed
from pipeline.supply.strict_json import parse_object

DOCUMENT_LIMIT = 4 << 20
BUNDLE_LIMIT = 16 << 20
_REFERRERS = 100
_CHILDREN = 100
_TOTAL = 256 << 20
_BUNDLE = "application/vnd.dev.sigstore.bundle"
_UNKNOWN = "unknown/unknown"


class Source(Protocol):
    """A repository that is read."""

    async def manifest(self, name: str) -> bytes | None:
        """Return the manifest of a tag or digest as it comes, None where there is none; raises ResolveError."""
        ...

    async def referrers(self, digest: Digest) -> Sequence[Mapping[str, Any]] | None:
        """Return the descriptors of what refers to `digest`, None where the registry has no such list."""
        ...

    async def blob(self, digest: Digest, limit: int) -> bytes | None:
        """Return a blob of at most `limit` bytes as it comes, None where there is none; raises ResolveError."""
        ...

    async def measure(self, digest: Digest) -> tuple[Digest, int] | None:
        """Return digest and size of what the registry has for a blob, None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Image:
    """An image as it stands in a registry: its index and platforms, or its only manifest, and all it is made of."""

    index: Part
    platforms: tuple[Part, ...]
    blobs: Mapping[str, tuple[Descriptor, ...]]
    layer_types: tuple[str, ...]


def parse_image(text: str) -> Reference:
    """Return the parts of `registry/repository[:tag][@digest]`; raises UsageError. A digest wins over a tag."""
    name, at, digest = text.partition("@")
    registry, _, rest = name.partition("/")
    repository, _, tag = rest.partition(":")
    plain = registry and repository and not any(one.isspace() or one in "?#%\\" for one in text) and "://" not in text
    if not plain or ".." in repository or (at and not _is_digest(digest)):
        remedy = "write REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:…"
        raise UsageError(f"{text!r} is no reference to an image", remedy=remedy)
    return Reference(registry, repository, digest if at else tag or "latest")


async def read_image(source: Source, reference: Reference) -> Image:
    """Return the image that `reference` names; raises ResolveError or VerifyError."""
    shown = f"{reference.registry}/{reference.repository}"
    content = await source.manifest(reference.tag)
    if content is None:
        raise VerifyError(f"{shown} has no {reference.tag}", remedy="check the name")
    digest = digest_bytes(content)
    if _is_digest(reference.tag) and reference.tag != digest:
        raise VerifyError(f"{shown}@{reference.tag}: the registry answered with {digest}")
    room = _Room()
    document = _document(content, shown)
    if "manifests" not in document:
        blobs_of_it = _blobs(document, shown)
        name = await _platform(source, blobs_of_it[0])
        part = await _part(source, name, digest, room)
        return Image(part, (), {name: blobs_of_it}, _layer_types(document))
    platforms: list[Part] = []
    blobs: dict[str, tuple[Descriptor, ...]] = {}
    types: list[str] = []
    for name, entry in _children(document, shown):
        child = await _child(source, entry, shown)
        blobs[name] = _blobs(child, shown)
        if not name.startswith(_UNKNOWN):
            platforms.append(await _part(source, name, entry.digest, room))
            types += _layer_types(child)
    return Image(await _part(source, "index", digest, room), tuple(platforms), blobs, tuple(dict.fromkeys(types)))


async def check_content(source: Source, image: Image) -> tuple[Check, ...]:
    """Return whether every blob of an image is what its manifest says, part by part; reads them all once."""
    seen: dict[Digest, tuple[Digest, int] | None] = {}
    checks = []
    for name, blobs in image.blobs.items():
        wrong = ""
        for blob in blobs:
            if blob.digest not in seen:
                seen[blob.digest] = await source.measure(blob.digest)
            found = seen[blob.digest]
            if found is None:
                wrong = wrong or f"{blob.digest} is not there"
            elif found != (blob.digest, blob.size):
                wrong = wrong or f"{blob.digest} is something else"
        words = f"{len(blobs)} blobs are what they should be"
        checks.append(failed("content", name, wrong) if wrong else passed("content", name, words))
    return tuple(checks)


class _Room:
    """How many bytes of bundles may still be read of an image."""

    def __init__(self) -> None:
        self.left = _TOTAL

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise VerifyError(f"the bundles of the image have more than {_TOTAL >> 20} MiB")


async def _part(source: Source, name: str, digest: Digest, room: _Room) -> Part:
    """Return a part of an image with its bundles; one that cannot be read is told of, and keeps no other from use."""
    bundles, broken = [], []
    for entry in await _referrers(source, digest):
        try:
            content = await _bundle(source, entry, digest)
        except VerifyError as error:
            broken.append(error.message)
            continue
        if content is not None:
            room.take(len(content))
            bundles.append(content)
    return Part(name, digest, tuple(bundles), tuple(broken))


async def _referrers(source: Source, digest: Digest) -> Sequence[Mapping[str, Any]]:
    found = await source.referrers(digest)
    if found is None:
        content = await source.manifest(f"sha256-{hex_of(digest)}")
        if content is None:
            return ()
        listed = _document(content, "the list of referrers").get("manifests")
        found = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    if len(found) > _REFERRERS:
        raise VerifyError(f"{digest} has {len(found)} referrers, more than {_REFERRERS}")
    return found


async def _bundle(source: Source, entry: Mapping[str, Any], subject: Digest) -> bytes | None:
    """Return the bundle that a referrer holds, None where it holds something else; raises VerifyError."""
    if not str(entry.get("artifactType") or _BUNDLE).startswith(_BUNDLE):
        return None
    descriptor = _descriptor(entry, "a referrer")
    content = await source.manifest(descriptor.digest)
    if content is None or digest_bytes(content) != descriptor.digest:
        raise VerifyError(f"the referrer {descriptor.digest} is {'not there' if content is None else 'something else'}")
    manifest = _document(content, f"the referrer {descriptor.digest}")
    layers = manifest.get("layers")
    if not str(manifest.get("artifactType")).startswith(_BUNDLE):
        return None
    about = manifest.get("subject")
    if not isinstance(about, dict) or about.get("digest") != subject:
        raise VerifyError(f"the referrer {descriptor.digest} is about something else")
    if not isinstance(layers, list) or len(layers) != 1:
        raise VerifyError(f"the referrer {descriptor.digest} does not have exactly one layer")
    layer = _descriptor(layers[0], f"the referrer {descriptor.digest}")
    found = await source.blob(layer.digest, BUNDLE_LIMIT)
    if found is None or digest_bytes(found) != layer.digest:
        raise VerifyError(f"the bundle {layer.digest} is {'not there' if found is None else 'something else'}")
    return found


async def _child(source: Source, entry: Descriptor, shown: str) -> dict[str, Any]:
    content = await source.manifest(entry.digest)
    if content is None:
        raise VerifyError(f"{shown}@{entry.digest} is named by its index and not in the registry")
    if digest_bytes(content) != entry.digest or len(content) != entry.size:
        raise VerifyError(f"{shown}@{entry.digest}: the registry answered with something else")
    return _document(content, f"{shown}@{entry.digest}")


def _children(index: Mapping[str, Any], shown: str) -> Iterator[tuple[str, Descriptor]]:
    """Yield what an index names, each with a name of its own: the platform, numbered where several share it."""
    entries = index["manifests"]
    if not isinstance(entries, list) or not 0 < len(entries) <= _CHILDREN:
        raise VerifyError(f"{shown}: the index does not name between 1 and {_CHILDREN} manifests")
    taken: set[str] = set()
    for number, entry in enumerate(entries):
        descriptor = _descriptor(entry, shown)
        platform = entry.get("platform") if isinstance(entry.get("platform"), dict) else {}
        words = [platform.get("os"), platform.get("architecture"), platform.get("variant")]
        name = "/".join(str(word) for word in words if isinstance(word, str)) or f"manifest {number}"
        name = f"{name} {number}" if name in taken else name
        taken.add(name)
        yield name, descriptor


async def _platform(source: Source, config: Descriptor) -> str:
    """Return the platform that a config is for; `image` where it says none."""
    content = await source.blob(config.digest, DOCUMENT_LIMIT)
    if content is None or digest_bytes(content) != config.digest:
        raise VerifyError(f"the config {config.digest} is {'not there' if content is None else 'something else'}")
    document = _document(content, f"the config {config.digest}")
    words = [document.get("os"), document.get("architecture")]
    return "/".join(str(word) for word in words if isinstance(word, str)) or "image"


def _blobs(manifest: Mapping[str, Any], shown: str) -> tuple[Descriptor, ...]:
    layers = manifest.get("layers")
    if not isinstance(layers, list) or "config" not in manifest:
        raise VerifyError(f"{shown}: a manifest names no config and layers")
    return tuple(_descriptor(entry, shown) for entry in (manifest["config"], *layers))


def _layer_types(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(entry.get("mediaType")) for entry in manifest["layers"])


def _descriptor(entry: object, shown: str) -> Descriptor:
    found = entry if isinstance(entry, dict) else {}
    digest, size = found.get("digest"), found.get("size")
    if not _is_digest(digest) or not isinstance(size, int) or size < 0:
        raise VerifyError(f"{shown} names something without a digest and size")
    return Descriptor(str(found.get("mediaType")), Digest(str(digest)), size)


def _is_digest(text: object) -> bool:
    known = isinstance(text, str) and text.startswith("sha256:") and len(text) == len("sha256:") + 64
    return known and not set(hex_of(str(text))) - set("0123456789abcdef")


def _document(content: bytes, shown: str) -> dict[str, Any]:
    try:
        return parse_object(content, DOCUMENT_LIMIT)
    except ValueError as error:
        raise VerifyError(f"{shown}: a manifest {error}") from error
