"""Licences as SPDX expressions: what packages write themselves, and the short names of Debian's copyright files.

What is no SPDX expression is kept as it is written; nothing is guessed.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_DEP5 = re.compile(r"\s*Format(?:-Specification)?:", re.IGNORECASE)
_LICENSE = re.compile(r"^License:[ \t]*(\S[^\n]*)$", re.MULTILINE | re.IGNORECASE)
_GNU = re.compile(r"(A?GPL|LGPL|GFDL)-(\d)(?:\.(\d))?(?:\.0)?(\+)?", re.IGNORECASE)
_WORDS = {
    "expat": "MIT",
    "mit": "MIT",
    "mit/x11": "MIT",
    "isc": "ISC",
    "zlib": "Zlib",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-4-clause": "BSD-4-Clause",
    "apache-2": "Apache-2.0",
    "apache-2.0": "Apache-2.0",
    "artistic": "Artistic-1.0-Perl",
    "artistic-1": "Artistic-1.0-Perl",
    "artistic-2": "Artistic-2.0",
    "bsl-1": "BSL-1.0",
    "cc0": "CC0-1.0",
    "cc0-1.0": "CC0-1.0",
    "curl": "curl",
    "openssl": "OpenSSL",
    "psf-2": "PSF-2.0",
    "python-2.0": "Python-2.0",
}
"""Short names of DEP-5 and the identifiers of SPDX for the same texts."""


def debian_licences(text: str) -> str:
    """Return all licences of a copyright file in machine-readable form, "" for one that people are to read.

    Every one of them applies to some part of the package, so they are joined by AND.
    """
    if not _DEP5.match(text):
        return ""
    found = dict.fromkeys(_debian_licence(match[1].strip()) for match in _LICENSE.finditer(text))
    return " AND ".join(f"({one})" if " OR " in one else one for one in sorted(found) if one)


def _debian_licence(words: str) -> str:
    """Return one `License:` line as an expression; a comma and what is in words after it is prose."""
    parts = re.split(r"\s+(or|and)(?:/or)?\s+", words.partition(",")[0], flags=re.IGNORECASE)
    known = [part.upper() if part.lower() in {"or", "and"} else _debian_name(part.strip()) for part in parts]
    return " ".join(known)


def _debian_name(name: str) -> str:
    if known := _WORDS.get(name.lower()):
        return known
    if match := _GNU.fullmatch(name):
        family, major, minor, later = match.groups()
        return f"{family.upper()}-{major}.{minor or 0}-{'or-later' if later else 'only'}"
    if _is_known(name):
        return name
    return reference(name)


def reference(text: str) -> str:
    """Return the name that SPDX gives to a licence it does not list."""
    return "LicenseRef-" + (re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.") or "unnamed")


def expression(text: str) -> str:
    """Return `text` as an SPDX expression where it is one, with the names that SPDX does not list made references.

    Anything else, prose for one, becomes one reference; "" stays "".
    """
    if not text.strip():
        return ""
    licensing = _licensing()
    try:
        parsed = licensing.parse(text)
    except Exception:  # noqa: BLE001  # whatever the library makes of prose, it is no expression
        return reference(text)
    unknown = [key for key in licensing.unknown_license_keys(parsed) if not key.startswith("LicenseRef-")]
    return reference(text) if unknown else str(licensing.dedup(parsed))


def references(text: str) -> tuple[str, ...]:
    """Return the licences in an expression that SPDX does not list."""
    return tuple(sorted(set(re.findall(r"LicenseRef-[A-Za-z0-9.-]+", text))))


@cache
def _is_known(name: str) -> bool:
    return name in _licensing().known_symbols


@cache
def _licensing() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()
