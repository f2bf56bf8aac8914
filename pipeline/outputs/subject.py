"""What every generator is given: the project, and where the templates are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.catalog.record import Catalog
from pipeline.outputs.commands import CommandText
from pipeline.outputs.late import as_published
from pipeline.resolve.stack_plan import StackPlan
from pipeline.stages.project import Project


@dataclass(frozen=True, slots=True)
class Subject:
    """The project that files are made for.

    `templates` is the folder of templates, `version` this program's, `own` tells whether the project is its own
    checkout, and `catalog` is what was published. Pages tell also of `commands`, what the command line says of itself,
    and of `files`, the paths of what the other generators make.
    """

    templates: Path
    version: str
    own: bool
    project: Project
    catalog: Catalog
    commands: tuple[CommandText, ...] = ()
    files: tuple[str, ...] = ()

    def stacks(self) -> tuple[StackPlan, ...]:
        """Return the project's stacks, with what their images need in the form in which they were published.

        Raises ErrorGroup with all that is wrong with them.
        """
        return tuple(as_published(stack, self.catalog) for stack in self.project.stacks())
