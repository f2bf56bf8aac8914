"""What the licence of a program allows: whether an image that holds it may go to a registry.

`baked` may go anywhere. `private` and `late-bound` may go, with their bytes in the image, only where nobody outside
reads it: to registries marked private in agc.toml, and to those of this machine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pipeline.errors import RefusedError
from pipeline.resolve.plan import ImagePlan

_OWN = frozenset({"localhost", "127.0.0.1"})


def check_licences(plan: ImagePlan, namespace: str, private: Collection[str]) -> None:
    """Raise RefusedError where an image may not go to `namespace`; `private` are registries or namespaces of them."""
    if is_private(namespace, private):
        return
    if reasons := tuple(_reasons(plan)):
        raise RefusedError(
            f"{plan.name} may not go to {namespace}: {'; '.join(reasons)}",
            remedy=f"if nobody outside reads {namespace}, add it to private in [publish] of agc.toml",
        )


def is_private(namespace: str, private: Collection[str]) -> bool:
    """Tell whether a namespace is one of `private`, or below one, or on this machine."""
    if namespace.partition("/")[0].partition(":")[0] in _OWN:
        return True
    return any(namespace == one.strip("/") or namespace.startswith(f"{one.strip('/')}/") for one in private)


def _reasons(plan: ImagePlan) -> Iterator[str]:
    for program, _ in plan.programs:
        licence = program.model.spec.licence
        match licence.publish:
            case "private":
                yield f"the licence of {program.name} ({licence.name}) keeps it from being passed on"
            case "late-bound":
                yield f"{program.name} ({licence.name}) is to be fetched at first run, and its bytes are in this image"
            case "baked":
                pass
