"""What a build is: states, operations, digests. Knows no agent, no YAML and no engine."""

from pipeline.graph.ops import Copy, FileAction, Mkdir, Mount, Network, Owner, Symlink, Write
from pipeline.graph.state import State, http, image, layout, scratch, stack, walk

__all__ = [
    "Copy",
    "FileAction",
    "Mkdir",
    "Mount",
    "Network",
    "Owner",
    "State",
    "Symlink",
    "Write",
    "http",
    "image",
    "layout",
    "scratch",
    "stack",
    "walk",
]
