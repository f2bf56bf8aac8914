"""A registry and a network that fail: the push gets through, or ends in time with its tags as they were."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.catalog.patience import Patience
from pipeline.errors import OutputError
from tests.registry.images import about, blob, image, publish
from tests.registry.proxy import Fault, Proxy
from tests.registry.server import Registry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

LARGE = 9 << 20
FAULTS: Mapping[str, Fault] = {
    "dropped": Fault(cut_request=0),
    "cut-request": Fault(cut_request=100),
    "cut-answer": Fault(cut_answer=0),
    "half-answer": Fault(cut_answer=40),
    "429": Fault(status=429, headers=(("Retry-After", "0"),)),
    "500": Fault(status=500),
    "503-dated": Fault(status=503, headers=(("Retry-After", "Sat, 21 Nov 2020 07:28:00 GMT"),)),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_at_any_call_is_got_over(registry: Registry, tmp_path: Path, fault: Fault) -> None:
    """Each call of a push fails once in turn; the registry ends as after a push that nothing disturbed."""
    made = image(tmp_path, [blob("a"), blob("b")], ["linux/amd64"])
    top, _ = made.top
    made = type(made)(made.layout, made.manifests, referrers=[about(top, "sbom")])
    with Proxy(registry.address).run() as proxy:
        undisturbed = publish({"one": made}, f"{proxy.address}/plain")["one"]
        calls = len(proxy.heard)
    expected = registry.state("plain")["plain/one"]
    assert calls > 25

    for failing in range(1, calls + 1):
        with Proxy(registry.address, lambda number, *_, n=failing: fault if number == n else None).run() as proxy:
            done = publish({"one": made}, f"{proxy.address}/n{failing}")["one"]
        assert done.digest == undisturbed.digest
        assert registry.state(f"n{failing}")[f"n{failing}/one"] == expected
    registry.check_whole(f"n{calls}/one", "latest")


@pytest.mark.parametrize("cut", [0, 1, 5 << 20, LARGE - 1])
def test_a_large_blob_that_is_cut_off_is_sent_on_or_again(registry: Registry, tmp_path: Path, cut: int) -> None:
    """Never more than twice, where it is cut once."""
    made = image(tmp_path, [blob("large", LARGE)], ["linux/amd64"])
    cuts = iter([Fault(cut_request=cut)])

    with Proxy(registry.address, lambda _n, method, _p: next(cuts, None) if method == "PATCH" else None).run() as proxy:
        publish({"one": made}, f"{proxy.address}/ns")

    assert proxy.blob_bytes <= 2 * LARGE + 2000
    registry.check_whole("ns/one", "latest")


def test_a_registry_that_stays_busy_ends_the_push_in_time(registry: Registry, tmp_path: Path) -> None:
    """With what it said; no tag was moved."""
    made = image(tmp_path, [blob("a")])
    started = time.monotonic()

    refusing = Proxy(registry.address, lambda _n, method, _p: Fault(status=503) if method == "PUT" else None)
    with refusing.run() as proxy, pytest.raises(OutputError, match="HTTP 503"):
        publish({"one": made}, f"{proxy.address}/ns", patience=Patience(1.0, 0.01, 0.1, 1.0))

    assert time.monotonic() - started < 10
    assert registry.state() == {}


def test_a_registry_that_wants_more_time_than_there_is_ends_the_push_at_once(
    registry: Registry, tmp_path: Path
) -> None:
    """An hour is not waited for."""
    busy = Fault(status=429, headers=(("Retry-After", "3600"),))
    started = time.monotonic()

    refusing = Proxy(registry.address, lambda *_: busy)
    with refusing.run() as proxy, pytest.raises(OutputError, match="HTTP 429") as caught:
        publish({"one": image(tmp_path, [blob("a")])}, f"{proxy.address}/ns")

    assert time.monotonic() - started < 5
    assert caught.value.remedy == "run it again later"


def test_the_time_a_registry_asks_for_is_given(registry: Registry, tmp_path: Path) -> None:
    """The next call comes a second later, not sooner."""
    once = iter([Fault(status=429, headers=(("Retry-After", "1"),))])
    started = time.monotonic()

    with Proxy(registry.address, lambda *_: next(once, None)).run() as proxy:
        publish({"one": image(tmp_path, [blob("a")])}, f"{proxy.address}/ns")

    assert time.monotonic() - started >= 1


def test_slow_answers_are_waited_for(registry: Registry, tmp_path: Path) -> None:
    """Each takes a while, and none is asked for twice."""
    made = image(tmp_path, [blob("a")])

    with Proxy(registry.address, lambda *_: Fault(seconds=0.05)).run() as proxy:
        publish({"one": made}, f"{proxy.address}/ns")

    posts = [call for call in proxy.heard if call.method == "POST"]
    assert len(posts) == 3
