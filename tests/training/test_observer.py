"""The time of whoever looks on is no time of the training."""

import time

import pytest

from oneglance.training.clock import Clock


def test_what_is_done_aside_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = Clock(5.0, 10)
    now[0] += 2
    with clock.aside():
        now[0] += 30
    now[0] += 1
    assert clock.seconds == pytest.approx(8)
    clock.saw(33)
    assert (clock.images, clock.rate) == (43, pytest.approx(1))
