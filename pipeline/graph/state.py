"""A `State` is a file system that does not exist yet: immutable, hashable, known by the digest of how it is made.

Rules kept here:

- a method returns a new state and touches nothing: no disk, no network, no clock, no environment;
- `State.digest` is the SHA-256 of a canonical encoding of the operation, its inputs by digest: equal meaning, equal
  digest, on any machine and any Python;
- names and locations are prose: they follow a state about and stay outside its digest.

    root = layout(digest)
    claude = http(url, sha256, "claude.tgz").unpack().layer("/package", "/opt/claude", timestamp=0)
    image = stack(root, claude)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from functools import cache, cached_property

from pipeline.digest import Canonical, Digest, digest_bytes, digest_json
from pipeline.errors import Location
from pipeline.graph.ops import (
    ROOT,
    Copy,
    Diff,
    FileAction,
    Files,
    Http,
    Image,
    Layout,
    Merge,
    Mkdir,
    Mount,
    Network,
    Op,
    Owner,
    Run,
    Scratch,
    Symlink,
    Write,
)


@dataclass(frozen=True, eq=False)
class State:
    """One vertex of a build graph; equal to any state with the same digest."""

    op: Op
    name: str = ""
    location: Location | None = field(default=None)

    @cached_property
    def digest(self) -> Digest:
        """The SHA-256 of what this state means."""
        # Inputs first, from a list of our own: a graph may be deeper than Python's stack.
        pending = [self]
        while pending:
            current = pending[-1]
            if unknown := [child for child in current.inputs if "digest" not in vars(child)]:
                pending.extend(unknown)
                continue
            pending.pop()
            if "digest" not in vars(current):
                vars(current)["digest"] = digest_json(_encode(current.op))
        return Digest(vars(self)["digest"])

    @cached_property
    def inputs(self) -> tuple[State, ...]:
        """The states this one is made from, in the order of the operation's fields."""
        return tuple(_states(self.op))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        # The generated one would print the whole graph, a shared input as often as there are paths to it.
        return f"State({type(self.op).__name__}, {self.name!r}, {self.digest})"

    def named(self, name: str, location: Location | None = None) -> State:
        """Return the same state under a name (and place) that progress and errors show."""
        other = replace(self, name=name, location=location or self.location)
        # The operation is the same, and so is all that follows from it.
        vars(other).update({key: vars(self)[key] for key in ("digest", "inputs") if key in vars(self)})
        return other

    def run(
        self,
        *args: str,
        env: Iterable[tuple[str, str]] = (),
        cwd: str = "/",
        user: str = "0:0",
        network: Network = Network.NONE,
        mounts: Iterable[Mount] = (),
        caches: Iterable[tuple[str, str]] = (),
        secrets: Iterable[tuple[str, str]] = (),
        output: str | None = None,
    ) -> State:
        """Return this state after a process ran in it.

        `caches` are (cache name, mount point) pairs, `secrets` (secret name, file) pairs. With `output` the result is
        that folder alone, empty at the start.
        """
        op = Run(self, args, tuple(env), cwd, user, network, tuple(mounts), tuple(caches), tuple(secrets), output)
        return State(op)

    def files(self, *actions: FileAction) -> State:
        """Return this state with file actions applied in order, as one step."""
        return State(Files(self, actions))

    def write(self, path: str, data: bytes, *, mode: int = 0o644, owner: Owner = ROOT, timestamp: int) -> State:
        """Return this state with one more file."""
        return self.files(Write(path, data, mode, owner, timestamp))

    def mkdir(self, path: str, *, mode: int = 0o755, owner: Owner = ROOT, timestamp: int) -> State:
        """Return this state with one more folder."""
        return self.files(Mkdir(path, mode, owner, timestamp))

    def symlink(self, path: str, target: str, *, timestamp: int) -> State:
        """Return this state with one more symbolic link."""
        return self.files(Symlink(path, target, timestamp))

    def unpack(self, filename: str) -> State:
        """Return the content of the archive `/filename` of this state."""
        return scratch().files(Copy(self, f"/{filename}", "/", owner=None, timestamp=None, unpack=True))

    def layer(
        self,
        source: str = "/",
        path: str = "/",
        *,
        timestamp: int,
        owner: Owner | None = None,
        mode: str = "",
        exclude: Iterable[str] = (),
    ) -> State:
        """Return a subtree copied onto scratch with one timestamp, so that its blob depends on its content alone.

        The arguments are those of `Copy`.
        """
        return scratch().files(Copy(self, source, path, owner, timestamp, mode, tuple(exclude)))

    def diff(self, lower: State) -> State:
        """Return what this state has that `lower` has not."""
        return State(Diff(lower, self))


def scratch() -> State:
    """Return the empty file system."""
    return State(Scratch())


def image(ref: str) -> State:
    """Return a registry image; `ref` must carry its digest, or ValueError is raised."""
    if "@sha256:" not in ref:
        raise ValueError(f"{ref} is not pinned by digest")
    return State(Image(ref), name=ref)


def layout(digest: Digest, name: str = "root") -> State:
    """Return the image `digest` of a local OCI layout."""
    return State(Layout(digest, name), name=name)


def http(url: str, checksum: Digest | None, filename: str) -> State:
    """Return one fetched file at `/filename`; only lock resolution may leave `checksum` out."""
    return State(Http(checksum, filename, url), name=url)


def stack(*layers: State) -> State:
    """Return the layers on top of each other; at least one is needed, and one alone is itself."""
    if not layers:
        raise ValueError("a stack needs at least one layer")
    return layers[0] if len(layers) == 1 else State(Merge(layers))


def walk(state: State) -> Iterator[State]:
    """Yield every distinct state of a graph, inputs before those who use them."""
    seen: set[Digest] = set()
    pending: list[tuple[State, bool]] = [(state, False)]
    while pending:
        current, expanded = pending.pop()
        if current.digest in seen:
            continue
        if expanded:
            seen.add(current.digest)
            yield current
        else:
            pending.append((current, True))
            pending.extend((child, False) for child in reversed(current.inputs))


def _states(value: object) -> Iterator[State]:
    if isinstance(value, State):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _states(item)
    elif value is not None and not isinstance(value, (str, int, bytes)):
        for name, _ in _members(type(value)):
            yield from _states(getattr(value, name))


def _encode(value: object) -> Canonical:
    """Return `value` as canonical JSON can hold it: type names on every node, inputs by digest, prose left out."""
    if isinstance(value, State):
        return {"state": value.digest}
    if isinstance(value, Enum):
        return str(value.value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, bytes):
        return {"bytes": digest_bytes(value), "size": len(value)}
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    kind = type(value)
    unpinned = isinstance(value, Http) and value.checksum is None
    own = {name: _encode(getattr(value, name)) for name, prose in _members(kind) if unpinned or not prose}
    return {"type": kind.__name__, **own}


def _find_members(kind: type) -> tuple[tuple[str, bool], ...]:
    """Return the fields of an operation or of a part of one, and which of them are prose."""
    if not is_dataclass(kind):
        raise TypeError(f"{kind.__name__} has no place in a graph")
    return tuple((item.name, "prose" in item.metadata) for item in fields(kind))


_members: Callable[[type], tuple[tuple[str, bool], ...]] = cache(_find_members)
