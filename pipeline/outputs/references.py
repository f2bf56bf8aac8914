"""How generated files name an image: by the digest that was published, or by its plain name where nothing was."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.catalog.record import Catalog


@dataclass(frozen=True, slots=True)
class Reference:
    """An image as a runtime takes it: `name` is what agc calls it, `tag` what a person would.

    `digest` is empty for one that was never published; it is then what `agc build --output docker` loads.
    """

    name: str
    repository: str
    tag: str = "latest"
    digest: str = ""

    @property
    def text(self) -> str:
        """What stands in the file: by digest wherever there is one."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"

    @property
    def comment(self) -> str:
        """What a person should know of it, in one sentence."""
        if self.digest:
            return f"{self.repository}:{self.tag} when this was made."
        return f"Not published yet: agc build {self.name} --output docker"


def reference(catalog: Catalog, name: str) -> Reference:
    """Return how to name the image `name`."""
    published = catalog.images.get(name)
    if published is None or not published.repositories:
        return Reference(name, name)
    tag = min(published.tags, key=lambda tag: (tag != "latest", tag), default="latest")
    return Reference(name, min(published.repositories), tag, published.digest)
