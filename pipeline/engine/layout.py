"""OCI image layouts on disk (image-spec `image-layout.md`): read manifests, write a one-layer image, adopt an export.

Rules kept here: a blob is moved in under its digest before anything names it, and `index.json` is replaced by rename,
so a reader never meets a name whose content is missing, and a failure leaves the old index as it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipeline.digest import Digest, canonical_json, digest_bytes, digest_file, hex_of
from pipeline.errors import IntegrityError, OutputError

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
TAR_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
REF_NAME = "org.opencontainers.image.ref.name"
_DAY = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A typed pointer to a blob; `size` in bytes."""

    media_type: str
    digest: Digest
    size: int

    def as_json(self, **more: Any) -> dict[str, Any]:
        """Return the OCI form, with further members added."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, **more}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an image manifest says: its own descriptor, the config's, and the layers', lowest first."""

    descriptor: Descriptor
    config: Descriptor
    layers: tuple[Descriptor, ...]


def read_manifest(layout: Path, digest: Digest) -> Manifest:
    """Return the image manifest `digest` of `layout`; raises IntegrityError where it is absent or altered."""
    data = read_blob(layout, digest)
    document = json.loads(data)
    return Manifest(
        Descriptor(document.get("mediaType", MANIFEST_TYPE), digest, len(data)),
        _descriptor(document["config"]),
        tuple(_descriptor(layer) for layer in document["layers"]),
    )


def read_blob(layout: Path, digest: Digest) -> bytes:
    """Return a small blob, checked against its digest; raises IntegrityError."""
    path = blob_path(layout, digest)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{path}: {error.strerror}") from error
    if digest_bytes(data) != digest:
        raise IntegrityError(f"{path} does not have the digest of its name", remedy="delete it and build again")
    return data


def blob_path(layout: Path, digest: Digest) -> Path:
    """Return where a blob lies."""
    return layout / "blobs" / "sha256" / hex_of(digest)


def write_single_layer_image(layout: Path, tar: Path, architecture: str) -> Digest:
    """Move the uncompressed `tar` into `layout` as a one-layer image and return the manifest digest.

    The config says nothing that is not content: no date, no history, so equal tars give equal digests.
    """
    layer = Descriptor(TAR_LAYER_TYPE, digest_file(tar), tar.stat().st_size)
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    tar.rename(blob_path(layout, layer.digest))
    config = {"architecture": architecture, "os": "linux", "config": {}}
    return write_described(layout, "root", config, (layer.digest,), (layer,))


def write_image(layout: Path, name: str, config: Mapping[str, Any], layers: Iterable[bytes]) -> Digest:
    """Write an image of uncompressed layer tars, lowest first, and return the manifest digest."""
    (layout / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    added = tuple(_add_bytes(layout, TAR_LAYER_TYPE, tar) for tar in layers)
    return write_described(layout, name, config, tuple(layer.digest for layer in added), added)


def write_described(
    layout: Path, name: str, config: Mapping[str, Any], diff_ids: tuple[Digest, ...], layers: tuple[Descriptor, ...]
) -> Digest:
    """Write an image of layers whose blobs lie in `layout`, and return the manifest digest.

    `diff_ids` are the digests of the layers' uncompressed content.
    """
    rootfs = {"type": "layers", "diff_ids": list(diff_ids)}
    described = _add(layout, CONFIG_TYPE, {**config, "rootfs": rootfs})
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": described.as_json(),
        "layers": [layer.as_json() for layer in layers],
    }
    manifest = _add(layout, MANIFEST_TYPE, document)
    _write_index(layout, [manifest.as_json(annotations={REF_NAME: name})])
    return manifest.digest


@contextmanager
def staged(layout: Path) -> Iterator[Path]:
    """Yield an empty layout next to `layout` that already has its blobs, as hard links; it is removed at the end.

    What a killed process left a day ago or more is removed too. Raises OutputError where the folder cannot be made.
    """
    try:
        layout.parent.mkdir(parents=True, exist_ok=True)
        for left in layout.parent.glob(f".{layout.name}-*"):
            if left.is_dir() and time.time() - left.stat().st_mtime > _DAY:
                shutil.rmtree(left, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{layout.name}-", dir=layout.parent))
    except OSError as error:
        raise OutputError(f"{layout.parent}: {error.strerror}", remedy="choose another --output folder") from error
    try:
        blobs = staging / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        known = layout / "blobs" / "sha256"
        # Without hard links the engine sends every blob again, which is slower and no less right.
        with contextlib.suppress(PermissionError, NotImplementedError):
            for blob in known.iterdir() if known.is_dir() else ():
                os.link(blob, blobs / blob.name)
        yield staging
    except OSError as error:
        raise OutputError(f"{layout}: {error.strerror}", remedy=_disk_remedy(error)) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def holds(layout: Path, name: str, digest: Digest) -> bool:
    """Tell whether `name` means `digest` in `layout`, and every blob of it is there in its full size."""
    try:
        named = [entry for entry in _read_index(layout) if entry["annotations"][REF_NAME] == name]
        return [entry["digest"] for entry in named] == [digest] and _is_whole(layout, _descriptor(named[0]))
    except (OSError, ValueError, KeyError, TypeError, IntegrityError):
        return False


def manifests_of(layout: Path, name: str) -> Mapping[str, Digest]:
    """Return the manifest of each platform that the image `name` has in `layout`, by platform; none where it is not.

    Raises IntegrityError where what it names is absent or altered.
    """
    try:
        named = [entry for entry in _read_index(layout) if entry["annotations"][REF_NAME] == name]
        return dict(found for entry in named for found in _platforms(layout, entry))
    except OSError as error:
        raise IntegrityError(f"{layout}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{layout} is no OCI layout: {error}", remedy="build into another folder") from error


def _platforms(layout: Path, entry: Mapping[str, Any]) -> Iterator[tuple[str, Digest]]:
    """Yield the platforms below an entry of an index; what is for none, attestations for one, is left out."""
    described = _descriptor(entry)
    document = json.loads(read_blob(layout, described.digest))
    for below in document.get("manifests", ()):
        yield from _platforms(layout, below)
    if document.get("config", {}).get("mediaType") == CONFIG_TYPE:
        config = json.loads(read_blob(layout, Digest(document["config"]["digest"])))
        yield f"{config['os']}/{config['architecture']}", described.digest


def _is_whole(layout: Path, descriptor: Descriptor) -> bool:
    """Tell whether a blob and all it names are there; what is read is checked, what is only named is measured."""
    if blob_path(layout, descriptor.digest).stat().st_size != descriptor.size:
        return False
    if not descriptor.media_type.endswith((".manifest.v1+json", ".index.v1+json")):
        return True
    document = json.loads(read_blob(layout, descriptor.digest))
    config = [document["config"]] if "config" in document else []
    below = [*document.get("manifests", ()), *config, *document.get("layers", ())]
    return all(_is_whole(layout, _descriptor(item)) for item in below)


def adopt(staging: Path, layout: Path, name: str, manifests: Mapping[str, Digest]) -> Digest:
    """Move the image in `staging` into `layout` under `name` and return the digest that `name` then means.

    `manifests` maps platforms (`linux/amd64`) to manifest digests. One platform is named directly, several get an
    index. Raises OutputError; the layout is then as it was, but for blobs nothing refers to.
    """
    try:
        target = layout / "blobs" / "sha256"
        target.mkdir(parents=True, exist_ok=True)
        with FileLock(layout / ".lock"):
            for blob in (staging / "blobs" / "sha256").iterdir():
                if not (target / blob.name).exists():
                    blob.rename(target / blob.name)
            top = _top(layout, manifests)
            old = [entry for entry in _read_index(layout) if entry.get("annotations", {}).get(REF_NAME) != name]
            new = top.as_json(annotations={REF_NAME: name})
            _write_index(layout, sorted([*old, new], key=lambda entry: str(entry["annotations"][REF_NAME])))
    except OSError as error:
        raise OutputError(f"{layout}: {error.strerror}", remedy=_disk_remedy(error)) from error
    return top.digest


def _top(layout: Path, manifests: Mapping[str, Digest]) -> Descriptor:
    described = {platform: read_manifest(layout, digest).descriptor for platform, digest in manifests.items()}
    if len(described) == 1:
        return next(iter(described.values()))
    entries = []
    for platform, descriptor in sorted(described.items()):
        system, _, architecture = platform.partition("/")
        entries.append(descriptor.as_json(platform={"os": system, "architecture": architecture}))
    return _add(layout, INDEX_TYPE, {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries})


def _disk_remedy(error: OSError) -> str:
    return "free some space, or choose another --output folder" if error.errno == ENOSPC else ""


def _add(layout: Path, media_type: str, document: Mapping[str, Any]) -> Descriptor:
    return _add_bytes(layout, media_type, canonical_json(document))


def _add_bytes(layout: Path, media_type: str, data: bytes) -> Descriptor:
    digest = digest_bytes(data)
    _replace(blob_path(layout, digest), data)
    return Descriptor(media_type, digest, len(data))


def _write_index(layout: Path, entries: list[dict[str, Any]]) -> None:
    _replace(layout / "oci-layout", canonical_json({"imageLayoutVersion": "1.0.0"}))
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
    _replace(layout / "index.json", canonical_json(index))


def _read_index(layout: Path) -> list[dict[str, Any]]:
    path = layout / "index.json"
    if not path.exists():
        return []
    entries: list[dict[str, Any]] = json.loads(path.read_bytes()).get("manifests", [])
    return [entry for entry in entries if REF_NAME in entry.get("annotations", {})]


def _replace(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def _descriptor(document: Mapping[str, Any]) -> Descriptor:
    return Descriptor(document["mediaType"], Digest(document["digest"]), int(document["size"]))
