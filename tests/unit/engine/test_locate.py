"""Addresses of BuildKit, and the arguments and digest of its container."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from pipeline.engine.buildkit.container import create_arguments, failure, settings_digest
from pipeline.engine.buildkit.locate import Kind, check_answers, connect
from pipeline.errors import EngineError
from pipeline.settings import Settings


@pytest.mark.parametrize("address", ["", "localhost:1234", "http://localhost:1234", "/run/buildkitd.sock"])
def test_what_is_no_address_is_refused_with_the_known_schemes(address: str) -> None:
    """The message lists what an address may start with."""
    with pytest.raises(EngineError, match="unix://, tcp://, docker-container://"):
        check_answers(address)


@pytest.mark.parametrize("address", ["tcp://host.example", "tcp://host.example:port"])
def test_an_address_without_a_port_is_an_error_not_a_crash(address: str) -> None:
    """What cannot be connected to is named."""
    with pytest.raises(EngineError, match=address):
        check_answers(address)


def test_an_address_that_only_buildctl_can_reach_is_passed_on(tmp_path: Path) -> None:
    """Containers and pods are reached by buildctl's helpers; mirrors, proxies and CA go along."""
    buildctl = tmp_path / "buildctl"
    settings = Settings.model_validate(
        {
            "cache": tmp_path,
            "ca-bundle": "/ca.pem",
            "mirrors": {"docker.io": "http://mirror.example:5000", "https://pypi.org/": "https://pypi.example/"},
            "proxy": {"http": "http://proxy.example:3128"},
            "engine": {"host": "kube-pod://builder", "buildctl": buildctl},
        }
    )

    located = anyio.run(connect, settings, print)

    assert located.kind is Kind.CONFIGURED
    assert (located.engine.address, located.engine.buildctl) == ("kube-pod://builder", buildctl)
    assert located.engine.ca_bundle == Path("/ca.pem")
    assert located.engine.wiring.mirrored("docker.io/library/debian") == "mirror.example:5000/library/debian"
    assert located.engine.wiring.mirrored("https://pypi.org/x") == "https://pypi.example/x"
    assert located.engine.wiring.proxies == {"http_proxy": "http://proxy.example:3128"}


def test_a_container_is_privileged_and_may_use_the_host_network() -> None:
    """Options come before the image, buildkitd's own arguments after it."""
    arguments = create_arguments("image:1", {"http_proxy": "http://proxy.example:3128"}, "sha256:1")

    before, after = arguments[: arguments.index("image:1")], arguments[arguments.index("image:1") + 1 :]
    assert {"--privileged", "--network=host", "--env=http_proxy=http://proxy.example:3128"} <= set(before)
    assert "--allow-insecure-entitlement=network.host" in after


def test_another_image_or_ca_is_another_container(tmp_path: Path) -> None:
    """The content of the bundle counts, not its path."""
    bundle = tmp_path / "ca.pem"
    bundle.write_text("one")
    moved = tmp_path / "moved.pem"
    moved.write_text("one")
    plain = Settings(cache=tmp_path)
    one = plain.model_copy(update={"ca_bundle": bundle})
    before = settings_digest(one)

    assert settings_digest(plain) != before
    bundle.write_text("two")
    assert settings_digest(one) != before


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("Error response from daemon: no such image\nError: failed to start containers: x\n", "no such image"),
        ("Trying to pull x...\nError: connection refused\n", "connection refused"),
        ("permission denied\n", "permission denied"),
        ("", "it said nothing"),
    ],
)
def test_the_cause_is_picked_from_what_docker_said(said: str, cause: str) -> None:
    """Progress before it and summaries after it are left out."""
    assert failure(said).endswith(cause)
