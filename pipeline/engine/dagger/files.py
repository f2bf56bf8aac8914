"""File actions as one step: a shell script in a helper root, with every source mounted.

Dagger's own calls would need a snapshot for each action and know neither timestamps nor symbolic modes. Paths are
those of the graph; a link in the middle of one is followed in the helper root, so it must be relative.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from pipeline.graph import Copy, FileAction, Mkdir, Owner, State, Symlink, Write

PLACE = "/agc"
OUT = f"{PLACE}/out"
_UNCHANGED = "-"

# The arguments are records: a verb, and as many words as its function takes. Owner, time and mode may be "-".
_SCRIPT = r"""
set -eu
umask 022
out=/agc/out
# $1 folder with the names, $2 folder with the files; $3 owner, $4 time, $5 mode
settle() {
  [ "$3" = - ] || (cd "$1"; find . -print0) | (cd "$2"; xargs -0 -r chown -h "$3" --)
  [ "$5" = - ] || (cd "$1"; find . ! -type l -print0) | (cd "$2"; xargs -0 -r chmod "$5" --)
  [ "$4" = - ] || (cd "$1"; find . -print0) | (cd "$2"; xargs -0 -r touch -h -d "@$4" --)
}
# $1 file; $2 owner, $3 time, $4 mode
settle_one() {
  [ "$2" = - ] || chown -h "$2" "$1"
  [ "$4" = - ] || [ -L "$1" ] || chmod "$4" "$1"
  [ "$3" = - ] || touch -h -d "@$3" "$1"
}
parent() { folder=${1%/*}; [ -d "$folder" ] || mkdir -p "$folder"; }
while [ $# -gt 0 ]; do
  verb=$1; shift
  case $verb in
    write)  # data, path, owner, time, mode
      parent "$out$2"; rm -f "$out$2"
      base64 -d "$1" > "$out$2"; settle_one "$out$2" "$3" "$4" "$5"; shift 5 ;;
    mkdir)  # path, owner, time, mode
      mkdir -p "$out$1"; settle_one "$out$1" "$2" "$3" "$4"; shift 4 ;;
    link)  # target, path, time
      parent "$out$2"; ln -snf -- "$1" "$out$2"; settle_one "$out$2" 0:0 "$3" -; shift 3 ;;
    copy)  # source, path, owner, time, mode
      if [ -d "$1" ] && [ ! -L "${1%/}" ]; then
        mkdir -p "$out$2"; cp -a --remove-destination -T "$1" "$out$2"; settle "$1" "$out$2" "$3" "$4" "$5"
      else
        parent "$out$2"; cp -a --remove-destination -T "$1" "$out$2"; settle_one "$out$2" "$3" "$4" "$5"
      fi
      shift 5 ;;
    unpack)  # archive, path, owner, time, mode
      mkdir -p "$out$2"
      tar --extract --file "$1" --directory "$out$2" --numeric-owner --same-owner --preserve-permissions
      settle "$out$2" "$out$2" "$3" "$4" "$5"; shift 5 ;;
  esac
done
"""

# Where the engine trusts further authorities it puts them into a container while a step runs, takes them out, and
# leaves links that lead nowhere. Their names are the host's business. Links are followed by hand: this step has those
# authorities too, and what is mounted would seem to lead to them.
_TIDY = r"""
set -eu
certs=/etc/ssl/certs
# $1 path below what the step left, $2 how many links may follow each other
leads() {
  [ "$2" -gt 0 ] || return 1
  [ -L "/agc/in$1" ] || { [ -e "/agc/in$1" ]; return; }
  next=$(readlink "/agc/in$1")
  case $next in /*) ;; *) next=${1%/*}/$next ;; esac
  leads "$next" $(($2 - 1))
}
for link in "/agc/out$certs"/*; do
  [ ! -L "$link" ] || leads "$certs/${link##*/}" 8 || rm "$link"
done
rmdir "/agc/out$certs" /agc/out/etc/ssl /agc/out/etc 2>/dev/null || true
"""
TIDY = ("sh", "-c", _TIDY, "tidy")
"""The command that takes from a difference in `OUT` what the engine left in it; what has it all is at `UPPER`."""
UPPER = f"{PLACE}/in"


@dataclass(frozen=True, slots=True)
class Source:
    """A state that is mounted at `target`; of its folder `path` what matches `exclude` is left out."""

    state: State
    target: str
    path: str = "/"
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Script:
    """A step that carries out file actions: its command, what is mounted, and files with the bytes to write."""

    command: tuple[str, ...]
    sources: tuple[Source, ...]
    data: tuple[tuple[str, str], ...]


def script(actions: Iterable[FileAction]) -> Script:
    """Return the step for `actions`; it works on the folder `OUT`."""
    words: list[str] = []
    sources: dict[object, Source] = {}
    data: list[tuple[str, str]] = []
    for index, action in enumerate(actions):
        match action:
            case Write():
                file = f"{PLACE}/data/{index}"
                data.append((file, base64.b64encode(action.data).decode()))
                words += ("write", file, action.path, *_settled(action.owner, action.timestamp, f"{action.mode:o}"))
            case Mkdir():
                words += ("mkdir", action.path, *_settled(action.owner, action.timestamp, f"{action.mode:o}"))
            case Symlink():
                words += ("link", action.target, action.path, str(action.timestamp))
            case Copy():
                source, path = _mounted(action, sources)
                verb = "unpack" if action.unpack else "copy"
                words += (verb, f"{source.target}{path}", action.path)
                words += _settled(action.owner, action.timestamp, action.mode)
            case _ as unreachable:
                assert_never(unreachable)
    return Script(("sh", "-c", _SCRIPT, "files", *words), tuple(sources.values()), tuple(data))


def _mounted(action: Copy, sources: dict[object, Source]) -> tuple[Source, str]:
    """Return where the state of `action` is mounted, noting it, and the path of its files in there."""
    chosen = action.source if action.exclude else "/"
    key = (action.state.digest, chosen, action.exclude)
    if key not in sources:
        sources[key] = Source(action.state, f"{PLACE}/in/{len(sources)}", chosen, action.exclude)
    return sources[key], "/" if action.exclude else action.source


def _settled(owner: Owner | None, timestamp: int | None, mode: str) -> tuple[str, str, str]:
    # What is copied is root's already where nothing else was asked for; new files are made by root.
    name = _UNCHANGED if owner is None else f"{owner.uid}:{owner.gid}"
    return name, _UNCHANGED if timestamp is None else str(timestamp), mode or _UNCHANGED


__all__ = ["OUT", "TIDY", "UPPER", "Script", "Source", "script"]
