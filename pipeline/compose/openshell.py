"""What OpenShell asks of an image, and the label of those that keep to it.

Its contract (https://github.com/NVIDIA/OpenShell, `examples/bring-your-own-container`): a user who is not root,
iproute2 for the network namespace of what runs inside, `/sandbox` as the workspace, which is that user's, and a system
with a shell. Every image of ours has the first and the last; what a base makes of the others is read from its
definition, and the smoke tests of the common tools that bring iproute2 show it in the image.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.models.defined import Defined
from pipeline.models.kinds import Base, CommonTools

WORKSPACE = "/sandbox"
"""The folder where every driver of OpenShell has the work."""
READY_LABEL = ("dev.agentcontainers.openshell", "ready")
"""The label, name and value, of an image that keeps the contract."""
_PACKAGES = frozenset({"iproute2"})


def openshell_ready(base: Defined[Base], common_tools: Mapping[str, Defined[CommonTools]]) -> bool:
    """Tell whether images on `base` keep OpenShell's contract."""
    spec = base.model.spec
    packages = {*spec.debian, *(name for tools in spec.common_tools for name in common_tools[tools].model.spec.debian)}
    return spec.workspace == WORKSPACE and packages >= _PACKAGES
