"""A trunk for each group of tasks, tied by a term of the loss."""

from __future__ import annotations

from torch import nn

from oneglance.network.sharing.base import Start
from oneglance.network.sharing.none import Separate
from oneglance.network.sharing.tie import Tie


class Soft(Separate):
    """As ``none``, with :class:`Tie` over the trunks' weights."""

    def build(self, start: Start) -> dict[str, nn.Module]:
        parts = super().build(start)
        assert self.settings.relation is not None
        self.tie = Tie(self.settings.relation, self.trunks)
        return {**parts, "relation": self.tie}
