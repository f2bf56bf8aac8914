"""How an image is run in each form there are files for: by Docker or Podman, in an editor, in a sandbox."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence

from pipeline.compose.late import late_volume
from pipeline.compose.openshell import openshell_ready
from pipeline.models.defined import Program
from pipeline.models.parts import User
from pipeline.outputs.devcontainer import FOLDER as DEVCONTAINERS
from pipeline.outputs.docs.markdown import code, codes, fenced
from pipeline.outputs.openshell import FOLDER as OPENSHELL
from pipeline.outputs.sandbox_kit import FOLDER as SANDBOX
from pipeline.outputs.subject import Subject
from pipeline.resolve.matrix import Combination

_REMOTE = "REGISTRY/NAMESPACE"


def run_it(program: Program, images: Sequence[Combination], subject: Subject) -> Iterator[str]:
    """Yield the commands that run an agent or toolpack; nothing where no image has it."""
    own = sorted(images, key=lambda item: (item.parts.agent is not None and item.parts.toolpack is not None, item.name))
    if not own:
        return
    chosen = next((item for item in own if item.name == program.name), own[0])
    image, user, spec = chosen.name, chosen.parts.base.model.spec.user, program.model.spec
    workspace = chosen.parts.base.model.spec.workspace
    yield from _containers(image, lambda tool, name: [*_start(program, name, tool, workspace)])
    if needed := [secret.name for secret in spec.secrets if secret.required]:
        yield f"{codes(needed)} must be set in your shell; only the name is on the command line."
    yield _whose(user)
    if spec.licence.publish == "late-bound":
        yield (
            "In a registry that is not marked private goes the form that fetches the program at first run;"
            f" `-v {program.name}-late:{late_volume(user).path}` keeps what it fetched."
        )
    yield ""
    if f"{DEVCONTAINERS}/{image}/devcontainer.json" in subject.files:
        yield from _editor(image, spec.command)
    yield from _sandboxes(program.name, images, subject)


def run_base(name: str, user: User, workspace: str) -> Iterator[str]:
    """Yield the commands that start a shell in the image of a base."""
    yield from _containers(name, lambda tool, image: [f'{tool} run --rm -it -v "$PWD":{workspace} {image}'])
    yield _whose(user)
    yield ""


def _containers(image: str, start: Callable[[str, str], list[str]]) -> Iterator[str]:
    yield "Built into a Docker on this machine, and run from there:"
    yield ""
    yield from fenced("sh", [f"agc build {image} -o docker", " \\\n  ".join(start("docker", image))])
    yield "By way of a registry, for Podman or another machine:"
    yield ""
    remote = " \\\n  ".join(start("podman", f"{_REMOTE}/{image}"))
    yield from fenced("sh", [f"agc build {image} -o push:{_REMOTE}", remote])


def _whose(user: User) -> str:
    return (
        f"It runs as {code(user.name)}, {user.uid}:{user.gid}: a folder that is mounted must be writable for that id."
    )


def _start(program: Program, image: str, tool: str, workspace: str) -> Iterator[str]:
    """Yield the parts of a command that runs an image: needed secrets by name, volumes, ports on this machine alone."""
    spec = program.model.spec
    yield f"{tool} run --rm -it"
    for secret in [one.name for one in spec.secrets if one.required] or [one.name for one in spec.secrets[:1]]:
        yield f"-e {secret}"
    yield f'-v "$PWD":{workspace}'
    names: list[str] = []
    for volume in spec.volumes:
        names.append(f"{program.name}-{volume.purpose}")
        again = names.count(names[-1])
        yield f"-v {names[-1]}{again if again > 1 else ''}:{volume.path}"
    yield from (f"-p 127.0.0.1:{one.port}:{one.port}" for one in spec.ports)
    yield image


def _editor(image: str, command: Iterable[str]) -> Iterator[str]:
    yield "In an editor that knows dev containers, or by their command line, in a project of yours:"
    yield ""
    lines = [
        f"agc build {image} -o docker",
        f"cp -r {DEVCONTAINERS}/{image} MY-PROJECT/.devcontainer",
        "devcontainer up --workspace-folder MY-PROJECT",
        f"devcontainer exec --workspace-folder MY-PROJECT {shlex.join(command)}",
    ]
    yield from fenced("sh", lines)


def _sandboxes(name: str, images: Sequence[Combination], subject: Subject) -> Iterator[str]:
    """Yield the commands of sandboxes, each with a report of what it cannot hold to."""
    kit, policy = f"{SANDBOX}/{name}", f"{OPENSHELL}/{name}/policy.yaml"
    if f"{kit}/{name}.yaml" in subject.files:
        report = f"../../../{kit}/REPORT.md"
        yield f"As a kit for Docker Sandboxes, once the image is published ([what that cannot hold to]({report})):"
        yield ""
        build = f"docker buildx build --file {kit}/{name}.yaml --tag {_REMOTE}/{name}-kit --push {kit}"
        yield from fenced("sh", [build])
    ready = [item.name for item in images if _is_ready(item, subject)]
    if policy in subject.files and ready:
        report = f"../../../{OPENSHELL}/{name}/REPORT.md"
        yield f"In OpenShell, from an image that is ready for it ([what that cannot hold to]({report})):"
        yield ""
        command = shlex.join(subject.project.definitions.agents[name].model.spec.command)
        start = f"openshell sandbox create --from {_REMOTE}/{ready[0]} --policy {policy} -- {command}"
        yield from fenced("sh", [f"agc build {ready[0]} -o push:{_REMOTE}", start])


def _is_ready(item: Combination, subject: Subject) -> bool:
    return openshell_ready(item.parts.base, subject.project.definitions.common_tools)
