"""Work done ahead of its user in threads, bounded: what decodes and what computes need not wait for each other.

Threads, not processes: PIL, OpenCV and torch let go of Python's lock while they work.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")
U = TypeVar("U")

#: A thread that waits looks this often (seconds) whether anybody still wants what it has.
_LOOK = 0.1


def in_background(items: Iterable[T], depth: int) -> Generator[T]:
    """The same items in the same order, drawn from ``items`` by a thread of its own, at most ``depth`` ahead.

    What ``items`` raises is raised here, at its place in the order. Closing this generator (or leaving its loop by an
    exception and dropping it) stops the thread after the item it is at, and closes ``items`` there if it can be.
    """
    waiting: queue.Queue[tuple[bool, Any]] = queue.Queue(depth)
    stop = threading.Event()

    def put(entry: tuple[bool, Any]) -> None:
        while not stop.is_set():
            with suppress(queue.Full):
                waiting.put(entry, timeout=_LOOK)
                return

    def draw() -> None:
        try:
            for item in items:
                put((True, item))
                if stop.is_set():
                    break
            put((False, None))
        except BaseException as error:
            put((False, error))
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=draw, name="oneglance-ahead", daemon=True)
    thread.start()
    try:
        while True:
            good, item = waiting.get()
            if good:
                yield item
            elif item is None:
                return
            else:
                raise item
    finally:
        stop.set()
        # A camera that no longer answers may hold its thread for long; nobody else need wait for that.
        thread.join(timeout=2)


def mapped(function: Callable[[T], U], items: Iterable[T], threads: int, depth: int) -> Generator[tuple[T, Future[U]]]:
    """Each item with its finished ``function(item)``, in the items' order, computed by ``threads`` threads.

    At most ``depth`` items are drawn ahead of the one that is handed out. The future's ``result()`` returns at once, or
    raises what the function raised for this item. Closing the generator calls off what has not begun.
    """
    pending: deque[tuple[T, Future[U]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="oneglance-ahead")
    try:
        for item in items:
            pending.append((item, pool.submit(function, item)))
            if len(pending) > depth:
                yield _finished(pending)
        while pending:
            yield _finished(pending)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finished(pending: deque[tuple[T, Future[U]]]) -> tuple[T, Future[U]]:
    item, future = pending.popleft()
    future.exception()  # waits
    return item, future
