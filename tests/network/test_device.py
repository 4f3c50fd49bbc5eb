"""A device that is not there is said so, before anything is loaded onto it."""

import pytest
import torch

from oneglance.errors import OneglanceError
from oneglance.network.device import device_of


def test_devices_that_are_there():
    assert device_of("cpu") == torch.device("cpu")
    assert device_of("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["tpu", "", "cuda:x", "cpu:1", "xla"])
def test_what_is_no_device(name):
    with pytest.raises(OneglanceError, match=r"train\.device"):
        device_of(name, "train.device")


def test_a_gpu_that_is_not_there():
    with pytest.raises(OneglanceError, match="torch sees"):
        device_of(f"cuda:{torch.cuda.device_count() + 3}")
