"""colour: what brightness, contrast, saturation, hue, blur and noise do to a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as kernels
from torch import Tensor

from oneglance.data.augment import AugmentSettings
from oneglance.data.colour import LUMA, colour_matrix, jitter

NONE = AugmentSettings.none()


class Fixed:
    """A generator whose every draw is at one place of its range."""

    def __init__(self, share: float) -> None:
        self.share, self.rng = share, np.random.default_rng(0)

    def random(self, n: int) -> np.ndarray:
        return np.full(n, self.share)

    def standard_normal(self, *args: object) -> np.ndarray:
        return self.rng.standard_normal(*args)  # type: ignore[call-overload]


def picture(low: int = 60, high: int = 160) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(low, high, (3, 40, 50), np.uint8))


def jittered(image: Tensor, rng: object, chosen: AugmentSettings) -> Tensor:
    """jitter on tensors [3, H, W], as torchvision has them."""
    found = jitter(np.ascontiguousarray(image.numpy().transpose(1, 2, 0)), rng, chosen)  # type: ignore[arg-type]
    return torch.from_numpy(np.ascontiguousarray(found.transpose(2, 0, 1)))


def at(share: float, image: Tensor, **about: float) -> Tensor:
    return jittered(image, Fixed(share), AugmentSettings(**(NONE.model_dump() | about)))


def apart(one: Tensor, other: Tensor) -> int:
    return int((one.int() - other.int()).abs().max())


def test_no_variation_changes_nothing() -> None:
    image = picture()
    assert torch.equal(jittered(image, np.random.default_rng(0), NONE), image)


def test_the_given_image_is_left_alone_and_the_generator_decides() -> None:
    image = np.ascontiguousarray(picture().numpy().transpose(1, 2, 0))
    before = image.copy()
    chosen = AugmentSettings(blur=1, noise=0.05, grey=0.2, hue=0.1)
    one, two, other = (jitter(image, np.random.default_rng(seed), chosen) for seed in (3, 3, 4))
    assert np.array_equal(image, before)
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert one.dtype == np.uint8
    assert one.shape == image.shape


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_brightness_contrast_and_saturation_are_torchvisions(share: float) -> None:
    image, factor = picture(), 0.8 + 0.4 * share
    assert apart(at(share, image, brightness=0.2), kernels.adjust_brightness(image, factor)) <= 1
    assert apart(at(share, image, contrast=0.2), kernels.adjust_contrast(image, factor)) <= 1
    assert apart(at(share, image, saturation=0.2), kernels.adjust_saturation(image, factor)) <= 1
    together = kernels.adjust_contrast(kernels.adjust_brightness(image, factor), factor)
    assert apart(at(share, image, brightness=0.2, contrast=0.2), together) <= 2


def test_brightness_is_clipped_not_wrapped() -> None:
    assert int(at(1, torch.full((3, 4, 4), 200, dtype=torch.uint8), brightness=1).min()) == 255
    assert int(at(0, torch.full((3, 4, 4), 200, dtype=torch.uint8), brightness=1).max()) == 0


def test_grey_takes_all_colour_away_and_keeps_brightness() -> None:
    image = picture()
    found = at(0.5, image, grey=1)
    assert apart(found[0], found[1]) == 0
    assert apart(found[0], found[2]) == 0
    expected = np.tensordot(LUMA, image.numpy(), 1)
    assert np.abs(found[0].numpy() - expected).max() <= 0.6


@pytest.mark.parametrize("turn", [-2.0, 0.3, np.pi])
def test_hue_keeps_greys_and_brightness(turn: float) -> None:
    matrix = colour_matrix(1, turn)
    np.testing.assert_allclose(matrix @ np.ones(3), np.ones(3), atol=1e-4)
    np.testing.assert_allclose(LUMA @ matrix, LUMA, atol=1e-4)
    np.testing.assert_allclose(np.linalg.matrix_power(colour_matrix(1, np.pi / 3), 6), np.eye(3), atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_hue_turns_the_way_torchvision_does(share: float) -> None:
    """Not by the same formula, but the same way round and by about as much."""
    red = torch.tensor([180, 80, 80], dtype=torch.uint8).reshape(3, 1, 1).expand(3, 8, 8).contiguous()
    ours = at(share, red, hue=0.1)[:, 0, 0].float() - red[:, 0, 0]
    theirs = kernels.adjust_hue(red, -0.1 + 0.2 * share)[:, 0, 0].float() - red[:, 0, 0]
    assert float(torch.cosine_similarity(ours, theirs, dim=0)) > 0.3
    assert 0.4 < float(ours.norm() / theirs.norm()) < 2.5


def test_blur_smooths_and_keeps_the_mean() -> None:
    image = picture(0, 256)
    found = at(0.5, image, blur=1)
    assert float(found.float().std()) < 0.6 * float(image.float().std())
    assert float(found.float().mean()) == pytest.approx(float(image.float().mean()), abs=1)


def test_noise_is_as_strong_as_asked() -> None:
    image = torch.full((3, 100, 100), 128, dtype=torch.uint8)
    assert float(at(1, image, noise=0.05).float().std()) == pytest.approx(0.05 * 255, rel=0.05)


def test_an_image_can_be_changed_where_it_lies() -> None:
    settings = AugmentSettings(blur=0.5, noise=0.1, grey=0.2)
    image = np.ascontiguousarray(picture().numpy().transpose(1, 2, 0))
    for chosen in (settings, NONE):
        for seed in range(8):
            before, here, there = image.copy(), image.copy(), np.empty_like(image)
            fresh = jitter(image, np.random.default_rng(seed), chosen)
            assert jitter(here, np.random.default_rng(seed), chosen, into=here) is here
            assert jitter(image, np.random.default_rng(seed), chosen, into=there) is there
            np.testing.assert_array_equal(image, before)
            np.testing.assert_array_equal(here, fresh)
            np.testing.assert_array_equal(there, fresh)
