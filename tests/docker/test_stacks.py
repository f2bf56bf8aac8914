"""Stacks started for real: everything healthy, agents at work, and no way out but the one that is listed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.docker.compose_tool import obtain_compose
from tests.docker.devcontainer_cli import Cli, devcontainer_command
from tests.docker.stacks import (
    TASK,
    UPSTREAM,
    FencedDocker,
    Running,
    fenced_daemon,
    mock_service,
    project_with,
    stack_left,
    started,
)
from tests.docs.test_examples import WITH_DOCKER, as_script, examples
from tests.engine.support import AGC, CHECKOUT, Agc, wait_for

pytestmark = [pytest.mark.docker, pytest.mark.engine, pytest.mark.timeout(1800)]

KEYS = {"ANTHROPIC_API_KEY": "canary-5c1d-key"}
QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
CLAUDE = ("claude", "-p", "Write a greeting.", "--dangerously-skip-permissions")
HEALTHY_WITHIN = 90


@pytest.fixture(scope="module")
def docker() -> Iterator[FencedDocker]:
    """Start a daemon that keeps networks apart."""
    with fenced_daemon() as docker:
        yield docker


@pytest.fixture(scope="module")
def client(agc: Agc, docker: FencedDocker) -> Agc:
    """Return `agc` that finds Compose and the daemon of the tests."""
    return agc.given(DOCKER_HOST=docker.host, PATH=f"{obtain_compose()}:{os.environ['PATH']}", WORKSPACE=None)


@pytest.fixture(scope="module")
def images(client: Agc, docker: FencedDocker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Build the images of all stacks into the daemon, and the one that the mock runs in."""
    names = ("egress-proxy", "headroom", "node-bun-claude", "node-bun-openclaw")
    run = client("build", *names, "--output", "docker", seconds=1500)
    assert run.code == 0, run.stderr
    # The mock's base is no image of the project, so it is made one here.
    folder = tmp_path_factory.mktemp("mock")
    (folder / "definitions").mkdir()
    definition = yaml.safe_load((CHECKOUT / "definitions" / "bases" / "model-mock.yaml").read_text())
    definition["spec"]["images"] = True
    (folder / "definitions" / "model-mock.yaml").write_text(yaml.safe_dump(definition))
    run = client("build", "model-mock", "--output", "docker", project=folder)
    assert run.code == 0, run.stderr
    yield
    docker("image", "rm", "--force", *names, "model-mock", check=False)


@pytest.fixture(scope="module")
def solo(
    client: Agc, docker: FencedDocker, images: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Start solo-claude, its model a mock behind the name of the real one."""
    folder = project_with(tmp_path_factory.mktemp("solo"), KEYS, "solo-claude")
    claude = {"environment": {"ANTHROPIC_BASE_URL": UPSTREAM["api.anthropic.com"], **QUIET}}
    with started("solo-claude", folder, client, docker, {"claude": claude, "model-mock": mock_service()}) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(
    client: Agc, docker: FencedDocker, images: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Start gateway-headroom with Claude Code, the models behind Headroom a mock."""
    folder = project_with(tmp_path_factory.mktemp("gateway"), KEYS, "gateway-headroom")
    upstream = {
        "ANTHROPIC_TARGET_API_URL": UPSTREAM["api.anthropic.com"],
        "OPENAI_TARGET_API_URL": UPSTREAM["api.openai.com"],
    }
    services = {
        "headroom": {"environment": upstream},
        "claude": {"environment": QUIET},
        "model-mock": mock_service(),
    }
    with started("gateway-headroom", folder, client, docker, services, "--profile", "claude") as running:
        yield running


@pytest.fixture(scope="module")
def dual(
    client: Agc, docker: FencedDocker, images: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Start dual-agent without any credential."""
    folder = project_with(tmp_path_factory.mktemp("dual"), {}, "dual-agent")
    # The other stack with a gateway has the port it is given.
    (folder / "deploy" / "compose" / "dual-agent" / ".env").write_text("OPENCLAW_GATEWAY_PORT=28789\n")
    services = {
        "claude": {"environment": {"ANTHROPIC_BASE_URL": UPSTREAM["api.anthropic.com"], **QUIET}},
        "model-mock": mock_service(),
    }
    with started("dual-agent", folder, client, docker, services) as running:
        yield running


@pytest.fixture
def stranger(docker: FencedDocker) -> Iterator[str]:
    """Start a server on a network of its own, and return its address."""
    docker("network", "create", "stranger")
    serve = ["python3", "-m", "http.server", "80"]
    options = ["--user", "0:0", "--network", "stranger", "--name", "stranger", "--entrypoint", serve[0]]
    try:
        docker("run", "--detach", "--workdir", "/tmp", *options, "model-mock", *serve[1:])
        found = docker(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "stranger"
        ).stdout.strip()
        ask = f"import urllib.request; print(urllib.request.urlopen('http://{found}').status)"
        same = ["--rm", "--network", "stranger", "--entrypoint", "python3", "model-mock", "-c", ask]
        for _ in range(20):
            if docker("run", *same, check=False).stdout.strip() == "200":
                break
            time.sleep(0.5)
        else:
            pytest.fail("the server on the other network does not answer")
        yield found
    finally:
        docker("rm", "--force", "stranger", check=False)
        docker("network", "rm", "stranger", check=False)


def check_health(running: Running, names: set[str]) -> None:
    """Everything is healthy, in time."""
    assert running.report.code == 0, f"{running.report.stderr}\n{running.compose('logs', check=False).stdout[-6000:]}"
    found = {name: running.inspect(name) for name in running.compose("ps", "--services").stdout.split()}

    assert {name for name in found if name != "model-mock"} == names
    assert {one["State"]["Health"]["Status"] for one in found.values()} == {"healthy"}
    assert running.seconds < HEALTHY_WITHIN


def test_solo_claude_becomes_healthy(solo: Running) -> None:
    """The agent and its proxy."""
    check_health(solo, {"claude", "claude-egress"})


def test_dual_agent_becomes_healthy_without_credentials(dual: Running) -> None:
    """Two agents, two proxies and the way in."""
    check_health(dual, {"claude", "claude-egress", "ingress", "openclaw", "openclaw-egress"})


def test_gateway_headroom_becomes_healthy(gateway: Running) -> None:
    """OpenClaw, Headroom with its proxy, Claude Code by its profile, and the way in."""
    check_health(gateway, {"claude", "headroom", "headroom-egress", "ingress", "openclaw"})


def test_claude_edits_a_file_in_the_workspace(solo: Running) -> None:
    """Its model is reached through the proxy, by the name on its list."""
    done = solo.run("claude", *CLAUDE, check=False)

    assert done.returncode == 0, f"{done.stdout}{done.stderr}{solo.log('claude-egress')}"
    assert (solo.workspace / "greeting.txt").read_text() == f"{TASK}\n"
    assert "POST /v1/messages" in solo.log("model-mock")
    assert "api.anthropic.com" in solo.log("claude-egress")


def test_a_host_that_is_not_listed_cannot_be_reached(solo: Running, stranger: str) -> None:
    """Neither directly, as there is no way, nor through the proxy, which refuses it."""
    direct = solo.run("claude", "curl", "-sS", "--noproxy", "*", "-m", "5", f"http://{stranger}", check=False)
    through = solo.run(
        "claude", "curl", "-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", f"http://{stranger}"
    )
    tunnel = solo.run("claude", "curl", "-sS", "-m", "10", f"https://{stranger}", check=False)

    assert direct.returncode != 0
    assert through.stdout == "403"
    assert tunnel.returncode != 0
    assert "403" in tunnel.stderr


def test_a_listed_host_is_reached_on_its_port_alone(solo: Running) -> None:
    """The mock answers on the port that is listed, and no other is tried."""
    ask = ("curl", "-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}")

    assert solo.run("claude", *ask, "http://api.anthropic.com:443/v1/models").stdout == "200"
    assert solo.run("claude", *ask, "http://api.anthropic.com:80/v1/models").stdout == "403"


def test_secrets_are_the_programs_alone(solo: Running) -> None:
    """The agent has its key; Docker does not know it, and whoever comes in past the start script has none."""
    key = KEYS["ANTHROPIC_API_KEY"]

    assert solo.run("claude", "sh", "-c", 'echo "$ANTHROPIC_API_KEY"').stdout.strip() == key
    assert key not in str(solo.inspect("claude"))
    plain = solo.compose("exec", "-T", "claude", "sh", "-c", 'echo "[$ANTHROPIC_API_KEY]"').stdout.strip()
    assert plain == "[]"
    assert "ANTHROPIC_API_KEY" not in solo.compose("exec", "-T", "claude-egress", "ls", "/run").stdout


def test_services_are_fenced_in(solo: Running) -> None:
    """As Docker has it: no capability, nothing to gain, nothing to write, limits."""
    host = solo.inspect("claude")["HostConfig"]

    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert (host["PidsLimit"], host["Memory"]) == (512, 4 << 30)
    assert solo.run("claude", "sh", "-c", "! touch /usr/x /opt/x 2>/dev/null && id -u").stdout.strip() == "1000"


def test_state_outlives_a_restart_and_a_new_container(solo: Running) -> None:
    """What is in a volume is there again, also after `agc down` and `agc up`."""
    solo.run("claude", "sh", "-c", 'echo kept > "$CLAUDE_CONFIG_DIR/note"')

    solo.compose("restart", "--timeout", "5", "claude")
    assert solo.run("claude", "sh", "-c", 'cat "$CLAUDE_CONFIG_DIR/note"').stdout.strip() == "kept"
    down = solo.agc("down", "solo-claude", "--file", solo.override, "--timeout", "5", project=solo.folder)
    up = solo.agc("up", "solo-claude", "--file", solo.override, project=solo.folder, seconds=240)

    assert (down.code, up.code) == (0, 0), f"{down.stderr}{up.stderr}"
    assert solo.run("claude", "sh", "-c", 'cat "$CLAUDE_CONFIG_DIR/note"').stdout.strip() == "kept"


def test_two_agents_share_the_workspace_and_nothing_else(dual: Running) -> None:
    """What one writes the other reads; their state and their hosts are their own."""
    dual.run("claude", "sh", "-c", "echo shared > /workspace/note && touch ~/.claude/mine")

    assert dual.run("openclaw", "cat", "/workspace/note").stdout.strip() == "shared"
    assert dual.run("openclaw", "ls", "/home/dev/.claude", check=False).returncode != 0
    proxy = dual.run("openclaw", "sh", "-c", 'echo "$HTTPS_PROXY"').stdout.strip()
    assert proxy == "http://openclaw-egress:3128"
    foreign = dual.run("claude", "curl", "-sS", "-m", "5", "-x", proxy, "http://api.openai.com:443", check=False)
    assert foreign.returncode != 0


def test_the_host_reaches_a_published_port(dual: Running, docker: FencedDocker) -> None:
    """Through the way in, on loopback, not later than a second or two after the service is healthy."""
    again = ("--retry", "2", "--retry-delay", "1", "--retry-all-errors")
    done = docker.host_network("curl", "-fsS", *again, "--noproxy", "*", "-m", "5", "http://127.0.0.1:28789/healthz")

    assert done.returncode == 0, done.stderr


def test_the_state_of_a_gateway_outlives_a_restart(dual: Running) -> None:
    """Of both its volumes; what lies beside them in the home folder may be written, and is gone."""
    written = "echo kept | tee ~/.openclaw/note ~/.config/openclaw/note ~/.config/other ~/other"
    dual.run("openclaw", "sh", "-c", written)

    dual.compose("restart", "--timeout", "5", "openclaw")

    kept = dual.run("openclaw", "sh", "-c", "cat ~/.openclaw/note ~/.config/openclaw/note; ls ~/.config").stdout
    assert kept.split() == ["kept", "kept", "openclaw"]


def test_a_request_passes_through_headroom_to_the_model(gateway: Running) -> None:
    """Both have seen it, and the agent has done its work."""
    done = gateway.run("claude", *CLAUDE, check=False)

    assert done.returncode == 0, f"{done.stdout}{done.stderr}{gateway.log('headroom')[-4000:]}"
    assert (gateway.workspace / "greeting.txt").read_text() == f"{TASK}\n"
    assert "POST /v1/messages" in gateway.log("model-mock")
    assert "/v1/messages" in gateway.log("headroom")
    assert "api.anthropic.com" in gateway.log("headroom-egress")


def test_openclaw_works_through_headroom(gateway: Running) -> None:
    """Its configuration is put in place before it starts, and its request is seen by both."""
    (gateway.workspace / "greeting.txt").unlink(missing_ok=True)
    before = gateway.log("model-mock").count("POST")
    # The gateway holds its state folder, so that a run beside it has one of its own with the same configuration.
    alone = "export OPENCLAW_STATE_DIR=$(mktemp -d) && cp ~/.openclaw/openclaw.json $OPENCLAW_STATE_DIR/"
    task = "OPENAI_API_KEY=none-needed openclaw agent --local --agent main --message 'Write a greeting.'"
    asked = f"{alone} && {task}"
    done = gateway.run("openclaw", "sh", "-c", asked, check=False)

    assert done.returncode == 0, f"{done.stdout}{done.stderr}{gateway.log('headroom')[-4000:]}"
    assert gateway.log("model-mock").count("POST") > before
    assert (gateway.workspace / "greeting.txt").read_text() == f"{TASK}\n"


def test_agents_behind_headroom_reach_no_model_themselves(gateway: Running) -> None:
    """They have no proxy, and the name of a model's host means nothing to them."""
    for name in ("claude", "openclaw"):
        done = gateway.run(name, "curl", "-sS", "-m", "5", "http://api.anthropic.com:443/v1/models", check=False)
        assert done.returncode != 0, name
        done = gateway.run(
            name,
            "curl",
            "-sS",
            "-m",
            "5",
            "-x",
            "http://headroom-egress:3128",
            "http://api.anthropic.com:443",
            check=False,
        )
        assert done.returncode != 0, name


@pytest.mark.parametrize("name", ["solo-claude", "dual-agent", "gateway-headroom"])
def test_down_with_volumes_leaves_nothing(
    name: str, client: Agc, docker: FencedDocker, images: None, request: pytest.FixtureRequest
) -> None:
    """No container, no volume, no network."""
    fixture = {"solo-claude": "solo", "dual-agent": "dual", "gateway-headroom": "gateway"}[name]
    running: Running = request.getfixturevalue(fixture)
    assert running.left()

    down = client("down", name, "-v", "--file", running.override, "--timeout", "5", project=running.folder)

    assert down.code == 0, down.stderr
    assert running.left() == []


# Below here stacks are started again under the names of those above, which are down by now.


def test_a_workspace_of_somebody_else_is_refused(
    client: Agc, docker: FencedDocker, images: None, tmp_path: Path
) -> None:
    """The log says whose it is and what to do; nothing is written to it."""
    folder = project_with(tmp_path, KEYS, "solo-claude")
    os.chown(folder / "workspace", 4242, 4242)
    with started("solo-claude", folder, client, docker, {}) as running:
        assert running.report.code == 9
        log = running.log("claude")

    assert "/workspace belongs to user 4242, and this container runs as user 1000" in log
    assert "chown -R 1000:1000" in log
    assert list((folder / "workspace").iterdir()) == []


def test_a_required_secret_that_is_empty_is_refused(
    client: Agc, docker: FencedDocker, images: None, tmp_path: Path
) -> None:
    """By its name, and with where to write it."""
    folder = project_with(tmp_path, {"OPENCLAW_GATEWAY_TOKEN": ""}, "dual-agent")
    with started("dual-agent", folder, client, docker, {}) as running:
        assert running.report.code == 9
        log = running.log("openclaw")

    assert "the secret OPENCLAW_GATEWAY_TOKEN is required: write it to secrets/OPENCLAW_GATEWAY_TOKEN" in log


def test_the_examples_of_the_page_about_stacks_work(
    client: Agc, docker: FencedDocker, images: None, tmp_path: Path
) -> None:
    """As somebody who copies them would run them, in a project where nothing was made before."""
    for name in ("definitions/stacks", "deploy/compose"):
        shutil.copytree(CHECKOUT / name, tmp_path / name)
    page = (CHECKOUT / "docs" / "how-to" / "compose.md").read_text(encoding="utf-8")
    script = as_script(list(examples(page, WITH_DOCKER)))
    assert "agc up solo-claude" in script
    variables = client.variables()
    variables["PATH"] = f"{AGC.parent}:{variables['PATH']}"
    with stack_left(tmp_path / "deploy" / "compose" / "solo-claude", client):
        done = subprocess.run(
            ["sh", "-c", script], check=False, capture_output=True, text=True, timeout=600, env=variables, cwd=tmp_path
        )

    assert done.returncode == 0, done.stderr
    assert "solo-claude is up" in done.stdout
    assert (tmp_path / "workspace").stat().st_uid == 1000
    assert docker("volume", "ls", "--quiet", "--filter", "label=com.docker.compose.project=solo-claude").stdout == ""


def editor(folder: Path, name: str, client: Agc, docker: FencedDocker) -> Cli:
    """Return the devcontainers CLI in a project with one stack, from files as they are generated."""
    for part in ("definitions/stacks", "deploy/compose", "deploy/devcontainers/stacks"):
        shutil.copytree(CHECKOUT / part, folder / part)
    file = folder / "deploy" / "devcontainers" / "stacks" / name / "devcontainer.json"
    return Cli(devcontainer_command(), docker, folder, file, client.variables()["PATH"])


def test_an_editor_opens_a_stack(client: Agc, docker: FencedDocker, images: None, tmp_path: Path) -> None:
    """What must be there is made; fence and start script are the stack's."""
    cli = editor(tmp_path / "project", "solo-claude", client, docker)
    stack = cli.folder / "deploy" / "compose" / "solo-claude"
    with stack_left(stack, client):
        told = cli.up()
        (stack / "secrets" / "ANTHROPIC_API_KEY").write_text("canary-5c1d-key")
        cli.inside("sh", "-c", "id -un > opened && touch ~/.claude/mine")
        again = cli.up()
        refused = cli.inside("sh", "-c", "curl -sS -m 10 -o /dev/null -w '%{http_code}' http://example.com || true")
        key = cli.inside("/run/agc/enter", "sh", "-c", 'echo "$ANTHROPIC_API_KEY"')
        (found,) = json.loads(docker("inspect", told["containerId"]).stdout)

    assert (told["outcome"], told["remoteUser"], told["remoteWorkspaceFolder"]) == ("success", "dev", "/workspace")
    assert again["containerId"] == told["containerId"]
    assert (cli.folder / "workspace" / "opened").read_text() == "dev\n"
    assert (refused, key) == ("403", "canary-5c1d-key")
    assert found["HostConfig"]["ReadonlyRootfs"] is True
    assert found["HostConfig"]["CapDrop"] == ["ALL"]


@pytest.mark.parametrize(
    ("name", "service", "others"),
    [
        ("dual-agent", "claude", {"openclaw", "claude-egress"}),
        ("gateway-headroom", "openclaw", {"headroom", "headroom-egress"}),
    ],
)
def test_an_editor_opens_one_of_several_services(
    name: str, service: str, others: set[str], client: Agc, docker: FencedDocker, images: None, tmp_path: Path
) -> None:
    """In the agent that the stack is about; what that agent needs runs beside it and is well."""
    cli = editor(tmp_path / "project", name, client, docker)
    label = '{{index .Config.Labels "com.docker.compose.service"}}'
    with stack_left(cli.folder / "deploy" / "compose" / name, client):
        told = cli.up()
        cli.inside("sh", "-c", "id -un > opened")
        opened = docker("inspect", "--format", label, told["containerId"]).stdout.strip()

        def well() -> set[str]:
            healthy = ["--filter", f"label=com.docker.compose.project={name}", "--filter", "health=healthy"]
            return set(docker("ps", *healthy, "--format", '{{.Label "com.docker.compose.service"}}').stdout.split())

        wait_for(f"{others} of {name}", lambda: others <= well(), HEALTHY_WITHIN)

    assert (told["outcome"], told["remoteUser"], opened) == ("success", "dev", service)
    assert (cli.folder / "workspace" / "opened").read_text() == "dev\n"
