"""Where a network is parted: the shared part on one side, the tasks' heads on the other."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


class Cut:
    """What a forward pass leaves behind for whoever compares the tasks' gradients.

    The network hands each shared map through the cut before any head sees it. With ``part`` the heads see a copy that
    passes no gradient on, so that a head's backward pass ends there; else they see the map itself.

    ``shared``: the maps as the trunk made them; ``seen``: as the heads see them, in the same order; ``common``: the
    maps that all shared maps come from, where tasks that look at different maps can be compared.
    """

    def __init__(self, part: bool = True) -> None:
        self.part = part
        self.shared: list[Tensor] = []
        self.seen: list[Tensor] = []
        self.common: list[Tensor] = []

    def __call__(self, maps: Tensor) -> Tensor:
        """The map for the heads."""
        seen = maps.detach().requires_grad_(maps.requires_grad) if self.part else maps
        if maps.requires_grad:
            self.shared.append(maps)
            self.seen.append(seen)
        return seen

    def compare_at(self, maps: Sequence[Tensor]) -> None:
        """Tasks are compared at these maps, those of them that learn."""
        self.common = [one for one in maps if one.requires_grad]
