"""What the licence of a program allows: whether an image that holds it may go to a registry, and in which form.

`baked` may go anywhere. `private` and `late-bound` may go, with their bytes in the image, only where nobody outside
reads it: to registries marked private in agc.toml, and to those of this machine. Elsewhere `late-bound` goes as an
image that fetches it at first run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from pipeline.compose.late import NEEDS
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


def bound_for(plan: ImagePlan, namespace: str, private: Collection[str]) -> ImagePlan:
    """Return the plan of an image in the form in which it goes to `namespace`.

    Raises RefusedError where its base lacks what is needed to fetch a program at first run.
    """
    late = [program.name for program, _ in plan.programs if program.model.spec.licence.publish == "late-bound"]
    if not late or is_private(namespace, private):
        return plan
    # What the root has, a base may name and adds nothing for; a root of a registry does not say what it has.
    held = {*plan.root.packages, *plan.asked_for, *(pin.name for pin in plan.system.packages)}
    if lacking := [name for name in NEEDS if name not in held]:
        raise RefusedError(
            f"{plan.name} may not go to {namespace}: {late[0]} is to be fetched at first run, and base"
            f" {plan.base.name} has no {', '.join(lacking)} to do it with",
            remedy=f"add {' and '.join(lacking)} to its Debian packages, and run agc lock",
        )
    return replace(plan, late=True)


def as_published(plan: ImagePlan, namespace: str, private: Collection[str]) -> ImagePlan:
    """Return the plan of an image as it would be found in `namespace`, an empty one being this machine."""
    try:
        return bound_for(plan, namespace, private) if namespace else plan
    except RefusedError:
        return plan


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
            case "late-bound" if not plan.late:
                yield f"{program.name} ({licence.name}) is to be fetched at first run, and its bytes are in this image"
            case _:
                pass
