"""Sizes by source: who gets which."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oneglance.annotations import Record
from oneglance.data.sizes import Sizes
from oneglance.manifest import Manifest


def test_a_source_without_a_size_of_its_own_has_the_usual_one() -> None:
    sizes = Sizes((320, 320), {"faces": (128, 128), "crops": (320, 320), "heads": (128, 128)})
    assert sizes.all == ((320, 320), (128, 128))
    names = ["scenes", "faces", "crops", "heads", "faces+scenes", "scenes+faces"]
    assert [sizes.number(name) for name in names] == [0, 1, 0, 1, 1, 0]
    assert [sizes.of(name)[0] for name in names] == [320, 128, 320, 128, 128, 320]
    manifest = Manifest.build([Record(Path(f"{k}.png"), 8, 8, "train", name) for k, name in enumerate(names)], {})
    np.testing.assert_array_equal(sizes.by_row(manifest), [0, 1, 0, 1, 1, 0])
    np.testing.assert_array_equal(Sizes((64, 64), {}).by_row(manifest), 0)
