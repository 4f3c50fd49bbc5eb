"""Which images make up a batch: all sources in every batch, in the user's shares, drawn without replacement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from oneglance.errors import OneglanceError


class MixingSettings(BaseModel):
    """How often each source is looked at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Literal["proportional", "equal", "temperature"] = Field(
        "proportional",
        description="`proportional`: every image once an epoch; `equal`: every source as often; `temperature`: shares "
        "go with the number of images to the power 1 / temperature.",
    )
    temperature: float = Field(2.0, ge=1, description="1: proportional; large: equal. Only for `temperature`.")
    weights: dict[str, float] = Field(
        default_factory=dict,
        description="A factor on the share of a source, by the source's name (default 1; of sources joined by their "
        "images: the first that has one).",
    )

    repeat: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Repeat factors (LVIS): images with a class that fewer than this share of the images hold are "
        "looked at sqrt(repeat / share) times as often; 0: none.",
    )
    epoch: int | None = Field(
        None, ge=1, description="Images an epoch, over all sources; default: as many as there are."
    )

    @field_validator("weights")
    @classmethod
    def _not_negative(cls, value: dict[str, float]) -> dict[str, float]:
        for name, weight in value.items():
            if not 0 <= weight < float("inf"):
                raise ValueError(f"{name}: must be 0 or more, not {weight:g}")
        return value

    def shares(self, counts: Mapping[str, int]) -> dict[str, float]:
        """The share of each source in a batch, summing to 1, from its number of images (all > 0)."""
        power = {"proportional": 1.0, "equal": 0.0, "temperature": 1 / self.temperature}[self.rule]
        raw = {name: count**power * self._weight(name) for name, count in counts.items()}
        total = sum(raw.values())
        if not total > 0:
            raise OneglanceError("mixing.weights: all sources have the weight 0; there is nothing to train on")
        return {name: value / total for name, value in raw.items()}

    def _weight(self, name: str) -> float:
        return next((self.weights[part] for part in (name, *name.split("+")) if part in self.weights), 1.0)


@dataclass(frozen=True)
class Draw:
    """One image to be looked at: its row in the manifest, and the number of the draw since training began, which seeds
    its augmentation."""

    row: int
    number: int


class MixedBatches:
    """Batches of draws: a sampler for the loader. The same seed gives the same batches, from whatever step it starts.

    Each source is gone through in permutation after permutation; the draws of an epoch are spread so evenly that every
    batch holds each source in nearly its share. Memory: one int64 a row.

    Args:
        sources: row numbers, int64, by source.
        length: draws an epoch; default: the number of rows.
        rank, world: this process takes every ``world``-th draw of a batch.
        parts: each batch comes in so many parts, one after another, each with nearly every source's share.
        apart: sources whose images must not be in one part with others', by a number from 0 on that those which go
            together have in common; each part then comes in as many parts as there are numbers, empty ones too.
    """

    def __init__(
        self,
        sources: Mapping[str, np.ndarray],
        batch: int,
        settings: MixingSettings,
        *,
        seed: int,
        length: int | None = None,
        rank: int = 0,
        world: int = 1,
        parts: int = 1,
        apart: Mapping[str, int] | None = None,
    ) -> None:
        self.sources = {name: rows for name, rows in sources.items() if len(rows)}
        if not self.sources:
            raise ValueError("there is not a single labelled image to draw from")
        self.batch, self.seed, self.rank, self.world = batch, seed, rank, world
        self._parts = parts
        self._numbers = np.array([(apart or {}).get(name, 0) for name in self.sources])
        self._kinds = 1 + max((apart or {}).values(), default=0)
        counts = {name: len(rows) for name, rows in self.sources.items()}
        total = length or sum(counts.values())
        self.batches = max(1, round(total / batch))
        shares = settings.shares(counts)
        self._counts = _whole(np.array([shares[name] for name in self.sources]) * self.batches * batch)
        self.epoch, self.start = 0, 0

    @property
    def draws(self) -> dict[str, int]:
        """Images of each source that an epoch looks at."""
        return {name: int(count) for name, count in zip(self.sources, self._counts, strict=True)}

    def seek(self, epoch: int, start: int) -> None:
        """The next iteration gives epoch ``epoch`` from its batch ``start`` on."""
        self.epoch, self.start = epoch, start

    @property
    def parts(self) -> int:
        """Parts that a batch comes in."""
        return self._parts * self._kinds

    def __len__(self) -> int:
        return (self.batches - self.start) * self.parts

    def __iter__(self) -> Iterator[list[Draw]]:
        rows, kinds = (one.reshape(self.batches, self.batch) for one in self._draws(self.epoch))
        first = self.epoch * rows.size
        for number in range(self.start, self.batches):
            at = first + number * self.batch
            own = range(self.rank, self.batch, self.world)
            # Neighbours, and not every n-th: where two sources take turns, each part would hold one of them.
            ends = [len(own) * part // self._parts for part in range(self._parts + 1)]
            for start, end in pairwise(ends):
                for kind in range(self._kinds):
                    yield [Draw(int(rows[number, k]), at + k) for k in own[start:end] if kinds[number, k] == kind]

    def _draws(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The epoch's rows in order, int64 [batches * batch], and which must not be in one part, by number."""
        rows, places = [], []
        for k, ((_, source), count) in enumerate(zip(self.sources.items(), self._counts, strict=True)):
            rows.append(source[self._cycle(k, len(source), epoch * count, count)])
            offset = np.random.default_rng([self.seed, 1, epoch, k]).random()
            places.append((np.arange(count) + offset) / max(count, 1))
        order = np.argsort(np.concatenate(places), kind="stable")
        kinds = np.repeat(self._numbers, self._counts)
        return np.concatenate(rows)[order], kinds[order]

    def _cycle(self, source: int, size: int, start: int, count: int) -> np.ndarray:
        """Entries start .. start+count of an endless row of permutations of ``size`` things."""
        first, last = start // size, (start + count - 1) // size if count else start // size
        endless = [np.random.default_rng([self.seed, 2, source, k]).permutation(size) for k in range(first, last + 1)]
        return np.concatenate(endless)[start - first * size :][:count]


def _whole(shares: np.ndarray) -> np.ndarray:
    """Whole numbers next to the shares, with the same sum (largest remainders)."""
    whole = np.floor(shares).astype(np.int64)
    missing = round(float(shares.sum())) - int(whole.sum())
    whole[np.argsort(whole - shares, kind="stable")[:missing]] += 1
    return whole
