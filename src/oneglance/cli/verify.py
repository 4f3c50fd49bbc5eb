"""Every image and every mask of a manifest, decoded by worker processes. Imports neither torch nor pydantic,
so that a worker starts at once and is small."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from oneglance.annotations import Record, Segments
from oneglance.decode import ImageError, decode, decode_mask
from oneglance.errors import OneglanceError, bare

#: Fewer images than this are decoded here: starting workers would take longer.
FEW = 200
CHUNK = 16


@dataclass(frozen=True)
class Item:
    """What is to be looked at: an image, its size as the manifest has it, its masks (task, file, classes)."""

    path: str
    width: int
    height: int
    masks: tuple[tuple[str, str, tuple[tuple[int, str], ...]], ...] = ()


@dataclass
class Finding:
    """What was found: (where, what) of each fault; and by task, the pixels of each class of the mask."""

    faults: list[tuple[str, str]] = field(default_factory=list)
    pixels: dict[str, dict[str, int]] = field(default_factory=dict)


def item_of(record: Record) -> Item:
    """What of a record there is to look at."""
    masks = tuple(
        (task, str(one.path), one.values)
        for task, one in record.annotations.items()
        if isinstance(one, Segments) and one.path is not None
    )
    return Item(str(record.path), record.width, record.height, masks)


def look(item: Item) -> Finding:
    """Decode an image and its masks."""
    finding = Finding()
    size = (item.width, item.height)
    try:
        image = decode(item.path)
        if all(size) and (image.shape[1], image.shape[0]) != size:
            said = f"{image.shape[1]}x{image.shape[0]} pixels, its labels are for {size[0]}x{size[1]}"
            finding.faults.append((item.path, said))
    except ImageError as error:
        finding.faults.append((item.path, bare(error, item.path)))
    for task, path, values in item.masks:
        try:
            mask = decode_mask(path)
        except ImageError as error:
            finding.faults.append((path, bare(error, path)))
            continue
        if all(size) and (mask.shape[1], mask.shape[0]) != size:
            said = f"the mask is {mask.shape[1]}x{mask.shape[0]}, its image {size[0]}x{size[1]}"
            finding.faults.append((path, said))
        found = dict(zip(*(part.tolist() for part in np.unique(mask, return_counts=True)), strict=True))
        finding.pixels[task] = {name: found[value] for value, name in values if value in found}
    return finding


def look_at_all(items: Iterable[Item], count: int, workers: int | None = None) -> Iterator[Finding]:
    """The findings of ``count`` items, in no order. No more than a few hundred items are held at a time."""
    workers = workers if workers is not None else max(1, len(os.sched_getaffinity(0)) - 1)
    if count < FEW or workers == 0:
        yield from map(look, items)
        return
    # Not forked: torch's threads may be running by now.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start) as pool:
        source = iter(items)
        chunks = iter(lambda: tuple(islice(source, CHUNK)), ())
        running: dict[Future[list[Finding]], str] = {}
        while True:
            for chunk in islice(chunks, max(0, 4 * workers - len(running))):
                running[pool.submit(_look_at, chunk)] = chunk[0].path
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                first = running.pop(future)
                try:
                    yield from future.result()
                except BrokenProcessPool as error:
                    raise OneglanceError(
                        f"a worker process died (out of memory?) near {first}; --workers 1 needs least memory"
                    ) from error


def _look_at(chunk: tuple[Item, ...]) -> list[Finding]:
    return [look(item) for item in chunk]


def _start() -> None:
    # Ctrl-C is the main process's affair; it ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
