"""The form of an image whose agent is fetched at first run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pipeline.compose.image import compose, compose_all
from pipeline.errors import RefusedError
from pipeline.graph import walk
from pipeline.graph.ops import Files, Http, Write
from pipeline.platform import ARM64
from pipeline.resolve.plan import ImagePlan
from pipeline.stages.licences import bound_for, check_licences
from pipeline.verify.cases import smoke_cases
from tests.unit.compose.samples import deb_pin, plan

LATE = replace(plan(), late=True)


def with_curl(made: ImagePlan) -> ImagePlan:
    """Return a plan whose base can fetch."""
    held = (*made.system.packages, deb_pin("curl"), deb_pin("ca-certificates"))
    return replace(made, system=made.system.model_copy(update={"packages": held}))


def urls(made: ImagePlan) -> set[str]:
    """Return what is fetched for the layer of the agent."""
    layer = compose(made).layers[-1]
    return {state.op.url for state in walk(layer.state) if isinstance(state.op, Http)}


def test_none_of_the_agents_bytes_is_in_the_image() -> None:
    """Its layer is scripts alone; the layers below are those of the other form."""
    baked, late = compose_all((plan(), LATE))

    assert urls(plan())
    assert urls(LATE) == set()
    assert [layer.state.digest for layer in late.layers[:-1]] == [layer.state.digest for layer in baked.layers[:-1]]
    assert late.layers[-1].state.digest != baked.layers[-1].state.digest
    assert late.graph_digest != baked.graph_digest


def test_the_script_names_the_archive_of_its_platform() -> None:
    """By path and both digests."""
    texts = {}
    for made in (LATE, replace(plan(platform=ARM64), late=True)):
        layer = compose(made).layers[-1]
        writes = [
            action
            for state in walk(layer.state)
            if isinstance(state.op, Files)
            for action in state.op.actions
            if isinstance(action, Write)
        ]
        texts[str(made.platform)] = next(w.data.decode() for w in writes if w.path == "/opt/agents/claude/fetch")

    assert "claude-code-linux-x64/-/claude-code-linux-x64-2.1.330.tgz\n" in texts["linux/amd64"]
    assert "claude-code-linux-arm64/-/claude-code-linux-arm64-2.1.330.tgz\n" in texts["linux/arm64"]


def test_the_config_says_so_and_keeps_what_is_fetched() -> None:
    """By a label and a volume."""
    config = json.loads(compose(LATE).config)["config"]

    assert config["Labels"]["dev.agentcontainers.late-bound"] == "claude"
    assert config["Volumes"].keys() == {"/home/dev/.claude", "/home/dev/.cache/agc-late"}
    assert "dev.agentcontainers.late-bound" not in json.loads(compose(plan()).config)["config"]["Labels"]


def test_every_smoke_test_goes_through_the_fetching() -> None:
    """With the archive mounted, and no network."""
    baked, late = smoke_cases(compose(plan())), smoke_cases(compose(LATE))

    assert [case.title for case in late] == [case.title for case in baked]
    assert all(case.state.digest != other.state.digest for case, other in zip(late, baked, strict=True))


def test_where_others_read_it_goes_late() -> None:
    """And baked where nobody else does."""
    made = with_curl(plan())

    assert bound_for(made, "ghcr.io/me", ()).late
    assert not bound_for(made, "ghcr.io/me", ("ghcr.io/me",)).late
    assert not bound_for(plan("node-bun"), "ghcr.io/me", ()).late
    check_licences(bound_for(made, "ghcr.io/me", ()), "ghcr.io/me", ())


def test_a_base_that_cannot_fetch_is_refused() -> None:
    """With what it lacks."""
    with pytest.raises(RefusedError, match="has no ca-certificates, curl to do it with") as caught:
        bound_for(plan(), "ghcr.io/me", ())

    assert "agc lock" in caught.value.remedy
