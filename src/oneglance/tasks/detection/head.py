"""The detector's head: at every cell of three pyramid levels, class scores and the distances to a box's four sides."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oneglance.tasks.base import Features, FeatureSpec, Outputs

#: Bins of a side's distance, in strides: 0 .. BINS-1 (Generalized Focal Loss, Li et al. 2020).
BINS = 16
STRIDES = (8, 16, 32)


def conv_bn(inputs: int, outputs: int, kernel: int, groups: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm, SiLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, momentum=0.03, eps=1e-3),
        nn.SiLU(inplace=True),
    )


def separable(inputs: int, outputs: int) -> nn.Sequential:
    """Depthwise 3x3, then pointwise."""
    return nn.Sequential(conv_bn(inputs, inputs, 3, groups=inputs), conv_bn(inputs, outputs, 1))


class DetectionHead(nn.Module):
    """Decoupled towers for class and box, a pair for each level; and a second classifier that knows of duplicates.

    The second classifier (``single``) is trained to speak at one cell an object, on features it can't change, so that
    its scores need no non-maximum suppression (the one-to-one branch of YOLOv10, Wang et al. 2024).
    """

    def __init__(self, spec: FeatureSpec, classes: int, width: int) -> None:
        super().__init__()
        channels = [spec.channels(stride) for stride in STRIDES]

        def towers(outputs: int, full: bool) -> nn.ModuleList:
            return nn.ModuleList(
                nn.Sequential(
                    conv_bn(c, width, 3) if full else separable(c, width),
                    separable(width, width),
                    nn.Conv2d(width, outputs, 1),
                )
                for c in channels
            )

        self.classify = towers(classes, full=False)
        self.single = towers(classes, full=False)
        self.box = towers(4 * BINS, full=True)
        for branch in (self.classify, self.single):
            for tower, stride in zip(branch, STRIDES, strict=True):
                # About five objects in a picture of 640 pixels, as a prior for the sigmoid.
                nn.init.constant_(tower[-1].bias, math.log(5 / max(classes, 1) / (640 / stride) ** 2))  # type: ignore[index]
        for tower in self.box:
            nn.init.constant_(tower[-1].bias, 1.0)  # type: ignore[index]

    def forward(self, features: Features) -> Outputs:
        """Logits ``classes``, ``single`` float [n, A, C], ``sides`` float [n, A, 4 * BINS]; ``anchors`` float [A, 3]:
        the cells' centres in input pixels and their strides. A = cells of all three levels, finest first."""
        levels, around = ([features.part(part).level(stride) for stride in STRIDES] for part in ("class", "box"))

        def run(branch: nn.ModuleList, maps: list[Tensor]) -> Tensor:
            return torch.cat([tower(m).flatten(2).mT for tower, m in zip(branch, maps, strict=True)], 1)

        return {
            "classes": run(self.classify, levels),
            "single": run(self.single, [level.detach() for level in levels]),
            "sides": run(self.box, around),
            "anchors": anchors_of(levels),
        }


def anchors_of(levels: list[Tensor]) -> Tensor:
    """Centres (x, y) of all cells in input pixels, and the stride of each: float32 [A, 3]."""
    rows = []
    for level, stride in zip(levels, STRIDES, strict=True):
        h, w = level.shape[-2:]
        y = (torch.arange(h, device=level.device, dtype=torch.float32) + 0.5) * stride
        x = (torch.arange(w, device=level.device, dtype=torch.float32) + 0.5) * stride
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        rows.append(torch.stack([grid_x, grid_y, torch.full_like(grid_x, stride)], -1).flatten(0, 1))
    return torch.cat(rows)


def distances_of(sides: Tensor) -> Tensor:
    """Expected distance to each side, in strides: float [..., 4] from logits float [..., 4 * BINS]."""
    bins = torch.arange(BINS, device=sides.device, dtype=torch.float32)
    return (sides.float().unflatten(-1, (4, BINS)).softmax(-1) * bins).sum(-1)


def boxes_xyxy(distances: Tensor, anchors: Tensor) -> Tensor:
    """Boxes x1 y1 x2 y2 in input pixels, float [..., A, 4], from distances left, top, right, bottom in strides."""
    centre, stride = anchors[:, :2], anchors[:, 2:]
    near, far = distances.split(2, -1)
    return torch.cat([centre - near * stride, centre + far * stride], -1)


def distribution_loss(sides: Tensor, distances: Tensor) -> Tensor:
    """Cross-entropy to the two bins next to the true distance, mean over sides: float [...] from logits
    float [..., 4 * BINS] and distances float [..., 4] in strides (Li et al. 2020, eq. 6)."""
    target = distances.clamp(0, BINS - 1 - 0.01)
    lower = target.long()
    share = target - lower
    logs = F.log_softmax(sides.float().unflatten(-1, (4, BINS)), -1)
    left = logs.gather(-1, lower[..., None])[..., 0]
    right = logs.gather(-1, lower[..., None] + 1)[..., 0]
    return -((1 - share) * left + share * right).mean(-1)
