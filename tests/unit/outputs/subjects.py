"""The project itself as the subject of generators: with nothing published, and with everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType

from pipeline.catalog.record import Catalog, ImageRecord, PlatformRecord
from pipeline.digest import Digest
from pipeline.outputs.generated import Generated
from pipeline.outputs.makers import make
from pipeline.outputs.subject import Subject
from pipeline.stages.project import load_project, shipped_folder

PROJECT = load_project(shipped_folder(), {})
SUBJECT = Subject(shipped_folder() / "templates", "1.2.3", own=True, project=PROJECT, catalog=Catalog())
DIGEST = Digest("sha256:" + "5" * 64)
_PLATFORM = PlatformRecord(digest=DIGEST, config=DIGEST)
_IMAGES = {
    name: ImageRecord(
        digest=DIGEST,
        repositories=(f"registry.example/team/{name}", f"mirror.example/{name}"),
        tags=("2.1.330", "latest"),
        platforms={"linux/amd64": _PLATFORM},
    )
    for name in PROJECT.images
}
PUBLISHED = replace(SUBJECT, catalog=Catalog(images=_IMAGES))


def files(sort: str, subject: Subject = SUBJECT) -> Mapping[str, Generated]:
    """Return the files of a sort by their path."""
    return _files(sort, published=subject is PUBLISHED)


@cache
def _files(sort: str, *, published: bool) -> Mapping[str, Generated]:
    made = make(PUBLISHED if published else SUBJECT, (sort,))[sort]
    return MappingProxyType({file.path: file for file in made})
