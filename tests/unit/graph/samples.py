"""One state of every operation, for all tests that go over all of them."""

from __future__ import annotations

from pipeline.digest import digest_bytes
from pipeline.graph import (
    Copy,
    Mkdir,
    Mount,
    Network,
    Owner,
    State,
    Symlink,
    Write,
    http,
    image,
    layout,
    scratch,
    stack,
)

EPOCH = 1_767_225_600
ROOT = layout(digest_bytes(b"root"))
ARCHIVE = http("https://example.org/tool-1.0.tgz", digest_bytes(b"tool"), "tool.tgz")

SAMPLES: dict[str, State] = {
    "scratch": scratch(),
    "image": image(f"docker.io/library/debian@{digest_bytes(b'debian')}"),
    "layout": ROOT,
    "http": ARCHIVE,
    "http-unpinned": http("https://example.org/latest.json", None, "latest.json"),
    "run": ROOT.run(
        "sh",
        "-c",
        "make",
        env=(("LANG", "C"), ("A", "b")),
        cwd="/work",
        user="1000:1000",
        network=Network.HOST,
        mounts=(Mount(ARCHIVE, "/src", "/tool.tgz"),),
        caches=(("npm", "/root/.npm"),),
        secrets=(("token", "/run/token"),),
    ),
    "run-output": ROOT.run("true", output="/out"),
    "write": ROOT.write("/etc/motd", b"hello\n", mode=0o600, owner=Owner(1, 2), timestamp=EPOCH),
    "mkdir": ROOT.mkdir("/a/b", mode=0o700, owner=Owner(3, 4), timestamp=EPOCH),
    "symlink": ROOT.symlink("/bin/x", "../opt/x", timestamp=EPOCH),
    "unpack": ARCHIVE.unpack("tool.tgz"),
    "layer": ROOT.layer("/opt", "/opt", timestamp=EPOCH, owner=Owner(5, 6), mode="u=rwX,go=rX", exclude=("*.pyc",)),
    "files": scratch().files(
        Mkdir("/d", 0o755, Owner(), EPOCH),
        Write("/d/f", b"\x00\xff", 0o644, Owner(), EPOCH),
        Symlink("/d/l", "f", EPOCH),
        Copy(ROOT, "/etc/passwd", "/d/passwd", None, None),
    ),
    "unpack-and-copy": scratch().files(
        Copy(ARCHIVE.unpack("tool.tgz"), "/package/bin", "/bin", Owner(), EPOCH),
        Copy(ARCHIVE.unpack("tool.tgz"), "/package/lib", "/lib", Owner(), EPOCH),
    ),
    "diff": ROOT.run("true").diff(ROOT),
    "stack": stack(ROOT, ARCHIVE.unpack("tool.tgz"), ROOT.run("true", output="/out")),
}
