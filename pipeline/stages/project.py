"""A project: its definitions on top of those this package ships, its lock, and this machine's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import AgcError, DefinitionError, ErrorGroup, UsageError
from pipeline.models.defined import Definitions
from pipeline.models.load import load_definitions
from pipeline.platform import Platform
from pipeline.resolve.lock import Locks, read_locks, require
from pipeline.resolve.matrix import Combination, check_cells, combinations, image_names
from pipeline.resolve.plan import ImagePlan, plan_images
from pipeline.resolve.stack_plan import StackPlan
from pipeline.resolve.stacks import plan_stacks
from pipeline.settings import Settings, load_settings
from pipeline.verify.policy import check_policy


@dataclass(frozen=True, slots=True)
class Project:
    """Everything read at the start; `damage` is what is wrong with lock files that could not be used."""

    folder: Path
    settings: Settings
    definitions: Definitions
    locks: Locks
    damage: tuple[AgcError, ...] = ()

    @property
    def lock_folder(self) -> Path:
        """Where `agc lock` writes."""
        return self.folder / "registry" / "lock"

    @property
    def images(self) -> tuple[str, ...]:
        """The names of all images there are."""
        return image_names(self.definitions, self.locks)

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms of any root, which are those that packages are locked for."""
        return tuple(sorted({name for root in self.definitions.roots.values() for name in root.model.spec.platforms}))

    @property
    def combinations(self) -> tuple[Combination, ...]:
        """Every base and every pair of base and agent, images of this project or not."""
        return combinations(self.definitions, self.locks)

    def check_matrix(self) -> None:
        """Raise ErrorGroup with every cell of the matrix that cannot be an image."""
        check_cells(self.definitions, self.locks)

    def stacks(self, *names: str) -> tuple[StackPlan, ...]:
        """Return the stacks called `names`, all where none is given; raises ErrorGroup with all that is wrong."""
        plans = plan_stacks(self.definitions, self.locks, names)
        if errors := tuple(_outside(plan) for plan in plans if not self._inside(plan.workspace)):
            raise ErrorGroup(errors)
        return plans

    def _inside(self, folder: str) -> bool:
        """Tell whether a folder of the project lies in it when links are followed."""
        return (self.folder / folder).resolve().is_relative_to(self.folder.resolve())

    def check_policy(self) -> None:
        """Raise ErrorGroup with every policy check that the definitions do not pass."""
        check_policy(self.definitions)

    def plan(self, names: tuple[str, ...], platforms: tuple[Platform, ...]) -> tuple[ImagePlan, ...]:
        """Return the plans of `names`, all images where none is given.

        Raises ErrorGroup where the lock is missing, stale or damaged or a cell is impossible, UsageError for an
        unknown name.
        """
        require(self.locks, self.definitions, self.damage)
        if not names:
            self.check_matrix()
        return plan_images(names or self.images, platforms, self.definitions, self.locks, self.settings.root_source)


def shipped_folder() -> Path:
    """Return the folder with the definitions and locks this package ships: in a wheel, or in its own checkout."""
    package = Path(__file__).parent.parent
    data = package / "_data"
    return data if data.is_dir() else package.parent


def load_project(folder: Path, environment: Mapping[str, str]) -> Project:
    """Read the project in `folder`; raises ErrorGroup with everything that is wrong with its files."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", remedy="give a project folder with -C")
    shipped = shipped_folder()
    layers = [shipped] if shipped.resolve() == folder.resolve() else [shipped, folder]
    settings = load_settings(folder, environment)
    definitions = load_definitions([layer / "definitions" for layer in layers], folder)
    locks, damage = read_locks([layer / "registry" / "lock" for layer in layers], definitions)
    return Project(folder, settings, definitions, locks, damage)


def _outside(stack: StackPlan) -> DefinitionError:
    return DefinitionError(
        f"the workspace `{stack.workspace}` is a link to a folder outside the project",
        location=stack.defined.at("spec", "workspace"),
        remedy="make it a folder; who wants another one on their machine names it as WORKSPACE in .env",
    )
