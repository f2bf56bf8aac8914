"""The OCI image config: who runs what where, and labels that say what is inside (image-spec `config.md`).

Labels carry facts of the content alone. What changes while the content does not (a commit, a run, a date) belongs to
provenance, or every build would make a new digest.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.compose.labels import LABEL, ROOT_LABEL, layer_labels
from pipeline.compose.late import is_late, late_volume
from pipeline.compose.layers import EPOCH, Layer
from pipeline.compose.openshell import READY_LABEL, openshell_ready
from pipeline.errors import Location
from pipeline.models.defined import Defined
from pipeline.models.kinds import Toolpack
from pipeline.models.parts import HealthCheck
from pipeline.resolve.plan import ImagePlan

INIT = ("/usr/bin/tini", "--")
"""What is process 1 of every container."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# $1 what runs beside the command, $2 what says that it is ready, $3 seconds to wait for that; then the command.
# Its output goes where the container's errors go, so that nobody takes it for the agent's words.
_BESIDE = """\
sh -c "exec $1" >&2 &
left=$3
while [ "$left" -gt 0 ] && ! sh -c "$2" >/dev/null 2>&1; do sleep 1; left=$((left - 1)); done
shift 3
exec "$@"
"""
_NANOSECONDS = 1_000_000_000


def environment(plan: ImagePlan) -> Mapping[str, str]:
    """Return the image's environment; later wins: toolchains, base, agent."""
    return dict(sorted({name: value for name, value, _ in environment_sources(plan)}.items()))


def environment_sources(plan: ImagePlan) -> Iterator[tuple[str, str, Location | None]]:
    """Yield every variable with value and place, in the order in which they replace each other; PATH has no place.

    An embedded toolpack comes before the agent with what it needs, and after it with what leads to it. The user's
    own folder comes last in PATH, so that nothing put there can stand in for what is locked.
    """
    user = plan.base.model.spec.user
    yield "PATH", f"{_PATH}:{user.home}/.local/bin", None
    yield "HOME", user.home, plan.base.at("spec", "user", "home")
    programs = (item for item, _ in plan.programs)
    defined: tuple[Defined[Any], ...] = (*(item for item, _ in plan.toolchains), plan.base, *programs)
    for item in defined:
        for name, value in item.model.spec.env.items():
            yield name, value, item.at("spec", "env", name)
    if plan.embedded and (embedded := plan.embedded[0].model.spec.embedded):
        for name, value in embedded.env.items():
            yield name, value, plan.embedded[0].at("spec", "embedded", "env", name)


def image_config(plan: ImagePlan, layers: Sequence[Layer], labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the config document of an image, without its root file system, which the exporter adds."""
    base = plan.base.model.spec
    config: dict[str, Any] = {
        "User": f"{base.user.uid}:{base.user.gid}",
        "Env": [f"{key}={value}" for key, value in environment(plan).items()],
        "WorkingDir": base.workspace,
        "Entrypoint": list(entrypoint(plan)),
        "Cmd": list(plan.program[0].model.spec.command) if plan.program else [base.user.shell],
        "Labels": dict(sorted({**content_labels(plan, layers), **labels}.items())),
        "StopSignal": "SIGTERM",
    }
    volumes = [volume.path for program, _ in plan.programs for volume in program.model.spec.volumes]
    if any(is_late(plan, program) for program, _ in plan.programs):
        volumes.append(late_volume(base.user).path)
    if volumes:
        config["Volumes"] = {path: {} for path in sorted(volumes)}
    if plan.program:
        spec = plan.program[0].model.spec
        if spec.ports:
            config["ExposedPorts"] = {f"{port.port}/tcp": {} for port in spec.ports}
        if spec.health:
            config["Healthcheck"] = _healthcheck(spec.health)
    created = datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "architecture": plan.platform.architecture,
        "os": plan.platform.os,
        "created": created,
        "config": config,
        # An engine fills in what is missing with where it has a layer from: built here, or taken from a shared cache.
        "history": [
            {"created": created, "created_by": f"{layer.component} {layer.version}".rstrip()} for layer in layers
        ],
        "rootfs": {"type": "layers", "diff_ids": []},
    }


def entrypoint(plan: ImagePlan) -> tuple[str, ...]:
    """Return what a container starts before its command: an init, and an embedded toolpack if there is one."""
    return (*INIT, *beside(plan.embedded[0] if plan.embedded else None))


def beside(toolpack: Defined[Toolpack] | None) -> tuple[str, ...]:
    """Return what starts an embedded toolpack, and then the command that follows; nothing where there is none."""
    embedded = toolpack.model.spec.embedded if toolpack else None
    if toolpack is None or embedded is None:
        return ()
    health = toolpack.model.spec.health
    return (
        *("/bin/sh", "-c", _BESIDE, toolpack.name),
        *(shlex.join(embedded.command), shlex.join(health.command) if health else "true"),
        str(health.start_period if health else 0),
    )


def content_labels(plan: ImagePlan, layers: Sequence[Layer]) -> dict[str, str]:
    """Return the labels that say what is in the image (OCI annotation keys where there is one)."""
    about = (plan.program[0] if plan.program else plan.base).model.metadata
    labels = {
        "org.opencontainers.image.title": plan.name,
        "org.opencontainers.image.description": about.description,
        "org.opencontainers.image.base.name": plan.root.defined.model.spec.image,
        ROOT_LABEL: plan.root.digest,
        f"{LABEL}.root-source": plan.root.source,
    }
    if openshell_ready(plan.base, {tools.name: tools for tools in plan.common_tools}):
        labels |= dict([READY_LABEL])
    if about.homepage:
        labels["org.opencontainers.image.url"] = about.homepage
    if plan.program:
        labels["org.opencontainers.image.version"] = plan.program[1].version
        licences = dict.fromkeys(program.model.spec.licence.name for program, _ in reversed(plan.programs))
        labels["org.opencontainers.image.licenses"] = " AND ".join(licences)
    if late := [program.name for program, _ in plan.programs if is_late(plan, program)]:
        labels[f"{LABEL}.late-bound"] = " ".join(sorted(late))
    return labels | layer_labels(layers)


def _healthcheck(health: HealthCheck) -> dict[str, Any]:
    """Return Docker's form; times are in nanoseconds there."""
    return {
        "Test": ["CMD", *health.command],
        "Interval": health.interval * _NANOSECONDS,
        "Timeout": health.timeout * _NANOSECONDS,
        "StartPeriod": health.start_period * _NANOSECONDS,
        "Retries": health.retries,
    }
