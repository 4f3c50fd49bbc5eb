"""A backbone taken apart where its maps are, so that other things can happen between its stages."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

import torch
from torch import Tensor, nn

from oneglance.errors import OneglanceError
from oneglance.network.trunk import Backbone, hold_statistics

#: Sides of the images on which a backbone is watched, and what is put together again compared with the whole.
SIDE = 64


class Stage(nn.Module):
    """What a backbone does between two of its maps: :meth:`forward` takes one, float [B, C, H, W], and gives the next.

    The first stage takes images uint8 or float [B, 3, H, W] in 0..255. ``body`` is the backbone's, with everything that
    belongs to other stages replaced by nothing, so parameters keep their names.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module, place: int, backbone: Backbone, first: bool) -> None:
        super().__init__()
        self.body, self.place, self.settings, self.first = body, place, backbone.settings, first
        if first:
            self.register_buffer("mean", backbone.mean, persistent=False)
            self.register_buffer("std", backbone.std, persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        if self.first:
            maps = (maps.to(self.mean.dtype, memory_format=torch.channels_last) - self.mean) / self.std
        found: Tensor = self.body(maps)[self.place]
        return found

    def train(self, mode: bool = True) -> Stage:
        super().train(mode)
        if mode:
            hold_statistics(self.body, self.settings)
        return self


def split(backbone: Backbone, needed_by: str) -> list[Stage]:
    """The stages of a backbone, one for each map it gives, finest first; they take over its parameters.

    Works for every extractor of timm's whose modules are run one after another, however its ``forward`` is written: the
    backbone is watched at work, each module is given to the stage in whose time it runs, and the chain of the stages is
    compared with the whole, to the bit. ``needed_by``: the scheme of sharing that asks for it, for the message. Raises
    OneglanceError where a backbone can't be taken apart.
    """
    training = backbone.training
    backbone.eval()
    try:
        return _split(backbone)
    except Exception as error:  # whatever a model's own code raises when parts of it are missing
        raise OneglanceError(
            f"sharing.scheme: `{needed_by}` runs the backbone stage by stage, and {backbone.settings.backbone!r} can't "
            f"be taken apart at its maps ({error or type(error).__name__}). Of this backbone, `hard`, `none`, `soft`, "
            "`mtan`, `layers` with `depth: 32` and `adapters` with `where: maps` can be had; or choose another "
            "trunk.backbone, such as a MobileNet, a ResNet or a ConvNeXt"
        ) from error
    finally:
        backbone.train(training)


@torch.no_grad()
def _split(backbone: Backbone) -> list[Stage]:
    body = backbone.body
    images = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 255
    images = images.to(backbone.mean.device)
    spans, maps = _watched(body, backbone.normalised(images))
    total = len(maps)
    ends = [-1]
    for map_ in (maps[i] for i in backbone.keep):
        made = [end for _, end, output in spans.values() if output is map_]
        if not made:
            raise ValueError("a map is not what one of its modules gives")
        ends.append(max(made))
    stages = []
    expected = [maps[i] for i in backbone.keep]
    so_far = images
    for number, (begin, end) in enumerate(pairwise(ends)):
        part = _without(body, _outside(body, spans, begin, end))
        given = part(backbone.normalised(so_far) if number == 0 else so_far)
        # A hook of a module that is not there gives no map.
        place = backbone.keep[number] if len(given) == total else len(given) - 1
        stage = Stage(part, place, backbone, number == 0).eval()
        so_far = stage(so_far)
        if not torch.equal(so_far, expected[number]):
            raise ValueError("its stages one after another are not the whole")
        stages.append(stage)
    return stages


#: By a module's name: when it was first called, when it was last left, and what it gave then.
Spans = dict[str, tuple[int, int, object]]


def _watched(body: nn.Module, images: Tensor) -> tuple[Spans, list[Tensor]]:
    began: dict[str, int] = {}
    spans: Spans = {}
    clock = 0

    def enter(name: str) -> None:
        nonlocal clock
        clock += 1
        began.setdefault(name, clock)

    def leave(name: str, output: object) -> None:
        nonlocal clock
        clock += 1
        spans[name] = (began[name], clock, output)

    handles = []
    for name, module in body.named_modules():
        if name:
            handles.append(module.register_forward_pre_hook(lambda *_, name=name: enter(name)))
            handles.append(module.register_forward_hook(lambda _m, _i, output, name=name: leave(name, output)))
    try:
        maps = body(images)
    finally:
        for handle in handles:
            handle.remove()
    return spans, list(maps)


def _outside(body: nn.Module, spans: Spans, begin: int, end: int, prefix: str = "") -> list[str]:
    """The modules that don't run between ``begin`` and ``end``, each the outermost."""
    found: list[str] = []
    for name, child in body.named_children():
        path = f"{prefix}{name}"
        span = spans.get(path)
        if span is not None and begin < span[0] and span[1] <= end:
            continue
        if span is not None and (span[1] <= begin or span[0] > end):
            found.append(path)
        elif any(True for _ in child.children()):
            found += _outside(child, spans, begin, end, f"{path}.")
        elif span is None:
            found.append(path)  # never called
        else:
            raise ValueError(f"{path} is run in several stages")
    return found


def _without(body: nn.Module, names: list[str]) -> nn.Module:
    """A copy of ``body`` that has its parameters and buffers themselves, with nothing in place of these modules."""
    own = {id(tensor): tensor for tensor in (*body.parameters(), *body.buffers())}
    part = deepcopy(body, dict(own))
    for name in names:
        parent, _, last = name.rpartition(".")
        part.get_submodule(parent)._modules[last] = nn.Identity()
    return part
