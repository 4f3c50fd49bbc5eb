"""The mean of a feature map under boxes, so that padding is left out and a whole image is one more region."""

from __future__ import annotations

import torch
from torch import Tensor


def pool_boxes(maps: Tensor, boxes: Tensor, stride: int, rows: Tensor | None = None) -> Tensor:
    """The mean of each map's cells under a box, a cell at the border weighing as much as the box covers of it.

    Args:
        maps: float [B, C, h, w]; cell (i, j) covers the input's pixels [j, j + 1] x [i, i + 1], times ``stride``.
        boxes: x1 y1 x2 y2 in the input's pixels, float [n, 4]; what lies outside of the map doesn't count.
        stride: pixels a cell.
        rows: which of the maps each box lies in, int64 [n]; None: box k in map k.

    Returns float [n, C]. A box that covers nothing takes the cell that is nearest to its middle.
    """
    boxes = boxes.to(maps.device, torch.float32) / stride
    along, down = _cover(boxes[:, 0], boxes[:, 2], maps.shape[3]), _cover(boxes[:, 1], boxes[:, 3], maps.shape[2])
    mine = maps if rows is None else maps.index_select(0, rows)
    return torch.einsum("nchw,nh,nw->nc", mine, down.to(mine.dtype), along.to(mine.dtype))


def _cover(low: Tensor, high: Tensor, cells: int) -> Tensor:
    """Weights [n, cells], summing to 1, of the cells that an interval in units of cells covers."""
    edges = torch.arange(cells, device=low.device, dtype=low.dtype)
    covered = torch.minimum(high[:, None], edges + 1) - torch.maximum(low[:, None], edges)
    covered = covered.clamp(min=0)
    total = covered.sum(1, keepdim=True)
    middle = ((low + high) / 2).floor().clamp(0, cells - 1)
    nearest = (edges == middle[:, None]).to(low.dtype)
    return torch.where(total > 1e-6, covered / total.clamp(min=1e-6), nearest)
