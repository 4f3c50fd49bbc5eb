"""One scale for all losses: each is divided by the length of its gradient at what the tasks share.

Measured in a task's first steps and then left alone: a task that has learnt all there is fades, as it should.
(GradNorm, Chen et al. 2018, and IMTL-G, Liu et al. 2021, even lengths out all the time.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

#: Steps in which a task's gradient is measured.
MEASURED_STEPS = 8
#: The logarithm of what a loss is multiplied or divided by, at most: a gradient that is all but 0 in its first steps
#: has not begun to learn, and would drown the others once it does.
MOST = math.log(1e4)


class GradientScale:
    """What each loss is multiplied by, from what is known of the lengths of the gradients before any weight.

    ``tasks``: the task of each loss, [T]. The parts of a task, losses of one name here, have the length of the task's
    whole gradient, and so keep their proportions.
    """

    def __init__(self, tasks: Sequence[str], device: torch.device) -> None:
        size = len(tasks)
        self._several = len(set(tasks)) > 1
        same = [[float(one == other) for other in tasks] for one in tasks]
        self._of_one_task = torch.tensor(same, device=device).view(size, size)
        # In how many steps a length was looked for (known without asking the device), in how many it was found, and the
        # sum of the logarithms.
        self._looked = np.zeros(size, np.int64)
        self._found, self._logs = (torch.zeros(size, device=device) for _ in range(2))

    def wants(self, present: Sequence[int]) -> bool:
        """Whether a step with these losses is to be measured."""
        return self._several and bool(min(self._looked[present], default=MEASURED_STEPS) < MEASURED_STEPS)

    def learn(self, gramian: Tensor, scale: Tensor, present: Sequence[int], mask: Tensor) -> None:
        """Add a step's lengths. ``gramian`` float [T, T] of the gradients times ``scale`` float [T]; ``present``, and
        bool [T] ``mask``: the losses in the step."""
        unscaled = torch.where(scale > 0, 1 / scale, torch.zeros_like(scale))
        plain = gramian.detach().to(scale.device) * (unscaled[:, None] * unscaled)
        lengths = (self._of_one_task @ plain @ self._of_one_task).diagonal().clamp(min=0).sqrt()
        there = mask & (lengths > 0) & lengths.isfinite()
        self._logs = self._logs + torch.where(there, lengths, torch.ones_like(lengths)).log()
        self._found = self._found + there
        self._looked[present] += 1

    def factors(self) -> Tensor:
        """Float [T], of geometric mean 1 over those of which a length is known; 1 for the others."""
        known = self._found > 0
        logs = self._logs / self._found.clamp(min=1)
        mean = torch.where(known, logs, torch.zeros_like(logs)).sum() / known.sum().clamp(min=1)
        return torch.where(known, (mean - logs).clamp(-MOST, MOST).exp(), torch.ones_like(logs))

    def state(self) -> dict[str, Tensor]:
        """What a resumed training must know."""
        return {"looked": torch.from_numpy(self._looked.copy()), "found": self._found, "logs": self._logs}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state whose tensors are where this one's are."""
        self._looked = state["looked"].numpy()
        self._found, self._logs = state["found"], state["logs"]
