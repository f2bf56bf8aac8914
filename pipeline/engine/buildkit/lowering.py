"""Lower a `State` to BuildKit's LLB: one memoised walk, pure, same state and wiring give the same bytes.

What differs between machines (mirrors, proxies, a CA bundle) comes in as `Wiring` and is added here, below the
state's digest. Field meanings: solver/pb/ops.proto and client/llb of moby/buildkit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from pipeline.digest import Digest, digest_bytes, hex_of
from pipeline.engine.buildkit import llb_pb2 as pb
from pipeline.graph.ops import (
    Copy,
    Diff,
    FileAction,
    Files,
    Http,
    Image,
    Layout,
    Merge,
    Mkdir,
    Network,
    Owner,
    Run,
    Scratch,
    Symlink,
    Write,
)
from pipeline.graph.state import State, scratch, walk
from pipeline.mirrors import mirrored
from pipeline.platform import Platform

CA_SECRET = "agc-ca"  # noqa: S105  # the name of a secret, not its value
_CA_FILE = "/run/agc-ca/bundle.pem"
_CA_VARIABLES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT")
_NO_INPUT = -1
_NO_OUTPUT = -1
_UNSET = -1
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Wiring:
    """How this machine reaches the world: URL prefixes and what replaces them, proxies, whether a CA is handed in."""

    mirrors: tuple[tuple[str, str], ...] = ()
    proxies: Mapping[str, str] = field(default_factory=dict)
    has_ca: bool = False

    def mirrored(self, url: str) -> str:
        """Return `url` with the longest matching prefix replaced."""
        return mirrored(url, self.mirrors)


@dataclass(frozen=True, slots=True)
class Lowered:
    """An LLB definition, and the states in it by digest.

    A vertex carries the digest of its state as the id of its progress group: the daemon encodes every vertex anew, so
    vertex digests seen in progress are its own and not those of our bytes.
    """

    definition: bytes
    states: Mapping[str, State]
    layouts: tuple[Digest, ...]


def layout_store(digest: Digest) -> str:
    """Return the name under which the layout of image `digest` is offered to the daemon."""
    return f"layout-{hex_of(digest)[:16]}"


def lower(state: State, platform: Platform, wiring: Wiring) -> Lowered:
    """Return the LLB definition of `state` for `platform`.

    Raises ValueError for the empty file system, which LLB can only express as an input of something else.
    """
    if state == scratch():
        raise ValueError("the empty file system has no definition")
    target = pb.Platform(OS=platform.os, Architecture=platform.architecture)
    definition = pb.Definition()
    operations = getattr(definition, "def")
    wire: dict[Digest, str] = {}
    states: dict[str, State] = {}
    nodes = tuple(walk(state))
    passing = _passing(nodes)
    for node in nodes:
        if isinstance(node.op, Scratch) or node.digest in passing:
            continue
        vertex = _Vertex(pb.Op(platform=target), wire, wiring, passing)
        vertex.fill(node)
        data = vertex.op.SerializeToString(deterministic=True)
        wire[node.digest] = digest_bytes(data)
        states[node.digest] = node
        operations.append(data)
        metadata = definition.metadata[wire[node.digest]]
        metadata.description["llb.customname"] = node.name or type(node.op).__name__.lower()
        metadata.progress_group.id = node.digest
    last = pb.Op(inputs=[pb.Input(digest=wire[state.digest], index=_output_index(state))])
    operations.append(last.SerializeToString(deterministic=True))
    layouts = tuple(node.op.digest for node in states.values() if isinstance(node.op, Layout))
    return Lowered(definition.SerializeToString(deterministic=True), states, layouts)


def _passing(nodes: Sequence[State]) -> dict[Digest, Copy]:
    """Return the unpacked archives that one step alone copies from, and how: that step unpacks them itself.

    As a vertex of its own, an archive would be kept unpacked for nothing, and every file of it be read once more for
    the cache key of the copy.
    """
    used: dict[Digest, list[State]] = {}
    for node in nodes:
        for source in dict.fromkeys(node.inputs):
            used.setdefault(source.digest, []).append(node)
    return {
        node.digest: unpack
        for node in nodes
        if (unpack := _archive(node)) and [_copies_from(user, node) for user in used.get(node.digest, ())] == [True]
    }


def _copies_from(user: State, source: State) -> bool:
    """Tell whether a step does no more with `source` than to copy from it."""
    return isinstance(user.op, Files) and user.op.base != source


def _archive(state: State) -> Copy | None:
    """Return the one action that makes a state, where that is to unpack an archive into nothing."""
    match state.op:
        case Files(State(op=Scratch()), (Copy(unpack=True) as action,)):
            return action
    return None


def _output_index(state: State) -> int:
    return 1 if isinstance(state.op, Run) and state.op.output is not None else 0


class _Vertex:
    """One Op under construction: its inputs are numbered as they are first used."""

    def __init__(self, op: pb.Op, wire: Mapping[Digest, str], wiring: Wiring, passing: Mapping[Digest, Copy]) -> None:
        self.op = op
        self._wire = wire
        self._wiring = wiring
        self._passing = passing
        self._inputs: dict[Digest, int] = {}

    def fill(self, node: State) -> None:
        match node.op:
            case Image(ref):
                self.op.source.identifier = f"docker-image://{self._wiring.mirrored(ref)}"
            case Layout(digest):
                store = layout_store(digest)
                self.op.source.identifier = f"oci-layout://local/{store}@{digest}"
                self.op.source.attrs["oci.store"] = store
            case Http():
                self._http(node.op)
            case Run():
                self._run(node.op)
            case Files(base, actions):
                self._files(base, actions)
            case Diff(lower, upper):
                self.op.diff.lower.input = self._input(lower)
                self.op.diff.upper.input = self._input(upper)
            case Merge(layers):
                for layer in layers:
                    self.op.merge.inputs.add(input=self._input(layer))
            case Scratch():
                raise AssertionError("scratch is an absent input, never a vertex")
            case _ as unreachable:
                assert_never(unreachable)

    def _input(self, state: State) -> int:
        if isinstance(state.op, Scratch):
            return _NO_INPUT
        if state.digest not in self._inputs:
            self._inputs[state.digest] = len(self._inputs)
            self.op.inputs.add(digest=self._wire[state.digest], index=_output_index(state))
        return self._inputs[state.digest]

    def _http(self, op: Http) -> None:
        self.op.source.identifier = self._wiring.mirrored(op.url)
        self.op.source.attrs["http.filename"] = op.filename
        if op.checksum:
            self.op.source.attrs["http.checksum"] = op.checksum

    def _run(self, op: Run) -> None:
        execute = self.op.exec
        execute.meta.args.extend(op.args)
        execute.meta.env.extend(f"{key}={value}" for key, value in op.env)
        execute.meta.cwd = op.cwd
        execute.meta.user = op.user
        execute.meta.hostname = "build"
        execute.meta.removeMountStubsRecursive = True
        execute.network = pb.NetMode.HOST if op.network is Network.HOST else pb.NetMode.NONE
        # The root needs an output of its own even where only a folder is wanted: without one it is read-only.
        execute.mounts.add(input=self._input(op.root), dest="/", output=0)
        if op.output is not None:
            execute.mounts.add(input=_NO_INPUT, dest=op.output, output=1)
        for mount in op.mounts:
            execute.mounts.add(
                input=self._input(mount.source),
                selector=mount.path.strip("/"),
                dest=mount.target,
                output=_NO_OUTPUT,
                readonly=True,
            )
        for name, target in op.caches:
            cache = execute.mounts.add(input=_NO_INPUT, dest=target, output=_NO_OUTPUT, mountType=pb.MountType.CACHE)
            cache.cacheOpt.ID = name
            cache.cacheOpt.sharing = pb.CacheSharingOpt.LOCKED
        for name, target in op.secrets:
            self._secret(name, target)
        if op.network is Network.HOST:
            self._reach_the_world()

    def _reach_the_world(self) -> None:
        meta = self.op.exec.meta
        for name, value in sorted(self._wiring.proxies.items()):
            setattr(meta.proxy_env, name, value)
        if self._wiring.has_ca:
            self._secret(CA_SECRET, _CA_FILE)
            meta.env.extend(f"{name}={_CA_FILE}" for name in _CA_VARIABLES)

    def _secret(self, name: str, target: str) -> None:
        mount = self.op.exec.mounts.add(input=_NO_INPUT, dest=target, output=_NO_OUTPUT, mountType=pb.MountType.SECRET)
        mount.secretOpt.ID = name
        mount.secretOpt.mode = 0o444

    def _files(self, base: State, actions: tuple[FileAction, ...]) -> None:
        target = self._input(base)
        copied = dict.fromkeys(action.state for action in actions if isinstance(action, Copy))
        archives = {state: self._passing[state.digest] for state in copied if state.digest in self._passing}
        inputs = {state: self._input(archives[state].state if state in archives else state) for state in copied}
        # Results of actions are numbered on after the inputs: first the archives, each unpacked into nothing.
        count = len(self._inputs)
        for index, (state, unpack) in enumerate(archives.items()):
            entry = self.op.file.actions.add(input=_NO_INPUT, secondaryInput=inputs[state], output=_NO_OUTPUT)
            _fill_action(entry, unpack)
            inputs[state] = count + index
        count += len(archives)
        for index, action in enumerate(actions):
            entry = self.op.file.actions.add(
                input=target if index == 0 else count + index - 1,
                secondaryInput=inputs[action.state] if isinstance(action, Copy) else _NO_INPUT,
                output=0 if index == len(actions) - 1 else _NO_OUTPUT,
            )
            _fill_action(entry, action)


def _fill_action(entry: pb.FileAction, action: FileAction) -> None:
    match action:
        case Write():
            entry.mkfile.path = action.path
            entry.mkfile.mode = action.mode
            entry.mkfile.data = action.data
            entry.mkfile.timestamp = action.timestamp * _NANOSECONDS
            entry.mkfile.owner.CopyFrom(_chown(action.owner))
        case Mkdir():
            entry.mkdir.path = action.path
            entry.mkdir.mode = action.mode
            entry.mkdir.makeParents = True
            entry.mkdir.timestamp = action.timestamp * _NANOSECONDS
            entry.mkdir.owner.CopyFrom(_chown(action.owner))
        case Symlink():
            entry.symlink.oldpath = action.target
            entry.symlink.newpath = action.path
            entry.symlink.timestamp = action.timestamp * _NANOSECONDS
        case Copy():
            _fill_copy(entry.copy, action)
        case _ as unreachable:
            assert_never(unreachable)


def _fill_copy(copy: pb.FileActionCopy, action: Copy) -> None:
    copy.src = action.source
    copy.dest = action.path
    copy.mode = _UNSET
    copy.modeStr = action.mode
    copy.dirCopyContents = True
    copy.createDestPath = True
    copy.attemptUnpackDockerCompatibility = action.unpack
    copy.exclude_patterns.extend(action.exclude)
    copy.timestamp = _UNSET if action.timestamp is None else action.timestamp * _NANOSECONDS
    if action.owner is not None:
        copy.owner.CopyFrom(_chown(action.owner))


def _chown(owner: Owner) -> pb.ChownOpt:
    return pb.ChownOpt(user=pb.UserOpt(byID=owner.uid), group=pb.UserOpt(byID=owner.gid))
