"""The OCI image config: who runs what where, and labels that say what is inside (image-spec `config.md`).

Labels carry facts of the content alone. What changes while the content does not (a commit, a run, a date) belongs to
provenance, or every build would make a new digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.compose.labels import LABEL, ROOT_LABEL, layer_labels
from pipeline.compose.layers import EPOCH, Layer
from pipeline.errors import Location
from pipeline.models.defined import Defined
from pipeline.models.kinds import Agent, Base, Toolchain
from pipeline.models.parts import HealthCheck
from pipeline.resolve.plan import ImagePlan

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NANOSECONDS = 1_000_000_000


def environment(plan: ImagePlan) -> Mapping[str, str]:
    """Return the image's environment; later wins: toolchains, base, agent."""
    return dict(sorted({name: value for name, value, _ in environment_sources(plan)}.items()))


def environment_sources(plan: ImagePlan) -> Iterator[tuple[str, str, Location | None]]:
    """Yield every variable with value and place, in the order in which they replace each other; PATH has no place.

    The user's own folder comes last in PATH, so that nothing put there can stand in for what is locked.
    """
    user = plan.base.model.spec.user
    yield "PATH", f"{_PATH}:{user.home}/.local/bin", None
    yield "HOME", user.home, plan.base.at("spec", "user", "home")
    defined: list[Defined[Toolchain] | Defined[Base] | Defined[Agent]] = [item for item, _ in plan.toolchains]
    defined += [plan.base, *([plan.agent[0]] if plan.agent else [])]
    for item in defined:
        for name, value in item.model.spec.env.items():
            yield name, value, item.at("spec", "env", name)


def image_config(plan: ImagePlan, layers: Sequence[Layer], labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the config document of an image, without its root file system, which the exporter adds."""
    base = plan.base.model.spec
    config: dict[str, Any] = {
        "User": f"{base.user.uid}:{base.user.gid}",
        "Env": [f"{key}={value}" for key, value in environment(plan).items()],
        "WorkingDir": base.workspace,
        "Entrypoint": ["/usr/bin/tini", "--"],
        "Cmd": list(plan.agent[0].model.spec.command) if plan.agent else [base.user.shell],
        "Labels": dict(sorted({**content_labels(plan, layers), **labels}.items())),
        "StopSignal": "SIGTERM",
    }
    if plan.agent:
        spec = plan.agent[0].model.spec
        if spec.volumes:
            config["Volumes"] = {volume.path: {} for volume in spec.volumes}
        if spec.health:
            config["Healthcheck"] = _healthcheck(spec.health)
    return {
        "architecture": plan.platform.architecture,
        "os": plan.platform.os,
        "created": datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": []},
    }


def content_labels(plan: ImagePlan, layers: Sequence[Layer]) -> dict[str, str]:
    """Return the labels that say what is in the image (OCI annotation keys where there is one)."""
    about = (plan.agent[0] if plan.agent else plan.base).model.metadata
    labels = {
        "org.opencontainers.image.title": plan.name,
        "org.opencontainers.image.description": about.description,
        "org.opencontainers.image.base.name": plan.root.defined.model.spec.image,
        ROOT_LABEL: plan.root.digest,
        f"{LABEL}.root-source": plan.root.source,
    }
    if about.homepage:
        labels["org.opencontainers.image.url"] = about.homepage
    if plan.agent:
        labels["org.opencontainers.image.version"] = plan.agent[1].version
        labels["org.opencontainers.image.licenses"] = plan.agent[0].model.spec.licence.name
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
