"""`agc validate`: read everything, say everything that is wrong."""

from __future__ import annotations

import typer

from pipeline import flow
from pipeline.cli.app import session_of
from pipeline.cli.output import line


def command(context: typer.Context) -> None:
    """Check the definitions: form, references, policy, and whether each image and stack can be. Needs no engine."""
    session = session_of(context)
    project = flow.open_project(session.project)
    project.check_matrix()
    project.check_policy()
    stacks = project.stacks()
    definitions = project.definitions
    counts = {
        "roots": len(definitions.roots),
        "toolchains": len(definitions.toolchains),
        "commonTools": len(definitions.common_tools),
        "bases": len(definitions.bases) - len(definitions.combos),
        "combos": len(definitions.combos),
        "agents": len(definitions.agents),
        "toolpacks": len(definitions.toolpacks),
        "statements": len(definitions.vex),
        "images": len(project.images),
        "stacks": len(stacks),
    }
    words = ", ".join(f"{count} {name}" for name, count in counts.items())
    session.output.result({"valid": True, "counts": counts}, lambda: [line(f"valid: {words}")])
