"""Threads that work ahead: the order, the errors and the end are those of a plain loop, and no thread stays behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from oneglance.ahead import in_background, mapped


def left_over() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("oneglance-ahead")]


def test_background_gives_the_same_in_the_same_order() -> None:
    assert list(in_background(range(1000), 3)) == list(range(1000))
    assert list(in_background([], 1)) == []
    assert list(in_background([None, False], 1)) == [None, False]
    assert left_over() == []


def test_background_raises_at_its_place() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("three")

    items = in_background(broken(), 5)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="three"):
        next(items)
    assert left_over() == []


def test_background_is_bounded_and_stops_when_nobody_wants_more() -> None:
    drawn: list[int] = []
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                drawn.append(len(drawn))
                yield drawn[-1]
        finally:
            closed.set()

    items = in_background(endless(), 4)
    assert next(items) == 0
    time.sleep(0.2)
    assert len(drawn) <= 6  # one taken, four waiting, one in hand
    items.close()
    assert closed.is_set()
    assert left_over() == []


def test_mapped_keeps_order_whatever_takes_longest() -> None:
    def slow(item: int) -> int:
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item * item

    assert [(item, done.result()) for item, done in mapped(slow, range(20), 4, 6)] == [(k, k * k) for k in range(20)]
    assert left_over() == []


def test_mapped_keeps_errors_with_their_items_and_goes_on() -> None:
    def odd(item: int) -> int:
        if item % 2:
            raise ValueError(item)
        return item

    errors = [done.exception() for _, done in mapped(odd, range(4), 2, 2)]
    assert [type(error) for error in errors] == [type(None), ValueError, type(None), ValueError]


def test_mapped_draws_no_more_than_it_may_and_calls_off_the_rest() -> None:
    drawn: list[int] = []

    def source() -> Iterator[int]:
        for k in range(1000):
            drawn.append(k)
            yield k

    items = mapped(lambda k: k, source(), 2, 5)
    next(items)
    assert len(drawn) == 6
    items.close()
    assert left_over() == []
