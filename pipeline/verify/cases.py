"""The smoke tests of an image: those its definitions declare, and one per component that nobody has to declare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from pipeline.compose.component import program_commands, toolchain_commands
from pipeline.compose.config import entrypoint, environment
from pipeline.compose.image import Composition
from pipeline.compose.late import is_late, late_archives, late_commands
from pipeline.errors import Location
from pipeline.graph import Mount, Network, State
from pipeline.models.defined import Program
from pipeline.models.parts import SmokeTest
from pipeline.verify.mock.turns import LAST_WORDS
from pipeline.verify.work import work_command, work_environment, work_mounts

Depth = Literal["presence", "answer", "work"]

_RESULT = "/run/agc-smoke"
# qemu takes five to twenty times as long as the processor that it stands for; most of a test is waiting.
_PATIENCE = 5

# $1 seconds, $2 expected text, the rest the command. Output goes to a file, so that nothing the command leaves running
# can hold a pipe open; the file's size is limited, so that a flood ends the command and not the disk.
_RUNNER = r"""
seconds=$1 expected=$2; shift 2
output=$(mktemp)
( ulimit -f 1048576 2>/dev/null; exec timeout --kill-after=5 "$seconds" "$@" ) > "$output" 2>&1 < /dev/null
code=$?
head -c 32768 "$output"
case $code in
  0) ;;
  124|137) echo "smoke: stopped after $seconds seconds"; exit 124 ;;
  *) echo "smoke: exit code $code"; exit "$code" ;;
esac
if [ -n "$expected" ] && ! grep -qF -- "$expected" "$output"; then
  echo "smoke: expected in the output: $expected"; exit 65
fi
"""

# Pairs of command name and file: PATH finds exactly that file, it runs, it is root's and nobody else may change it.
_PRESENCE = r"""
set -eu
while [ $# -gt 0 ]; do
  found=$(command -v "$1") || { echo "$1 is not on PATH"; exit 1; }
  real=$(readlink -f "$found")
  [ "$real" = "$2" ] || { echo "$1 is $real, not $2"; exit 1; }
  [ -x "$real" ] || { echo "$real is not executable"; exit 1; }
  [ "$(stat -c %u:%g "$real")" = 0:0 ] || { echo "$real does not belong to root"; exit 1; }
  folder=$real
  while [ "$folder" != / ]; do
    [ ! -w "$folder" ] || { echo "$folder can be written by $(id -un)"; exit 1; }
    folder=$(dirname "$folder")
  done
  echo "$1 -> $real"
  shift 2
done
"""


@dataclass(frozen=True, slots=True)
class SmokeCase:
    """One test of one image: who declared it, where, and the state that runs it."""

    component: str
    name: str
    timeout: int
    state: State
    depth: Depth = "answer"

    @property
    def title(self) -> str:
        """The name it goes by in progress and reports."""
        return f"{self.component}: {self.name}"


def smoke_cases(composition: Composition, *, emulated: bool = False) -> tuple[SmokeCase, ...]:
    """Return every smoke test of an image, in the order of its layers; those that are `emulated` have longer."""
    return tuple(_cases(_Trial(composition, emulated=emulated)))


def left_out(composition: Composition) -> tuple[str, ...]:
    """Return the titles of the tests of an image that are not run where it is emulated."""
    run = {case.title for case in smoke_cases(composition, emulated=True)}
    return tuple(case.title for case in smoke_cases(composition) if case.title not in run)


@dataclass(frozen=True, slots=True)
class _Trial:
    """An image that is tested, by this machine's processor or by one that is `emulated`."""

    composition: Composition
    emulated: bool


def _cases(trial: _Trial) -> Iterator[SmokeCase]:
    plan = trial.composition.plan
    base = plan.base
    yield from _declared(trial, f"bases/{base.name}", base.model.spec.smoke, "", base.at("spec", "smoke"))
    for tools in plan.common_tools:
        component = f"common-tools/{tools.name}"
        yield from _declared(trial, component, tools.model.spec.smoke, "", tools.at("spec", "smoke"))
    for toolchain, lock in plan.toolchains:
        component, spec = f"toolchains/{toolchain.name}", toolchain.model.spec
        found = {path.rpartition("/")[2]: file for path, file in toolchain_commands(toolchain).items()}
        yield _presence(trial, component, found, toolchain.at("spec", "packages"))
        yield from _declared(trial, component, spec.smoke, lock.version, toolchain.at("spec", "smoke"))
    for toolchain, _ in plan.brought:
        component = f"toolchains/{toolchain.name}"
        yield _presence(trial, component, toolchain_commands(toolchain), toolchain.at("spec", "packages"))
    for program, lock in plan.programs:
        component = lock.component
        yield _presence(
            trial,
            component,
            _found(component, program, late=is_late(plan, program)),
            program.at("spec", "packages"),
        )
        yield from _declared(trial, component, program.model.spec.smoke, lock.version, program.at("spec", "smoke"))
    if plan.embedded and (embedded := plan.embedded[0].model.spec.embedded):
        toolpack, lock = plan.embedded
        place = toolpack.at("spec", "embedded", "smoke")
        started = tuple(test.model_copy(update={"run": (*entrypoint(plan), *test.run)}) for test in embedded.smoke)
        yield from _declared(trial, lock.component, started, lock.version, place)


def _found(component: str, program: Program, *, late: bool) -> Mapping[str, str]:
    """Return the file that PATH finds for each command of a program, and the file behind one that is wrapped."""
    commands = program_commands(component, program)
    if late:
        return late_commands(component, program)
    if not program.model.spec.brings:
        return {path.rpartition("/")[2]: file for path, file in commands.items()}
    return {**{path.rpartition("/")[2]: path for path in commands}, **{file: file for file in commands.values()}}


def _declared(
    trial: _Trial, component: str, tests: Sequence[SmokeTest], version: str, location: Location
) -> Iterator[SmokeCase]:
    for test in tests:
        if trial.emulated and not test.emulated:
            continue
        network = Network.HOST if test.network == "host" else Network.NONE
        expected = test.contains.replace("{version}", version)
        command, env = test.run, test.env
        mounts: tuple[Mount, ...] = ()
        if test.depth == "work":
            plan, expected = trial.composition.plan, expected or LAST_WORDS
            command, env, mounts = work_command(test, plan), work_environment(test), work_mounts(plan)
        case = _case(trial, component, test.name, command, expected, test.timeout, location, network, env, mounts)
        yield replace(case, depth=test.depth)


def _presence(trial: _Trial, component: str, commands: Mapping[str, str], location: Location) -> SmokeCase:
    pairs = [part for name, file in commands.items() for part in (name, file)]
    command = ("sh", "-c", _PRESENCE, "presence", *pairs)
    return replace(_case(trial, component, "presence", command, "", 30, location), depth="presence")


def _case(
    trial: _Trial,
    component: str,
    name: str,
    command: Sequence[str],
    expected: str,
    timeout: int,
    location: Location,
    network: Network = Network.NONE,
    env: Mapping[str, str] = MappingProxyType({}),
    mounts: Sequence[Mount] = (),
) -> SmokeCase:
    plan, seconds = trial.composition.plan, timeout * (_PATIENCE if trial.emulated else 1)
    base = plan.base.model.spec
    held, archives = late_archives(plan)
    state = trial.composition.rootfs.run(
        *("sh", "-c", _RUNNER, "smoke", str(seconds), expected, *command),
        env=sorted({**environment(plan), **env, **dict(held)}.items()),
        cwd=base.workspace,
        user=f"{base.user.uid}:{base.user.gid}",
        network=network,
        mounts=(*mounts, *archives),
        output=_RESULT,
    )
    case = SmokeCase(component, name, seconds, state)
    return replace(case, state=state.named(f"smoke {case.title}", location))
