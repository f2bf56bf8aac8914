"""Work tests: an agent runs in its image beside a mock of its model's API and really writes a file.

Rules kept here:

- the mock's Python is mounted read-only and runs through its own loader, so it takes nothing from the image and the
  image needs none;
- the sandbox has no way out, which the step itself makes sure of;
- the agent passes where it ends well, says the last words the mock gave it for the tool's result, and the file is there
  with the asked content, owned by the image's user; one that was there before has been changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.compose.image import compose
from pipeline.compose.layers import EPOCH
from pipeline.graph import Mkdir, Mount, State, Write, scratch
from pipeline.graph.ops import ROOT, FileAction
from pipeline.models.parts import SmokeTest
from pipeline.resolve.plan import ImagePlan

MOCK_PORT = 8080
MOCK_URL = f"http://127.0.0.1:{MOCK_PORT}"

_TOOLS = "/run/agc-mock"
_PROGRAM = "/run/agc-mock-program"
_SOURCES = Path(__file__).parent / "mock"

# $1 tools, $2 program, $3 the libraries' folder, $4 the loader in it, $5 port, $6 file, $7 content, $8 what it holds
# before, $9 whether the mock calls tools, $10 number of (path, text) pairs of files that follow; then the command.
_WORK = r"""
set -eu
tools=$1 program=$2 libraries=$3 loader=$4 port=$5 file=$6 content=$7 before=$8 calls=$9; shift 9
files=$1; shift
routes=$(sed 1d /proc/net/route; grep -sv ' lo$' /proc/net/ipv6_route || true)
[ -z "$routes" ] || { echo "work: there is a network: $routes"; exit 1; }
[ ! -e "$file" ] || { echo "work: $file is there already"; exit 1; }
[ -z "$before" ] || printf '%s\n' "$before" > "$file"
while [ "$files" -gt 0 ]; do
  mkdir -p "$(dirname "$1")"; printf %s "$2" > "$1"; shift 2; files=$((files - 1))
done
place=$(mktemp -d)
env -i PYTHONHOME="$tools/usr" PYTHONPATH="$program:$tools/usr/lib/python3/dist-packages" PYTHONDONTWRITEBYTECODE=1 \
  "$libraries/$loader" --library-path "$libraries" "$tools/usr/bin/python3" -m pipeline.verify.mock \
  "$port" "$place/ready" "$file" "$content" "$calls" > "$place/log" 2>&1 &
mock=$!
until [ -e "$place/ready" ]; do
  kill -0 "$mock" 2>/dev/null || { cat "$place/log"; echo "work: the mock did not start"; exit 1; }
  sleep 0.1
done
code=0
"$@" || code=$?
kill "$mock" 2>/dev/null || echo "work: the mock had ended before"
echo
cat "$place/log"
[ "$code" = 0 ] || { echo "work: the agent ended with $code"; exit "$code"; }
[ -f "$file" ] || { echo "work: $file is not there"; exit 1; }
[ "$(cat "$file")" = "$content" ] || { echo "work: $file holds something else:"; head -c 1000 "$file"; exit 1; }
[ -O "$file" ] || { echo "work: $file does not belong to $(id -un)"; exit 1; }
echo "work: the agent wrote $file"
"""


def work_command(test: SmokeTest, plan: ImagePlan, *, calls_tools: bool = True) -> tuple[str, ...]:
    """Return the command that runs `test` beside the mock; without `calls_tools` it cannot pass."""
    if test.expect_file is None:
        raise ValueError(f"{test.name} expects no file")
    platform = plan.platform
    files = [part for path, text in test.files.items() for part in (path, filled(text))]
    return (
        *("sh", "-c", _WORK, "work", _TOOLS, _PROGRAM),
        *(f"{_TOOLS}/usr/lib/{platform.machine}-linux-gnu", platform.loader, str(MOCK_PORT)),
        *(f"{plan.base.model.spec.workspace}/{test.expect_file.path}", test.expect_file.content),
        *(test.expect_file.before, "1" if calls_tools else "0", str(len(test.files)), *files),
        *(filled(argument) for argument in test.run),
    )


def work_environment(test: SmokeTest) -> Mapping[str, str]:
    """Return what a test adds to the image's environment."""
    return {name: filled(value) for name, value in test.env.items()}


def work_mounts(plan: ImagePlan) -> tuple[Mount, ...]:
    """Return the mock's tools and program; the plan must have a mock."""
    if plan.mock is None:
        raise ValueError(f"{plan.name} was planned without a mock")
    return Mount(compose(plan.mock).rootfs, _TOOLS), Mount(_program(_sources()), _PROGRAM)


def filled(text: str) -> str:
    """Return `text` with the mock's address in the place of `{mock}`."""
    return text.replace("{mock}", MOCK_URL)


def _program(sources: Iterable[tuple[str, bytes]]) -> State:
    """Return the mock's modules in the packages they are imported from, which here hold nothing else."""
    actions: list[FileAction] = [
        Mkdir(f"/pipeline{below}", 0o755, ROOT, EPOCH) for below in ("", "/verify", "/verify/mock")
    ]
    actions.extend(Write(f"/pipeline/verify/mock/{name}", data, 0o644, ROOT, EPOCH) for name, data in sources)
    return scratch().files(*actions).named("mock: program")


def _sources() -> tuple[tuple[str, bytes], ...]:
    return tuple((path.name, path.read_bytes()) for path in sorted(_SOURCES.glob("*.py")))
