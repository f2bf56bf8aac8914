"""What an image needs besides that was published in the form that fetches its program at first run.

It must reach the registry its program comes from, and a folder of it should outlive the container, or it is fetched
anew each time. The catalog tells which images these are, by the volume they declare.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from urllib.parse import urlsplit

from pipeline.catalog.record import Catalog
from pipeline.compose.late import SHELF, late_volume
from pipeline.models.parts import Egress, HealthCheck, User, Volume
from pipeline.resolve.stack_plan import NamedVolume, ServicePlan, StackPlan
from pipeline.settings import NPM_REGISTRY

LATE_HOST = Egress(
    host=urlsplit(NPM_REGISTRY).hostname or "",
    purpose="where what may not be in the image is fetched from, at first run",
    verified=date(2026, 11, 21),
)
"""The host that it is fetched from."""
_START = 300
_TIMEOUT = 120
"""Seconds: the first check is what fetches, where nobody has called the program before."""


def fetched(catalog: Catalog, image: str, user: User) -> Volume | None:
    """Return the volume that keeps what an image fetches at first run, None where it was published with all it has."""
    record = catalog.images.get(image)
    declared = (one.settings.get("Volumes") or {} for one in record.platforms.values()) if record else ()
    return late_volume(user) if any(path.endswith(f"/{SHELF}") for paths in declared for path in paths) else None


def as_published(stack: StackPlan, catalog: Catalog) -> StackPlan:
    """Return a stack with what its images need in the form in which they were published."""
    return replace(stack, services=tuple(_service(one, catalog) for one in stack.services))


def _service(service: ServicePlan, catalog: Catalog) -> ServicePlan:
    volume = fetched(catalog, service.image, service.user)
    if volume is None:
        return service
    hosts = {(one.host, one.port): one for one in (LATE_HOST, *service.egress)}
    return replace(
        service,
        volumes=(*service.volumes, NamedVolume(f"{service.name}-fetched", volume)),
        egress=tuple(hosts[key] for key in sorted(hosts)),
        health=_patient(service.health) if service.health else None,
    )


def _patient(health: HealthCheck) -> HealthCheck:
    """Return a health check that leaves time for fetching."""
    patience = {"start_period": max(health.start_period, _START), "timeout": max(health.timeout, _TIMEOUT)}
    return health.model_copy(update=patience)
