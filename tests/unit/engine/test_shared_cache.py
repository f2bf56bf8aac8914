"""Places where engines share what they built: what may be said of one, and what buildctl is told."""

from __future__ import annotations

import csv

import pytest

from pipeline.engine.buildkit.shared_cache import SharedCache, parse_caches
from pipeline.errors import UsageError
from pipeline.platform import AMD64

REGISTRY = "type=registry,ref=registry.example:5000/team/cache"
S3 = "type=s3,region=eu-central-1,bucket=cache,prefix=agc/"


def parsed(entry: str) -> SharedCache:
    """Return the one place that `entry` names."""
    (cache,) = parse_caches("cache-to", [entry])
    return cache


def fields(record: str) -> dict[str, str]:
    """Return the attributes as a reader of CSV sees them."""
    (row,) = csv.reader([record])
    return {key: value for key, _, value in (field.partition("=") for field in row)}


def test_a_registry_has_a_tag_for_each_image_and_platform() -> None:
    """An export replaces what was there under its tag."""
    place = parsed(REGISTRY)

    ref = "registry.example:5000/team/cache:node-bun-claude-linux-amd64"
    assert fields(place.imported("node-bun-claude", AMD64)) == {"type": "registry", "ref": ref}
    assert fields(place.exported("node-bun-claude", AMD64))["ref"] == ref


def test_a_bucket_has_a_name_for_each_image_and_platform() -> None:
    """Everything else is passed on as it was written."""
    told = fields(parsed(S3).exported("node-bun", AMD64))

    assert told.items() >= {"type": "s3", "bucket": "cache", "prefix": "agc/", "name": "node-bun-linux-amd64"}.items()


@pytest.mark.parametrize("entry", [REGISTRY, S3])
def test_blobs_are_compressed_as_images_are(entry: str) -> None:
    """Or an image would take over blobs of another level, and have another digest."""
    told = fields(parsed(entry).exported("node-bun", AMD64))

    assert (told["compression"], told["compression-level"], told["force-compression"]) == ("zstd", "3", "true")
    assert (told["mode"], told["ignore-error"]) == ("max", "true")


def test_what_only_an_export_knows_is_not_said_to_an_import() -> None:
    """One entry does for both settings."""
    place = parsed(f"{REGISTRY},mode=min,ignore-error=false")

    assert fields(place.imported("x", AMD64)).keys() == {"type", "ref"}
    assert fields(place.exported("x", AMD64)).items() >= {"mode": "min", "ignore-error": "false"}.items()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("registry.example/cache", "KEY=VALUE"),
        ("type=", "KEY=VALUE"),
        ("ref=registry.example/cache", "none of registry, s3"),
        ("type=inline", "would change the images' digests"),
        ("type=local,dest=/cache", "none of registry, s3"),
        ("type=registry", "needs ref"),
        ("type=s3,bucket=b", "needs region"),
        (f"{REGISTRY}:tag", "ref has a tag"),
        (f"{REGISTRY}@sha256:{'0' * 64}", "ref has a tag"),
        (f"{REGISTRY},compression=gzip", "compression is not for you to say"),
        (f"{S3},name=mine", "name is not for you to say"),
    ],
)
def test_what_cannot_be_shared_is_refused(entry: str, message: str) -> None:
    """The setting is named, and how it is written."""
    with pytest.raises(UsageError, match=message) as caught:
        parsed(entry)

    assert caught.value.message.startswith("cache-to: ")
    assert caught.value.remedy


def test_credentials_are_refused_and_not_shown() -> None:
    """They would stand in the list of processes."""
    with pytest.raises(UsageError) as caught:
        parsed(f"{S3},access_key_id=AKIA,secret_access_key=hunter2")

    assert "access_key_id" in caught.value.message
    assert "hunter2" not in caught.value.message + caught.value.remedy
