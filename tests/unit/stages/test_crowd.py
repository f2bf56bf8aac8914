"""Many images are worked on side by side, and all failures come together at the end."""

from __future__ import annotations

import anyio
import pytest

from pipeline.errors import BuildError, EngineError, ErrorGroup
from pipeline.stages.crowd import SIDE_BY_SIDE, for_each


async def _fail_odd(number: int) -> int:
    if number % 2:
        raise BuildError(f"step {number} failed")
    return number * 10


def test_results_come_in_the_order_of_the_items() -> None:
    """Whichever ends first."""

    async def work(number: int) -> int:
        await anyio.sleep(0.01 * (3 - number))
        return number * 10

    assert anyio.run(for_each, (1, 2, 3), work, str) == (10, 20, 30)


def test_one_failure_stops_no_other_and_each_says_whose_it_is() -> None:
    """Three of five fail; two others still ran, and three errors come out."""
    done: list[int] = []

    async def work(number: int) -> int:
        done.append(number)
        return await _fail_odd(number)

    with pytest.raises(ErrorGroup) as caught:
        anyio.run(for_each, (1, 2, 3, 4, 5), work, lambda number: f"image-{number}")

    assert sorted(done) == [1, 2, 3, 4, 5]
    assert [str(error) for error in caught.value.errors] == [
        "image-1: step 1 failed",
        "image-3: step 3 failed",
        "image-5: step 5 failed",
    ]


def test_a_single_image_s_failure_comes_as_it_is() -> None:
    """Nobody has to be told which one it was."""
    with pytest.raises(BuildError, match=r"^step 1 failed$"):
        anyio.run(for_each, (1,), _fail_odd, str)


def test_only_so_many_are_under_way_at_once() -> None:
    """A matrix of hundreds starts no hundreds of processes."""
    under_way, most = 0, 0

    async def work(_number: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await anyio.sleep(0.001)
        under_way -= 1

    anyio.run(for_each, range(20), work, str)

    assert most == SIDE_BY_SIDE


def test_what_befell_several_at_once_is_told_once() -> None:
    """No engine is one failure, however many images wait for it."""
    gone = EngineError("no engine")

    async def work(item: int) -> int:
        if item:
            raise gone
        return item

    with pytest.raises(EngineError, match=r"^no engine$"):
        anyio.run(for_each, (0, 1, 2), work, str)
