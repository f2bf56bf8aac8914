"""States as calls of Dagger's API, by the schema of the installed SDK, and what becomes of its failures."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("dagger", reason="dagger-io is not installed")

import dagger
import gql
import graphql
from dagger._exceptions import QueryErrorValue
from gql.transport.exceptions import TransportClosed

from pipeline.digest import Digest, digest_bytes
from pipeline.engine.api import SecretFile, StepEvent, StepStatus
from pipeline.engine.choose import open_engine
from pipeline.engine.dagger.client import Dagger
from pipeline.engine.dagger.connection import check_answers, check_version, not_started, world
from pipeline.engine.dagger.failure import explain, explain_export, lost
from pipeline.engine.dagger.files import TIDY, script
from pipeline.engine.dagger.image import configured
from pipeline.engine.dagger.lowering import _LOOPBACK, Site, World, helper_of, lower
from pipeline.engine_name import EngineName
from pipeline.errors import (
    BuildError,
    EngineError,
    EngineLostError,
    ExitCode,
    IntegrityError,
    OutputError,
    SourceGoneError,
    UsageError,
)
from pipeline.graph import State, http, scratch, stack, walk
from pipeline.graph.ops import Layout
from pipeline.platform import AMD64
from pipeline.settings import load_settings
from tests.unit.compose.samples import composed
from tests.unit.engine.dagger_api import Recorded, recording
from tests.unit.graph.samples import EPOCH, ROOT, SAMPLES

HELPER = ROOT


def site(client: dagger.Client, secrets: Mapping[str, Path], world: World) -> Site:
    """Return a site with the samples' root as its helper."""
    archive = client.host().file("/cache/root.tar")
    assert isinstance(ROOT.op, Layout)
    return Site(client, AMD64, {ROOT.op.digest: archive}, secrets, HELPER, world)


def calls(
    state: State, secrets: Mapping[str, Path] | None = None, names: Mapping[Digest, str] | None = None, **more: Any
) -> list[str]:
    """Return the queries that `state` comes to; its inputs are named by their operation, or by `names`."""
    session = Recorded()
    client = recording(session)
    known = names or {}

    def built(one: State) -> dagger.Directory:
        name = known.get(one.digest) or one.name or type(one.op).__name__.lower()
        return client.load_directory_from_id(dagger.DirectoryID(f"<{name}>"))

    async def ask() -> None:
        promise = lower(state, built, site(client, secrets or {}, World(**more)))
        if promise.process:
            await promise.process.combined_output()
        await promise.directory.sync()

    anyio.run(ask)
    return [_short(query) for query in session.queries]


def _short(query: str) -> str:
    """Return a query with the texts of our scripts left out: they are the same everywhere."""
    for name, text in (("files", script(()).command[2]), ("tidy", TIDY[2]), ("loopback", _LOOPBACK)):
        query = query.replace(graphql.print_ast(graphql.StringValueNode(value=text)), f'"<{name}>"')
    return query


def failed(message: str, **extensions: Any) -> dagger.QueryError:
    """Return what the SDK raises where the engine answers with an error."""
    value = QueryErrorValue(message, extensions=extensions)
    return dagger.QueryError([value], gql.GraphQLRequest("{ version }"))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_operation_becomes_the_calls_that_were_looked_at(name: str, golden: Callable[[str, str], None]) -> None:
    """Each is valid by the SDK's own schema, which the session checks."""
    secrets = {"token": Path("/secrets/token")}

    golden(f"dagger/{name}.graphql", "\n".join(calls(SAMPLES[name], secrets)) + "\n")


def test_a_whole_image_becomes_the_calls_that_were_looked_at(golden: Callable[[str, str], None]) -> None:
    """Step by step, each with the results of those before it; only the root is imported."""
    composition = composed()
    numbers = {state.digest: f"step {at}" for at, state in enumerate(walk(composition.rootfs), 1)}
    parts = []
    for at, state in enumerate(walk(composition.rootfs), 1):
        if not isinstance(state.op, Layout):
            parts += [f"# step {at}: {state.name or type(state.op).__name__.lower()}", *calls(state, names=numbers)]

    golden("dagger/whole-image.graphql", "\n".join(parts) + "\n")


def test_the_same_state_makes_the_same_calls() -> None:
    """Whoever lowers it, and whatever it is called."""
    state = SAMPLES["run"]

    first = calls(state, {"token": Path("/t")})
    again = calls(state.named("something else"), {"token": Path("/t")})

    assert first == again


def test_a_config_becomes_calls(golden: Callable[[str, str], None]) -> None:
    """All of it that Dagger knows, the command after the entrypoint, which would take it away."""
    session = Recorded()
    config = {
        "Env": ["PATH=/bin", "EMPTY="],
        "Labels": {"b": "2", "a": "1"},
        "ExposedPorts": {"8080/tcp": {}},
        "Healthcheck": {
            "Test": ["CMD", "claude", "--version"],
            "Interval": 30_000_000_000,
            "Timeout": 5_000_000_000,
            "StartPeriod": 1_000_000_000,
            "Retries": 3,
        },
        "Entrypoint": ["/usr/bin/tini", "--"],
        "Cmd": ["claude"],
        "WorkingDir": "/workspace",
        "User": "1000:1000",
        "StopSignal": "SIGTERM",
        "Volumes": {"/home/dev/.claude": {}},
    }

    anyio.run(configured(recording(session).container(), config).sync)

    golden("dagger/config.graphql", "\n".join(session.queries) + "\n")


def test_a_step_without_network_is_cut_off_before_it_starts() -> None:
    """And has its user and no more than the usual capabilities, though it was started with all."""
    (query,) = [one for one in calls(ROOT.run("id", user="1000:1000")) if "combinedOutput" in one]

    assert "insecureRootCapabilities: true" in query
    assert query.index("--net") < query.index("--reuid=1000") < query.index("--bounding-set=-all") < query.index('"id"')
    assert "sys_admin" not in query


def test_mirrors_are_asked_in_the_place_of_the_public_url() -> None:
    """What is locked stays the checksum."""
    mirrors = (("https://example.org/", "https://mirror.corp.example/"),)

    queries = calls(http("https://example.org/a.tgz", digest_bytes(b"a"), "a.tgz"), mirrors=mirrors)

    assert any("https://mirror.corp.example/a.tgz" in query and digest_bytes(b"a") in query for query in queries)


def test_scripts_run_in_the_root_that_the_graph_stands_on() -> None:
    """The same for each layer of an image, so that images on one root share what is built."""
    layer = ROOT.run("true").diff(ROOT).layer(timestamp=EPOCH)

    assert helper_of(stack(ROOT, layer)) == ROOT
    assert helper_of(layer) == ROOT
    assert helper_of(scratch().mkdir("/a", timestamp=EPOCH)) is None


def test_files_without_any_root_are_refused() -> None:
    """Before the engine is asked."""
    session = Recorded()
    state = scratch().mkdir("/a", timestamp=EPOCH).named("a folder")

    with pytest.raises(EngineError, match="a folder puts files in place"):
        anyio.run(lambda: Dagger(recording(session), Path("/x")).solve(state, platform=AMD64, layouts={}))


def test_a_secret_nobody_gave_is_named() -> None:
    """Its name, that is: a value there is none of."""
    with pytest.raises(EngineError, match="asks for the secret 'token'"):
        calls(SAMPLES["run"])


def test_a_secret_without_its_file_is_told_before_anything_is_built(tmp_path: Path) -> None:
    """With where it was to come from."""
    session = Recorded()
    secret = SecretFile("token", tmp_path / "none")

    with pytest.raises(EngineError, match=r"the secret 'token' is to come from .*/none"):
        anyio.run(
            lambda: Dagger(recording(session), tmp_path).solve(scratch(), platform=AMD64, layouts={}, secrets=(secret,))
        )
    assert session.queries == []


def test_steps_are_reported_as_they_start_and_end(tmp_path: Path) -> None:
    """One that many wait for is built once."""
    events: list[StepEvent] = []
    base = http("https://example.org/base", digest_bytes(b"b"), "b").named("base")
    state = stack(base, base.diff(scratch()).named("left"), base.diff(base).named("right")).named("all")

    anyio.run(
        lambda: Dagger(recording(Recorded()), tmp_path).solve(
            state, platform=AMD64, layouts={}, on_progress=events.append
        )
    )

    done = [event.name for event in events if event.status is StepStatus.DONE]
    assert sorted(done) == ["all", "base", "left", "right", "scratch"]
    assert done.index("base") < done.index("left") < done.index("all")
    assert events[0].status is StepStatus.STARTED


def test_a_connection_lost_in_the_middle_is_the_engine_s_fault(tmp_path: Path) -> None:
    """Exit code 6, and what was built so far is not thrown away."""
    session = Recorded(raises=TransportClosed("closed"))

    with pytest.raises(EngineError, match="the Dagger engine went away") as caught:
        anyio.run(lambda: Dagger(recording(session), tmp_path).solve(scratch(), platform=AMD64, layouts={}))

    assert caught.value.exit_code is ExitCode.ENGINE
    assert "finished steps are kept" in caught.value.remedy


def test_a_failed_process_shows_its_exit_code_and_last_words() -> None:
    """Both of its outputs, as BuildKit's failure does."""
    error = failed("exit code: 3", _type="EXEC_ERROR", cmd=["false"], exitCode=3, stdout="made it\n", stderr="or not\n")

    found = explain(error, ROOT.run("false").named("a step"))

    assert isinstance(found, BuildError)
    assert found.step is not None
    assert (found.step.exit_code, found.step.log) == (3, ("made it", "or not"))


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        pytest.param(f"checksum mismatch: got {digest_bytes(b'x')}", IntegrityError, id="other-bytes"),
        pytest.param("failed to fetch: invalid response status 404 Not Found", SourceGoneError, id="gone"),
        pytest.param("write /x: no space left on device", EngineError, id="disk-full"),
        pytest.param("rpc error: connection reset by peer", EngineLostError, id="lost"),
        pytest.param("something else", BuildError, id="anything"),
    ],
)
def test_failures_of_a_fetch_are_told_apart(words: str, kind: type[Exception]) -> None:
    """Each has an exit code of its own."""
    state = http("https://example.org/a", digest_bytes(b"a"), "a")

    assert type(explain(failed(words), state)) is kind


@pytest.mark.parametrize("version", ["v0.20.8", "v1.0.0", "1.2.3", "v0.9.1-dev"])
def test_an_engine_of_another_version_is_refused(version: str) -> None:
    """With the version it has and those that are spoken to."""
    with pytest.raises(EngineError, match=f"the Dagger engine is {version}"):
        check_version(version)


@pytest.mark.parametrize("version", ["v0.21.0", "v0.21.11", "0.22.1", "devel"])
def test_an_engine_of_a_known_version_is_taken(version: str) -> None:
    """A build of its own may have no number."""
    check_version(version)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(dagger.TransportError("502 Bad Gateway"), EngineLostError, id="no-answer"),
        pytest.param(failed("session closed: read: connection reset by peer"), EngineLostError, id="lost"),
        pytest.param(failed("open /out: permission denied"), OutputError, id="refused"),
    ],
)
def test_an_export_that_fails_is_told_from_an_engine_that_is_lost(error: dagger.DaggerError, kind: type) -> None:
    """The one is mended by another folder, the other by another try."""
    assert type(explain_export(error)) is kind


def test_a_module_has_no_words_for_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK comes without what starts one there; an engine that goes away is told all the same."""
    monkeypatch.delattr(dagger, "ProvisionError")

    assert "went away" in lost(dagger.ClientConnectionError("gone")).message


NOTHING_CAME = dagger.ProvisionError("Failed to start Dagger engine session: No connection params")
SESSION = "1   : connect ERROR [0.0s]\n1   : ! incompatible engine version v0.21.8\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f"{SESSION}\nError: incompatible engine version v0.21.8 [traceparent:b3-d2]\n\n", "incompatible"),
        ("Error: one\nError: dial unix /x: no such file", "dial unix /x: no such file"),
        ("1   : connect", "No connection params"),
    ],
    ids=["version", "last", "nothing"],
)
def test_a_session_that_does_not_start_is_told_in_its_own_words(words: str, said: str) -> None:
    """Where it has any; the SDK's are that nothing came."""
    error = not_started(NOTHING_CAME, words)

    assert said in error.message
    assert "traceparent" not in error.message
    assert ("install program and engine" in error.remedy) == (said == "incompatible")


def test_an_address_where_nobody_listens_is_told_at_once(tmp_path: Path) -> None:
    """Dagger itself would wait for ten minutes."""
    with pytest.raises(EngineError, match="no Dagger engine answers at unix://"):
        check_answers(f"unix://{tmp_path}/engine.sock")
    check_answers("kube-pod://somewhere")
    check_answers("")


def test_without_dagger_installed_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing but this engine misses it."""
    original = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.startswith("pipeline.engine.dagger"):
            raise ModuleNotFoundError("No module named 'dagger'", name="dagger")
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    settings = load_settings(tmp_path, {"AGC_ENGINE": "dagger"})

    async def ask() -> None:
        async with open_engine(settings, print):
            raise AssertionError("there is no such engine")

    with pytest.raises(UsageError, match="'dagger', which is not installed") as caught:
        anyio.run(ask)
    assert "agentcontainers[dagger]" in caught.value.remedy


def test_the_engine_is_chosen_by_name(tmp_path: Path) -> None:
    """By the environment, and by the command line before that."""
    settings = load_settings(tmp_path, {"AGC_ENGINE": "dagger"})

    assert settings.engine.name is EngineName.DAGGER
    assert settings.on_engine(EngineName.BUILDKIT).engine.name is EngineName.BUILDKIT
    assert settings.on_engine(None).engine.name is EngineName.DAGGER


def test_a_module_has_no_bundle_to_hand_to_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's own authorities are what its steps trust."""
    settings = load_settings(tmp_path, {"SSL_CERT_FILE": "/corp.pem"})

    assert str(world(settings).ca_bundle) == "/corp.pem"
    monkeypatch.setenv("DAGGER_MODULE", "agc")
    assert world(settings).ca_bundle is None
