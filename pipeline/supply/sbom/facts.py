"""What the files of one layer say of packages: read once from its blob, then kept under the blob's digest.

A fact belongs to a path, because layers are put together path by path: what a higher layer replaces or removes is no
longer there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

READER = 1
"""Raised when the same blob is read to other facts: what older readers kept is then read anew."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _clean(text: object) -> object:
    return "".join(one for one in text if one.isprintable()).strip() if isinstance(text, str) else text


Word = Annotated[str, BeforeValidator(_clean)]
"""Text of an image on one line, without control characters and halves of characters: neither names nor versions have
them, and no document may."""


class Found(_Frozen):
    """A package as a file of the image describes it. `kind` is the type that package URLs have for it.

    `source` is the Debian source package as `name` or `name=version`; `checksum` is as its ecosystem writes it.
    """

    kind: str
    name: Word
    version: Word
    architecture: Word = ""
    licence: Word = ""
    source: Word = ""
    checksum: Word = ""


class FileFact(_Frozen):
    """What one file says: packages, the licences of a Debian package, where a link leads, or a program's own bytes.

    `sha256` is in hexadecimal; `size` in bytes.
    """

    path: str
    packages: tuple[Found, ...] = ()
    licence: Word = ""
    link: str = ""
    sha256: str = ""
    size: int = 0


class LayerFacts(_Frozen):
    """All facts of a layer, by path, and the paths it removes from the layers below, folders for all in them."""

    reader: int = READER
    files: tuple[FileFact, ...] = ()
    removed: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()


def layered(layers: Iterable[LayerFacts]) -> dict[str, tuple[int, FileFact]]:
    """Return the facts that are left when layers lie on each other, lowest first, by path, with the layer's number."""
    left: dict[str, tuple[int, FileFact]] = {}
    for number, layer in enumerate(layers):
        gone = (*layer.removed, *(f"{folder}/" for folder in layer.removed))
        emptied = tuple(f"{folder}/" if folder else "" for folder in layer.emptied)
        if gone or layer.emptied:
            left = {
                path: fact
                for path, fact in left.items()
                if not (path in layer.removed or path.startswith((*gone[len(layer.removed) :], *emptied)))
            }
        left.update({fact.path: (number, fact) for fact in layer.files})
    return left
