"""Links from a page to the files that other generators made for what the page is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.outputs.docs.markdown import code
from pipeline.outputs.subject import Subject

_FOLDER = "deploy"
_UP = "../../.."
# deploy/devcontainers/stacks/NAME is the deepest; what is further in is part of it.
_DEEPEST = 4


def ready_made(names: Iterable[str], subject: Subject) -> Iterator[str]:
    """Yield a list of the folders that bear one of these names, from a page in docs/catalog/KIND."""
    wanted = frozenset(names)
    parts = [path.split("/")[:-1][:_DEEPEST] for path in subject.files if path.startswith(f"{_FOLDER}/")]
    found = {"/".join(part[: at + 1]) for part in parts for at, word in enumerate(part) if at and word in wanted}
    yield from (f"- [{code(path)}]({_UP}/{path})" for path in sorted(found))
    if found:
        yield ""
