"""MOTChallenge's lines, written by hand."""

import numpy as np

from oneglance.annotations import Instance, Instances
from oneglance.tracking import mot_lines


def test_lines_by_hand():
    found = Instances(
        (
            Instance("car", np.array([10, 20, 40, 60.5], np.float32), score=0.9, track=3),
            Instance("person", np.array([0, 0, 5.25, 8], np.float32), score=0.123456, track=12),
            Instance("person", np.array([1, 1, 2, 2], np.float32), score=0.8),
            Instance("person", None, track=4),
            Instance("person", np.array([-2, -3, 2, 2], np.float32), track=1),
        )
    )
    # frame, id, left, top, width, height, conf, class, visibility: all counted from 1, the corner (0, 0) too.
    assert mot_lines(0, found, ("person", "car")) == [
        "1,3,11.00,21.00,30.00,40.50,0.9000,2,-1",
        "1,12,1.00,1.00,5.25,8.00,0.1235,1,-1",
        "1,1,-1.00,-2.00,4.00,5.00,1.0000,1,-1",
    ]
    assert mot_lines(41, Instances((found.items[0],)), ("person", "car")) == [
        "42,3,11.00,21.00,30.00,40.50,0.9000,2,-1"
    ]
    assert mot_lines(0, Instances(), ("car",)) == []
