"""A registry that answers anything at all: a clear error or a whole image, in time, and no login at another host."""

from __future__ import annotations

import random
import resource
import time
from pathlib import Path

import httpx
import pytest

from pipeline.catalog.credentials import Credentials
from pipeline.catalog.patience import Patience
from pipeline.errors import AgcError, ExitCode
from tests.registry.hostile import TOKEN, Hostile, fishing, twists
from tests.registry.images import about, blob, image, publish
from tests.registry.server import PASSWORD, USER

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

LOGIN: str = httpx.BasicAuth(USER, PASSWORD)._auth_header
SECRETS = (PASSWORD, TOKEN, LOGIN.removeprefix("Basic "), "c4n4ry")
HASTE = Patience(whole=0.4, first=0.01, longest=0.05, stranger=0.4)
MOST_SECONDS = 8
MOST_MEMORY = 120 << 20


@pytest.mark.parametrize("seed", range(126))
def test_whatever_is_answered_is_a_clear_error_or_does_no_harm(
    tmp_path: Path, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """An error of ours that says where, with no secret in it."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    plain = image(tmp_path, [blob("a")], ["linux/amd64"])
    made = type(plain)(plain.layout, plain.manifests, referrers=[about(plain.top[0], "sbom")])
    heard: list[str] = []
    failed: AgcError | None
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with fishing(heard) as elsewhere:
        kinds = twists(elsewhere, chance)
        name = list(kinds)[seed % len(kinds)]
        with Hostile(kinds[name], chance.randrange(1, 40), chance.random() < 0.5, LOGIN).run() as hostile:
            try:
                publish({"one": made}, f"{hostile.address}/ns", patience=HASTE, credentials=Credentials(USER, PASSWORD))
            except AgcError as error:
                failed, told = error, f"{error} {error.remedy} {error!r}"
            else:
                failed, told = None, ""
                assert {"1.0", "2026.11.21", "latest"} <= hostile.memory.tags("ns/one").keys()

    if failed:
        assert failed.exit_code is ExitCode.OUTPUT
        assert hostile.address in told or elsewhere in told
    assert time.monotonic() - started < MOST_SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MOST_MEMORY
    assert not [words for words in heard if "authorization" in words.lower() or PASSWORD in words]
    written = capfd.readouterr()
    assert not [secret for secret in SECRETS if secret in f"{told} {written.out} {written.err}"]
