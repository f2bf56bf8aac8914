"""The two proxies beside services: out to the hosts they declare, and in to the ports that are published.

Each service that may reach anything has a Squid of its own, with its own list, on a network only they are on. A list
for several services would let each reach what another needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.models.parts import Egress
from pipeline.resolve.stack_plan import PublishedPort, ServicePlan, StackPlan

INGRESS = "ingress"
"""The service through which the host reaches ports."""
PROXY_PORT = 3128
"""Where Squid listens."""
_FIRST_GATE = 20001

_SQUID = """\
http_port {port}
visible_hostname {name}

{lists}
http_access deny all

# It keeps nothing, changes nothing, and tells nobody about its clients.
cache deny all
cache_mem 0 MB
memory_pools off
forwarded_for delete
httpd_suppress_version_string on
access_log stdio:/dev/stdout
cache_log /dev/null
cache_store_log none
logfile_rotate 0
netdb_filename none
pinger_enable off
pid_filename none
coredump_dir /tmp
max_filedescriptors 4096
shutdown_lifetime 1 seconds
"""
_HAPROXY = """\
global
  maxconn 256
  log stdout format raw local0 notice

defaults
  mode tcp
  log global
  timeout connect 5s
  timeout client 1h
  timeout server 1h

# Containers come back with other addresses.
resolvers docker
  nameserver dns 127.0.0.11:53
  hold valid 5s
"""
_GATE = """
listen {name}
  bind :{gate}
  server {service} {service}:{port} check inter 1s rise 1 resolvers docker init-addr none
"""


@dataclass(frozen=True, slots=True)
class Gate:
    """A published port: `number` is where the ingress listens for it."""

    service: ServicePlan
    item: PublishedPort
    number: int


def fenced(stack: StackPlan) -> tuple[ServicePlan, ...]:
    """Return the services that may reach anything outside, each of which has a proxy."""
    return tuple(service for service in stack.services if service.egress)


def proxy_name(service: ServicePlan) -> str:
    """Return the name of a service's proxy, and of the network between the two."""
    return f"{service.name}-egress"


def gates(stack: StackPlan) -> tuple[Gate, ...]:
    """Return the published ports of a stack, in order of service and port."""
    found = [(service, item) for service in stack.services for item in sorted(service.published, key=_port)]
    return tuple(Gate(service, item, _FIRST_GATE + index) for index, (service, item) in enumerate(found))


def squid_config(service: ServicePlan, top: str) -> str:
    """Return the configuration of a service's proxy (squid 6, squid-cache.org/Doc/config)."""
    ports = sorted({host.port for host in service.egress})
    lists = [_list(port, [host for host in service.egress if host.port == port]) for port in ports]
    body = _SQUID.format(port=PROXY_PORT, name=proxy_name(service), lists="\n".join(lists))
    return f"{top}\n# The hosts {service.name} may reach; nothing else is.\n{body}"


def ingress_config(stack: StackPlan, top: str) -> str:
    """Return the configuration of the ingress (HAProxy 3, docs.haproxy.org)."""
    parts = [
        _GATE.format(
            name=f"{gate.service.name}-{gate.item.port.name}",
            gate=gate.number,
            service=gate.service.name,
            port=gate.item.port.port,
        )
        for gate in gates(stack)
    ]
    return f"{top}\n# The ports of services that the host reaches.\n{_HAPROXY}{''.join(parts)}"


def _list(port: int, hosts: Iterable[Egress]) -> str:
    lines = [f"acl port_{port} port {port}"]
    for host in hosts:
        lines.append(f"# {host.purpose}")
        if host.host.startswith("*."):
            # A leading dot in dstdomain would take in the name itself.
            lines.append(f"acl hosts_{port}_below dstdom_regex -n ^.+{re.escape(host.host[1:])}$")
        else:
            lines.append(f"acl hosts_{port} dstdomain -n {host.host}")
    names = dict.fromkeys(line.split()[1] for line in lines if line.startswith("acl hosts"))
    return "\n".join([*lines, *(f"http_access allow {name} port_{port}" for name in names)])


def _port(item: PublishedPort) -> int:
    return item.port.port
