"""Services as compose-spec has them (compose-spec.io): fenced in as far as what runs in them allows."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from pipeline.compose.config import INIT, beside
from pipeline.models.parts import HealthCheck
from pipeline.outputs.stacks.documents import literal
from pipeline.outputs.stacks.proxies import INGRESS, PROXY_PORT, Gate, gates, proxy_name
from pipeline.resolve.stack_plan import ServicePlan, StackPlan

INSIDE = "inside"
"""The network of all services of a stack; nothing outside is reached from it."""
OUTSIDE = "outside"
"""The network of the proxies."""
ENTER = "/run/agc/enter"
"""Where the script is that gives a program its secrets."""
FILES = "/run/agc/files"
"""Where files are that an agent is given."""
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
_NO_PROXY_VARIABLES = ("NO_PROXY", "no_proxy")


def agent_service(stack: StackPlan, plan: ServicePlan, workspace: str) -> dict[str, Any]:
    """Return a service without its image; `workspace` is the shared folder as the stack's folder sees it."""
    service = plan.service
    embedded = plan.parts.toolpack if plan.parts.agent else None
    found: dict[str, Any] = {}
    if service.profile:
        found["profiles"] = [service.profile]
    found |= {
        "user": f"{plan.user.uid}:{plan.user.gid}",
        "entrypoint": [*INIT, ENTER, *_checks(plan), *(literal(word) for word in beside(embedded))],
        "command": [literal(word) for word in plan.command],
    }
    if variables := _environment(stack, plan):
        found["environment"] = variables
    found["configs"] = _configs(plan)
    if mounts := _mounts(plan, workspace):
        found["volumes"] = mounts
    if plan.secrets:
        found["secrets"] = [secret.name for secret in plan.secrets]
    found |= _fence(plan.service.memory, plan.service.pids, read_only=service.read_only)
    if service.read_only:
        # `exec`, because agents write programs and run them; the workspace would let them do so anyway.
        owned = f"exec,mode=0755,uid={plan.user.uid},gid={plan.user.gid}"
        found["tmpfs"] = ["/tmp:exec,mode=1777", *(f"{path}:{owned}" for path in _own_folders(plan))]  # noqa: S108  # in a container
    if service.cpus:
        found["cpus"] = service.cpus
    if plan.health:
        found["healthcheck"] = _health(plan.health)
    waits = [*plan.waits_for, *([proxy_name(plan)] if plan.egress else [])]
    if waits:
        found["depends_on"] = {name: {"condition": "service_healthy"} for name in sorted(waits)}
    found["networks"] = [INSIDE, *([proxy_name(plan)] if plan.egress else [])]
    return found


def proxy_service(plan: ServicePlan) -> dict[str, Any]:
    """Return the proxy of a service, without its image."""
    name = proxy_name(plan)
    profile = {"profiles": [plan.service.profile]} if plan.service.profile else {}
    return {
        **profile,
        "command": ["squid", "-N", "-d", "1", "-f", "/etc/agc/squid.conf"],
        "configs": [{"source": name, "target": "/etc/agc/squid.conf"}],
        **_fence("128m", 64, read_only=True),
        "tmpfs": ["/tmp", "/run"],  # noqa: S108  # in a container
        "healthcheck": _answers(PROXY_PORT),
        "networks": [name, OUTSIDE],
    }


def ingress_service(stack: StackPlan) -> dict[str, Any]:
    """Return the service that takes the host's ports, without its image.

    A container on internal networks alone cannot have any: Docker forwards none to it.
    """
    found = gates(stack)
    return {
        "command": ["haproxy", "-db", "-f", "/etc/agc/haproxy.cfg"],
        "configs": [{"source": INGRESS, "target": "/etc/agc/haproxy.cfg"}],
        "ports": [_published(gate) for gate in found],
        **_fence("128m", 64, read_only=True),
        "tmpfs": ["/tmp", "/run"],  # noqa: S108  # in a container
        "healthcheck": _answers(found[0].number),
        "networks": [INSIDE, OUTSIDE],
    }


def variable(*words: str) -> str:
    """Return the name of a variable of `.env`."""
    return "_".join(words).replace("-", "_").upper()


def _own_folders(plan: ServicePlan) -> list[str]:
    """Return the home folder and those in it that lie above a volume: whoever mounts that makes them, as root."""
    home = PurePosixPath(plan.user.home)
    paths = (PurePosixPath(one.volume.path) for one in plan.volumes)
    above = {str(folder) for path in paths for folder in path.parents if folder != home and folder.is_relative_to(home)}
    return [str(home), *sorted(above)]


def _checks(plan: ServicePlan) -> list[str]:
    """Return what is looked at before the program starts."""
    found = ["--workspace", plan.workspace] if plan.service.workspace else []
    for secret in plan.secrets:
        found += ["--require", secret.name] if secret.required else []
    for path in plan.files:
        found += ["--file", path]
    return [*found, "--"]


def _environment(stack: StackPlan, plan: ServicePlan) -> dict[str, str]:
    found = {name: literal(value) for name, value in plan.env.items()}
    if plan.egress:
        found |= dict.fromkeys(_PROXY_VARIABLES, f"http://{proxy_name(plan)}:{PROXY_PORT}")
        others = ",".join(["127.0.0.1", "localhost", *(one.name for one in stack.services)])
        found |= dict.fromkeys(_NO_PROXY_VARIABLES, others)
        # Node.js from 24 heeds them where it is told to.
        found["NODE_USE_ENV_PROXY"] = "1"
    return dict(sorted(found.items()))


def _configs(plan: ServicePlan) -> list[dict[str, str]]:
    found = [{"source": "enter", "target": ENTER}]
    return [*found, *({"source": config_name(plan, path), "target": f"{FILES}{path}"} for path in plan.files)]


def config_name(plan: ServicePlan, path: str) -> str:
    """Return the name of a file that an agent is given."""
    return f"{plan.name}{path}".replace("/", "-").replace(".", "")


def _mounts(plan: ServicePlan, workspace: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if plan.service.workspace:
        # A folder that Docker makes would belong to root.
        bind = {"bind": {"create_host_path": False}}
        found.append({"type": "bind", "source": f"${{WORKSPACE:-{workspace}}}", "target": plan.workspace, **bind})
    found += [{"type": "volume", "source": one.name, "target": one.volume.path} for one in plan.volumes]
    return found


def _fence(memory: str, pids: int, *, read_only: bool) -> dict[str, Any]:
    return {
        "read_only": read_only,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": memory,
        "pids_limit": pids,
        "restart": "on-failure:5",
    }


def _health(health: HealthCheck) -> dict[str, Any]:
    return {
        "test": ["CMD", *(literal(word) for word in health.command)],
        "interval": f"{health.interval}s",
        "timeout": f"{health.timeout}s",
        "start_period": f"{health.start_period}s",
        "retries": health.retries,
    }


def _answers(port: int) -> dict[str, Any]:
    test = ["CMD", "nc", "-z", "127.0.0.1", str(port)]
    return {"test": test, "interval": "5s", "timeout": "5s", "start_period": "5s", "retries": 6}


def _published(gate: Gate) -> str:
    """Return the short form of a port: address and number on the host, number in the container."""
    item = gate.item.published
    name = variable(gate.service.name, item.name, "port")
    return f"{_in_url(item.address)}:${{{name}:-{item.host}}}:{gate.number}"


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
