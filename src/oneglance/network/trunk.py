"""The trunk: a timm backbone, its weights from the hub, from a file, or none."""

from __future__ import annotations

import logging
import socket
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file
from torch import Tensor, nn

from oneglance.errors import OneglanceError, nearest

logger = logging.getLogger(__name__)


class TrunkSettings(BaseModel):
    """The part of the network that all tasks share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str = Field(
        "mobilenetv4_conv_small", description="A timm model that gives feature maps (`features_only`)."
    )
    pretrained: bool | Path = Field(
        True, description="`true`: weights from the hub; a file (`.safetensors`, `.pth`); `false`: from scratch."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Further arguments of the timm model.")
    mean: tuple[float, float, float] | None = Field(
        None, description="Mean of the input by channel, 0..1; default: that of the timm model."
    )
    std: tuple[float, float, float] | None = Field(None, description="Standard deviation of the input, likewise.")
    freeze: bool = Field(False, description="Keep the backbone's weights as they are.")
    norm: Literal["batch", "frozen", "group"] = Field(
        "batch",
        description="What normalises: `batch`: BatchNorm; `frozen`: the backbone's keeps the statistics it was loaded "
        "with (small data sets, pretrained weights); `group`: GroupNorm in its place.",
    )
    statistics: Literal["by_size", "shared"] = Field(
        "by_size",
        description="BatchNorm's means and variances: those of each of `train.sizes`, or one for all.",
    )
    channels: int = Field(96, ge=16, multiple_of=8, description="Channels of the pyramid.")


class Backbone(nn.Module):
    """A timm feature extractor with its input's mean and standard deviation.

    ``reductions`` and ``channels``: stride and channels of each map that :meth:`forward` gives, finest first, those of
    stride 4 to 32 only.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, settings: TrunkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.body, config = _create(settings)
        info = self.body.feature_info
        keep = [i for i, reduction in enumerate(info.reduction()) if reduction in (4, 8, 16, 32)]
        self.keep = keep
        self.reductions = [info.reduction()[i] for i in keep]
        self.channels = [info.channels()[i] for i in keep]
        if self.reductions[-3:] != [8, 16, 32]:
            raise OneglanceError(
                f"trunk.backbone {settings.backbone!r} gives maps at strides {self.reductions}; strides 8, 16 and 32 "
                "are needed: choose a convolutional or hierarchical model"
            )
        mean, std = settings.mean or config["mean"], settings.std or config["std"]
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        if settings.freeze:
            self.requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps of strides (4,) 8, 16, 32 of images uint8 or float [B, 3, H, W] in 0..255."""
        maps = self.body(self.normalised(images))
        return [maps[i] for i in self.keep]

    def normalised(self, images: Tensor) -> Tensor:
        """Images uint8 or float [B, 3, H, W] in 0..255 as the body wants them."""
        return (images.to(self.mean.dtype, memory_format=torch.channels_last) - self.mean) / self.std

    def train(self, mode: bool = True) -> Backbone:
        super().train(mode)
        if mode:
            hold_statistics(self.body, self.settings)
        return self


def hold_statistics(body: nn.Module, settings: TrunkSettings) -> None:
    """Keep BatchNorm's statistics as they are in training, where the settings say so."""
    if settings.norm == "frozen" or settings.freeze:
        for module in body.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def _create(settings: TrunkSettings) -> tuple[Any, dict[str, Any]]:
    import timm  # takes seconds, and a configuration is often read without a network being built

    name = settings.backbone
    if not timm.is_model(name.split(".")[0]):
        raise OneglanceError(f"trunk.backbone: timm has no model {name!r}{nearest(name, timm.list_models())}")
    options = dict(settings.options)
    try:
        if settings.pretrained is True:
            body = _from_hub(name, options)
        else:
            body = timm.create_model(name, features_only=True, pretrained=False, **options)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise OneglanceError(f"trunk.backbone {name!r} can't be built as a feature extractor: {error}") from error
    config = timm.get_pretrained_cfg(name)
    if isinstance(settings.pretrained, Path):
        load_backbone(body, settings.pretrained)
    return body, {"mean": config.mean, "std": config.std} if config else {"mean": (0.5,) * 3, "std": (0.5,) * 3}


def _from_hub(name: str, options: dict[str, Any]) -> Any:
    import timm

    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.CRITICAL)  # it warns of every retry; what comes of them is said below
    try:
        with _offline_if_unreachable():
            return timm.create_model(name, features_only=True, pretrained=True, **options)
    except RuntimeError as error:
        if "No pretrained weights exist" in str(error) or "pretrained" in str(error):
            raise OneglanceError(
                f"trunk: timm has no weights for {name!r}; set trunk.pretrained to false or to a weights file"
            ) from error
        raise
    except Exception as error:  # the hub's client raises its own, urllib's or httpx's errors: all mean the same here
        raise OneglanceError(
            f"trunk: the weights of {name!r} could not be fetched from the model hub ({type(error).__name__}). Without "
            "a connection, set trunk.pretrained to a weights file you have, or to false to train from scratch: "
            "trunk.pretrained=false"
        ) from error
    finally:
        log.setLevel(level)


@contextmanager
def _offline_if_unreachable() -> Iterator[None]:
    """Where the hub's name can't even be looked up, its client uses what it has, at once; left to itself it tries again
    and again for most of a minute."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    if not getproxies():  # a proxy looks names up by itself
        try:
            socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, None)
        except OSError:
            constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def load_backbone(body: nn.Module, path: Path) -> None:
    """Load a full timm model's or a feature extractor's state dict (safetensors, or torch's with tensors only).

    Classifier weights are left out. Raises OneglanceError where the file is missing, unsafe or of another model.
    """
    if not path.is_file():
        raise OneglanceError(f"trunk.pretrained: no such weights file: {path}")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # safetensors and torch raise many kinds; each means: not a safe weights file
        raise OneglanceError(f"trunk.pretrained: {path} is not a readable weights file ({error})") from error
    if "state_dict" in state and isinstance(state["state_dict"], dict):
        state = state["state_dict"]
    own = body.state_dict()
    named = OrderedDict()
    for key, value in state.items():
        # timm's flattened feature extractors name `blocks.0.1` `blocks_0.1`, and so on.
        for candidate in (key, key.replace(".", "_", 1)):
            if candidate in own:
                named[candidate] = value
    missing = [key for key in own if key not in named and not key.endswith("num_batches_tracked")]
    if missing:
        raise OneglanceError(
            f"trunk.pretrained: {path} holds {len(named)} of the backbone's {len(own)} tensors; {missing[0]!r} is "
            "missing. Is it of another model, or do trunk.options differ?"
        )
    wrong = [key for key, value in named.items() if value.shape != own[key].shape]
    if wrong:
        raise OneglanceError(
            f"trunk.pretrained: {path}: {wrong[0]!r} is {tuple(named[wrong[0]].shape)}, the backbone needs "
            f"{tuple(own[wrong[0]].shape)}: it is of another model"
        )
    body.load_state_dict(named, strict=False)
    logger.info("loaded %d tensors of the backbone from %s", len(named), path)
