"""Objects keep their numbers from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oneglance.annotations import FloatArray
from oneglance.tracking.association import Array, Rows, assign, iou_matrix, with_looks
from oneglance.tracking.motion import Motion
from oneglance.tracking.settings import TrackSettings

#: An object must have more than this IoU with where a track was expected.
_OVERLAP = 0.1
#: How much of a track's looks stays when it is seen again (as BoT-SORT has it).
_MEMORY = 0.9
#: No number: an object that belongs to no track (yet).
NONE = 0


class Tracker:
    """Gives the objects of a film's frames numbers, from 1, that stay theirs.

    ByteTrack (Zhang et al. 2022): sure detections are paired with tracks first, then unsure ones with the tracks that
    are left, so that an object that is half hidden keeps its number; but only sure ones start a track. Differences: no
    pair is made across classes; noise and memory are by seconds, so that frames may be at any times; the motion is
    like BoT-SORT's (Aharon et al. 2022); of sure detections, looks count as much as places, where they are known; an
    unsure detection may bring back a lost track, and overlaps may be small (more numbers are kept so in scenes of
    objects that hide each other: benchmarks/tracking.py). A new track gets its number when it is seen in two frames
    running, but for those of the very first frame.

    Memory and time grow with the objects of the last ``settings.lost`` seconds, not with the film.
    """

    def __init__(self, settings: TrackSettings | None = None) -> None:
        self.settings = settings or TrackSettings()
        self._motion = Motion()
        self._numbers: NDArray[np.int64] = np.zeros(0, np.int64)  # NONE: seen once, not confirmed
        self._classes: NDArray[np.int64] = np.zeros(0, np.int64)
        self._seen: Array = np.zeros(0)  # when, in seconds
        self._lost: NDArray[np.bool_] = np.zeros(0, bool)
        self._looks: Array = np.zeros((0, 0))
        self._codes: dict[str, int] = {}
        self._given = 0
        self._now: float | None = None

    def update(
        self,
        seconds: float,
        boxes: FloatArray,
        scores: FloatArray,
        classes: Sequence[str],
        vectors: FloatArray | None = None,
    ) -> NDArray[np.int64]:
        """The numbers of one frame's objects, int64 [N]; 0: none, as of one that is unsure or was not seen before.

        Args:
            seconds: the frame's time; never before that of the frame before it.
            boxes: float [N, 4], ``x1 y1 x2 y2``.
            scores: float [N].
            classes: N names.
            vectors: what the objects look like, float [N, D]; rows of NaN, or None: nobody knows.

        Raises ValueError where these do not fit each other, and where time goes back.
        """
        places: Array = np.asarray(boxes, np.float64).reshape(-1, 4)
        count = len(places)
        if not len(scores) == len(classes) == count or (vectors is not None and len(vectors) != count):
            raise ValueError(f"{count} boxes, {len(scores)} scores, {len(classes)} classes: must be as many")
        first = self._now is None
        passed = 0.0 if self._now is None else seconds - self._now
        if not passed >= 0:
            raise ValueError(f"a frame at {seconds:g} s after one at {self._now:g} s: time must not go back")
        self._now = seconds
        codes = np.array([self._codes.setdefault(name, len(self._codes)) for name in classes], np.int64)
        looks = self._unit(vectors, count)

        self._motion.predict(passed, self._lost)
        usable = np.asarray(np.isfinite(places).all(axis=1))
        places = np.where(usable[:, None], places, 0.0)
        sure: NDArray[np.bool_] = usable & np.greater_equal(scores, self.settings.start)
        unsure: NDArray[np.bool_] = usable & np.greater_equal(scores, self.settings.keep) & ~sure
        known: NDArray[np.bool_] = np.not_equal(self._numbers, NONE)
        same = np.equal(self._classes[:, None], codes[None])
        cost: Array = np.where(same, 1 - iou_matrix(self._motion.boxes(), places), 1.0)
        track_of = np.full(count, -1, np.int64)

        def pair(tracks: NDArray[np.bool_], found: NDArray[np.bool_], costs: Array) -> None:
            free = tracks.copy()
            free[track_of[track_of >= 0]] = False
            rows, columns = np.flatnonzero(free), np.flatnonzero(found & (track_of < 0))
            at, of = assign(costs[np.ix_(rows, columns)], 1 - _OVERLAP)
            track_of[columns[of]] = rows[at]

        by_looks = with_looks(cost, self._looks, looks) if looks.shape[1] else cost
        pair(known, sure, by_looks)
        pair(known, unsure, cost)
        pair(~known, sure, by_looks)

        found = np.flatnonzero(track_of >= 0)
        self._see(track_of[found], places[found], looks[found], seconds)
        for row in track_of[found]:  # in the order of the detections, best first
            if self._numbers[row] == NONE:
                self._numbers[row] = self._next()
        fresh = np.flatnonzero(sure & (track_of < 0))
        track_of[fresh] = len(self._numbers) + np.arange(len(fresh))
        self._begin(places[fresh], codes[fresh], looks[fresh], seconds, confirmed=first)
        owned = track_of >= 0
        numbers = np.where(owned, self._numbers[track_of] if len(self._numbers) else NONE, NONE)
        self._forget(track_of[owned], seconds)
        return numbers

    def _next(self) -> int:
        self._given += 1
        return self._given

    def _unit(self, vectors: FloatArray | None, count: int) -> Array:
        """Vectors of length 1, float64 [N, D], NaN where unknown; the tracks' memory is widened to D."""
        width = self._looks.shape[1]
        if vectors is None:
            return np.full((count, width), np.nan)
        raw = np.asarray(vectors, np.float64).reshape(count, -1) if count else np.zeros((0, width))
        if width == 0:
            width = raw.shape[1]
            self._looks = np.full((len(self._numbers), width), np.nan)
        if raw.shape[1] != width:
            raise ValueError(f"vectors of {raw.shape[1]} numbers after vectors of {width}")
        return _normalised(raw)

    def _see(self, rows: Rows, boxes: Array, looks: Array, seconds: float) -> None:
        """Tracks were found in this frame."""
        self._motion.update(rows, boxes)
        self._seen[rows], self._lost[rows] = seconds, False
        before = self._looks[rows]
        mixed = _normalised(_MEMORY * before + (1 - _MEMORY) * looks)
        self._looks[rows] = np.where(np.isnan(looks), before, np.where(np.isnan(before), looks, mixed))

    def _begin(self, boxes: Array, codes: NDArray[np.int64], looks: Array, seconds: float, *, confirmed: bool) -> None:
        """New tracks, after those that are there."""
        count = len(boxes)
        self._motion.add(boxes)
        numbers = [self._next() if confirmed else NONE for _ in range(count)]
        self._numbers = np.concatenate([self._numbers, np.array(numbers, np.int64)])
        self._classes = np.concatenate([self._classes, codes])
        self._seen = np.concatenate([self._seen, np.full(count, seconds)])
        self._lost = np.concatenate([self._lost, np.zeros(count, bool)])
        self._looks = np.concatenate([self._looks, looks])

    def _forget(self, found: Rows, seconds: float) -> None:
        """Drop what was not found: at once where it was never confirmed, else when it has been lost for long."""
        self._lost[:] = True
        self._lost[found] = False
        remembered = (self._numbers != NONE) & (seconds - self._seen <= self.settings.lost)
        kept = ~self._lost | remembered
        if kept.all():
            return
        self._motion.keep(kept)
        self._numbers, self._classes, self._seen = self._numbers[kept], self._classes[kept], self._seen[kept]
        self._lost, self._looks = self._lost[kept], self._looks[kept]


def _normalised(vectors: Array) -> Array:
    """Rows of length 1; NaN where a row has no direction."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.full_like(vectors, np.nan), where=length > 0)
