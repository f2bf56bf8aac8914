"""Which address to ask in place of a public one."""

from __future__ import annotations

from collections.abc import Iterable


def mirrored(url: str, mirrors: Iterable[tuple[str, str]]) -> str:
    """Return `url` with the longest prefix that a mirror stands for replaced.

    A prefix ends where a path does: that of `http://host/debian` is not one of `http://host/debian-security`.
    """
    for prefix, mirror in sorted(mirrors, key=lambda pair: -len(pair[0])):
        rest = url.removeprefix(prefix)
        if url.startswith(prefix) and (prefix.endswith("/") or rest.startswith("/") or not rest):
            return mirror + rest
    return url
