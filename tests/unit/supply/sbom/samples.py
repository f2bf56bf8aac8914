"""Layers and programs made by hand, and an image of the small project that they are the content of."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.compose.image import Composition
from pipeline.digest import Digest
from pipeline.engine.layout import write_image
from tests.unit.compose.samples import VERSIONS, composed

STATUS = "var/lib/dpkg/status"
GO_INFO = (
    "path\texample.com/tool\n"
    "mod\texample.com/tool\tv1.2.3\th1:bWFpbg==\n"
    "dep\tgolang.org/x/text\tv0.14.0\th1:dGV4dA==\n"
    "dep\texample.com/old\tv1.0.0\n"
    "=>\texample.com/new\tv1.0.1\th1:bmV3\n"
    "build\tCGO_ENABLED=0\n"
)


def elf(sections: Mapping[str, bytes], size: int = 0) -> bytes:
    """Return a 64-bit little-endian ELF file with these sections, padded to at least `size` bytes."""
    named = {"": b"", **sections, ".shstrtab": b""}
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in named if name)
    named[".shstrtab"] = strings
    body, table = b"", b""
    for name, data in named.items():
        at = strings.index(name.encode() + b"\0") if name else 0
        table += struct.pack("<IIQQQQ16xQ", at, 1, 0, 0, 64 + len(body), len(data), 0)
        body += data
    padding = bytes(max(0, size - 64 - len(body) - len(table)))
    start = 64 + len(body) + len(padding)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    rest = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, start, 0, 64, 0, 0, len(table) // len(named), len(named), 0)
    rest = rest[:-2] + struct.pack("<H", len(named) - 1)
    return head + rest + body + padding + table


def go_section(info: str = GO_INFO, version: str = "go1.24.1") -> bytes:
    """Return a section `.go.buildinfo` as Go 1.18 and later write it."""
    head = (b"\xff Go buildinf:" + bytes([8, 2])).ljust(32, b"\0")
    described = b"<" * 16 + info.encode() + b">" * 16
    return head + _varint(len(version)) + version.encode() + _varint(len(described)) + described


def cargo_section(packages: Iterable[Mapping[str, object]]) -> bytes:
    """Return a section `.dep-v0` as cargo auditable writes it."""
    return zlib.compress(json.dumps({"packages": list(packages)}).encode())


def _varint(number: int) -> bytes:
    out = b""
    while number >= 1 << 7:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def tar(
    files: Mapping[str, bytes | str], *, links: Mapping[str, str] | None = None, hard: Mapping[str, str] | None = None
) -> bytes:
    """Return a layer: files (programs are executable), symbolic links and hard links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o755 if data.startswith(b"\x7fELF") else 0o644
            archive.addfile(entry, io.BytesIO(data))
        for kind, targets in ((tarfile.SYMTYPE, links or {}), (tarfile.LNKTYPE, hard or {})):
            for path, target in targets.items():
                entry = tarfile.TarInfo(path)
                entry.type, entry.linkname = kind, target
                archive.addfile(entry)
    return buffer.getvalue()


def status(*packages: tuple[str, str]) -> str:
    """Return dpkg's status with these packages, by name and version."""
    return "\n".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nSource: src-{name} (0.9)\n"
        f"Version: {version}\nDescription: words\n Package: not this\n"
        for name, version in packages
    )


def package_json(name: str, version: str, **more: object) -> str:
    """Return a package.json."""
    return json.dumps({"name": name, "version": version, **more})


def image_layers() -> tuple[bytes, ...]:
    """Return the layers of node-bun-claude: root, common tools, base, node, bun, claude."""
    tools = (("apt", "3.0.4"), ("dash", "1"), ("git", "1.0-1"), ("tini", "1.0-1"))
    node = "opt/toolchains/node"
    return (
        tar(
            {
                "usr/lib/os-release": 'ID=debian\nVERSION_ID="13"\n',
                STATUS: status(("apt", "3.0.4"), ("dash", "1")),
                "usr/share/doc/apt/copyright": "Format: x\n\nFiles: *\nLicense: GPL-2+\n\nFiles: a\nLicense: Expat\n",
                "usr/share/doc/dash/copyright": "Written by hand. License: whatever you like\n",
            }
        ),
        tar(
            {
                STATUS: status(*tools),
                "usr/share/doc/git/copyright": "Format: x\n\nFiles: *\nLicense: GPL-2\n",
            }
        ),
        tar({STATUS: status(*tools, ("libatomic1", "1.0-1"))}, links={"usr/share/doc/libatomic1": "git"}),
        tar(
            {
                f"{node}/bin/node": elf({}),
                f"{node}/lib/node_modules/npm/package.json": package_json(
                    "npm", VERSIONS["npm"], license="Artistic-2.0"
                ),
                f"{node}/lib/node_modules/npm/node_modules/ms/package.json": package_json("ms", "2.1.3", license="MIT"),
            }
        ),
        tar({"opt/toolchains/bun/bin/bun": elf({".go.buildinfo": go_section()})}),
        tar(
            {
                "opt/agents/claude/claude": elf({}, 2 << 20),
                "opt/agents/claude/vendor/helper": elf({}, 1 << 20),
                "opt/agents/claude/package.json": package_json(
                    "@anthropic-ai/claude-code-linux-x64", "2.1.330", license="SEE LICENSE IN README.md"
                ),
            }
        ),
    )


def write_sample(layout: Path) -> tuple[Composition, Digest]:
    """Write the image of the small project into `layout`; return what it is made of, and its manifest."""
    made = composed()
    config = {"os": "linux", "architecture": "amd64", "config": json.loads(made.config)["config"]}
    return made, write_image(layout, made.plan.name, config, image_layers())
