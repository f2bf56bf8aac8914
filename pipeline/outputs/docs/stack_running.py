"""How a stack is started in each form there are files for, and what its tests show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.outputs.devcontainer import FOLDER as DEVCONTAINERS
from pipeline.outputs.devcontainer import opened
from pipeline.outputs.docs.markdown import code, fenced
from pipeline.outputs.kubernetes.helm import FOLDER as HELM
from pipeline.outputs.kubernetes.kustomize import FOLDER as KUBERNETES
from pipeline.outputs.stacks.files import PREPARE, PROXY_IMAGE
from pipeline.outputs.stacks.proxies import fenced as behind_proxies
from pipeline.outputs.stacks.proxies import gates
from pipeline.outputs.stacks.services import ENTER
from pipeline.outputs.subject import Subject
from pipeline.resolve.stack_plan import ServicePlan, StackPlan
from pipeline.stages.stack_running import FOLDER as COMPOSE


def run_it(stack: StackPlan, subject: Subject) -> Iterator[str]:
    """Yield the commands for each form, from the project's folder; nothing where there are no files for it."""
    name, agent = stack.name, next(iter(opened(stack)), None)
    has = subject.files.__contains__
    compose = f"{COMPOSE}/{name}/compose.yaml"
    if has(compose):
        yield from _form("With Docker Compose", _compose(stack, compose, agent))
        yield (
            "Images that were published are pulled instead of built. Without `agc up`, the stack's own script makes the"
            f" workspace and the files for secrets: `{COMPOSE}/{name}/{PREPARE}`, then"
            f" `docker compose -f {compose} up --detach --wait`. Secrets go into"
            f" [files](../../../{COMPOSE}/{name}/secrets/README.md)."
        )
        yield ""
    editor = f"{DEVCONTAINERS}/stacks/{name}/devcontainer.json"
    if has(editor):
        start = f"devcontainer %s --workspace-folder . --config {editor}"
        within = [f"{start % 'exec'} {ENTER} {_command(agent)}"] if agent else []
        yield from _form("In an editor", [_build(stack), start % "up", *within])
    if has(f"{KUBERNETES}/{name}/base/kustomization.yaml"):
        yield from _form("On Kubernetes", _kubernetes(stack))
    if has(f"{HELM}/{name}/Chart.yaml"):
        install = f"helm install {name} {HELM}/{name} --namespace {name}"
        yield "With Helm, the last line is:"
        yield ""
        yield from fenced("sh", [install])


def tested(stack: StackPlan, subject: Subject) -> Iterator[str]:
    """Yield what is tested of a stack, and what is not."""
    images = ", ".join(dict.fromkeys(code(one.image) for one in stack.services))
    yield (
        "`agc validate` refuses it where an image, a port, a secret or a mount is wrong. Its images are tested before"
        f" they are written: {images}."
    )
    if subject.own:
        yield (
            "The tests of this project start every stack on a real Docker daemon, without credentials and beside a mock"
            " of the models' APIs: all services are healthy in time, and `down -v` leaves nothing. What stacks have in"
            " common is tested in one of them: an agent at work, what is not listed is not reached, state outlives a"
            " restart ([test_stacks.py](../../../tests/docker/test_stacks.py)). The files for Kubernetes are held"
            " against its schemas, and run in no cluster."
        )
    yield ""


def _form(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"### {title}"
    yield ""
    yield from fenced("sh", lines)


def _compose(stack: StackPlan, compose: str, agent: ServicePlan | None) -> Iterator[str]:
    profile = f" --profile {agent.service.profile}" if agent and agent.service.profile else ""
    yield _build(stack)
    yield f"agc up {stack.name}{profile}"
    if agent:
        yield f"docker compose -f {compose} exec {agent.name} {ENTER} {_command(agent)}"
    yield f"agc down {stack.name}      # -v removes its volumes too"


def _build(stack: StackPlan) -> str:
    proxies = {PROXY_IMAGE} if behind_proxies(stack) or gates(stack) else set()
    return f"agc build {' '.join(sorted({one.image for one in stack.services} | proxies))} -o docker"


def _kubernetes(stack: StackPlan) -> Iterator[str]:
    name = stack.name
    yield f"agc build {' '.join(sorted({one.image for one in stack.services}))} -o push:REGISTRY/NAMESPACE"
    yield "agc generate --only kubernetes --only helm      # names the images by digest"
    yield f"kubectl create namespace {name}"
    if stack.secrets:
        yield f"{COMPOSE}/{name}/{PREPARE}      # makes the files of secrets; write into them"
        wanted = [one.name for one in stack.secrets if one.required] or [stack.secrets[0].name]
        files = " ".join(f"--from-file={one}={COMPOSE}/{name}/secrets/{one}" for one in wanted)
        yield f"kubectl -n {name} create secret generic {name} {files}"
    yield f"kubectl apply -k {KUBERNETES}/{name}/base      # or …/cilium, where that is the network plugin"


def _command(service: ServicePlan) -> str:
    agent = service.parts.agent
    return agent.model.spec.command[0] if agent else ""
