"""Stacks as files of Docker Compose: what is started, how it is fenced in, and what a person must know of it."""

from pipeline.outputs.stacks.files import compose_files

__all__ = ["compose_files"]
