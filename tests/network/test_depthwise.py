"""The quick way gives what the plain way gives, forward and backward."""

import copy

import torch
from torch import nn

from oneglance.network.depthwise import quicken_depthwise


def test_values_gradients_and_names_stay():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, stride=2, groups=8), nn.Conv2d(8, 4, 1))
    quick = copy.deepcopy(plain)
    quicken_depthwise(quick)
    assert plain.state_dict().keys() == quick.state_dict().keys()
    images = torch.randn(2, 3, 17, 19)
    for network in (plain, quick):
        network(images).square().sum().backward()
    torch.testing.assert_close(quick(images), plain(images))
    for one, other in zip(plain.parameters(), quick.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-4)


def test_under_autocast_the_type_is_kept():
    quick = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, groups=8))
    quicken_depthwise(quick)
    with torch.autocast("cpu", torch.bfloat16):
        assert quick(torch.randn(1, 8, 9, 9).bfloat16()).dtype == torch.bfloat16
