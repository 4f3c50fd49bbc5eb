"""What a step for one task alone would do to the losses of all, seen while the network is trained as ever.

Fifty, Amid, Zhao, Yu, Anil, Finn, Efficiently Identifying Task Groupings for Multi-Task Learning, NeurIPS 2021.

With ``s`` for the weights that tasks share, a look at a step's images is, for each task i that occurs in it,

    s_i = s - d_i,   d_i = what the optimiser would make of the gradient of L_i alone,
    Z_ij = (L_j(s) - L_j(s_i)) / |L_j(s)|         for each task j that occurs in it, i itself too.

Z_ij above 0: the step for i helps j. Heads stay as they are, as in the paper, since no two tasks share one.

Of the optimiser, AdamW, ``d_i`` takes the rate and the second moments, which belong to the sum of all tasks, and no
momentum, which would bring in gradients of all tasks at earlier steps. So it is as large as the steps that are really
made, whatever the scale of a loss, and the steps of all tasks add up to the one for their sum. A plain gradient step
has no such size: with AdamW's rate it may be far too small or far too large a step.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.func import functional_call

from oneglance.balance.compare import cosines, gramian_of
from oneglance.data.dataset import Batch
from oneglance.errors import OneglanceError
from oneglance.training.fit import Training
from oneglance.training.observer import Seen
from oneglance.training.schedule import learning_rate

#: Kinds of rows in a run's ``history.csv``: Z_ij (task i, name j), cosines of gradients (each pair once), and the
#: seconds that a look took.
AFFINITY, COSINE, TAKEN = "affinity", "cosine", "look"

Losses = dict[str, Tensor]


class Lookahead:
    """Looks at every ``every``-th step of a training, from its images and before it is made, and changes nothing.

    Losses are weighted as the balance has it, before its method acts: what the method makes of them depends on which
    tasks are there, and grouping changes that. They are computed in float32, because in bf16 a step's effect on a loss
    is lost in rounding; gradients as the training computes them. Nothing is written down for tasks that do not occur in
    a step: what a pair does to each other is unknown there, not 0.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def look(self, training: Training, step: int, batches: list[Batch]) -> Seen:
        """What a step for each task would do: see :class:`oneglance.training.observer.Observer`."""
        # The last of so many, so that the optimiser has made steps before the first look.
        if (step + 1) % self.every:
            return {}
        if training.group.world > 1:
            raise OneglanceError("affinity is measured in a single process; train without torch.distributed")
        began = time.monotonic()
        looked = _Look(training, step, batches)
        with _own_generators(training.fabric.device):
            seen = looked.at_all()
        if not seen:
            return {}
        return {**seen, TAKEN: {"": {"seconds": time.monotonic() - began}}}


class _Look:
    """One step's images, looked at from several places."""

    def __init__(self, training: Training, step: int, batches: list[Batch]) -> None:
        self.training, self.step = training, step
        self.batches = [batch for batch in batches if batch.rows]
        self.counts: Counter[str] = Counter()
        for batch in self.batches:
            self.counts.update({name: len(rows) for name, rows in batch.rows.items()})
        names = {id(parameter): name for name, parameter in training.network.named_parameters()}
        self.shared = {names[id(one)]: one for one in training.network.shared_parameters()}

    def at_all(self) -> dict[str, dict[str, dict[str, float]]]:
        """Z and the cosines; empty where the optimiser has made no step yet, or there is nothing to be seen."""
        rates = self._rates()
        gradients = self._gradients()
        if not any(rate is not None for rate in rates) or not gradients:
            return {}
        numbers = dict(enumerate(gradients))
        gramian = gramian_of({k: gradients[task] for k, task in numbers.items()}, len(numbers)).cpu()
        clipped = min(1.0, self.training.settings.clip / max(math.sqrt(max(float(gramian.sum()), 0.0)), 1e-12))
        before = self._losses({})
        known = {task: loss for task, loss in before.items() if math.isfinite(loss) and loss != 0}
        seen: dict[str, dict[str, float]] = {}
        for task, gradient in gradients.items():
            after = self._losses(self._moved(gradient, rates, clipped))
            changes = {other: (loss - after[other]) / abs(loss) for other, loss in known.items()}
            seen[task] = {other: change for other, change in changes.items() if math.isfinite(change)}
        found = cosines(gramian).tolist()
        pairs = {
            task: {numbers[m]: found[k][m] for m in numbers if m > k and math.isfinite(found[k][m])}
            for k, task in numbers.items()
        }
        return {AFFINITY: seen, COSINE: {task: others for task, others in pairs.items() if others}}

    def _losses(self, moved: Mapping[str, Tensor]) -> dict[str, float]:
        """Each task's loss, in float32, with these weights in the place of the network's."""
        sums: Losses = {}
        with torch.no_grad():
            for number, batch in enumerate(self.batches):
                for task, loss in self._of_part(number, batch, moved).items():
                    sums[task] = sums[task] + loss if task in sums else loss
        if not sums:
            return {}
        return dict(zip(sums, torch.stack(list(sums.values())).tolist(), strict=True))

    def _gradients(self) -> dict[str, list[Tensor | None]]:
        """By task the gradient of its loss at each of the shared weights; tasks whose loss has none are left out."""
        device, shared = self.training.fabric.device, list(self.shared.values())
        found: dict[str, list[Tensor | None]] = {}
        for number, batch in enumerate(self.batches):
            with torch.autocast(device.type, torch.bfloat16, enabled=self.training.bf16):
                losses = self._of_part(number, batch, {})
            learning = {task: loss for task, loss in losses.items() if loss.requires_grad}
            for left, (task, loss) in zip(range(len(learning) - 1, -1, -1), learning.items(), strict=True):
                own = torch.autograd.grad(loss, shared, retain_graph=left > 0, allow_unused=True)
                before = found.get(task, [None] * len(own))
                found[task] = [_plus(a, b) for a, b in zip(before, own, strict=True)]
        return {task: of for task, of in found.items() if any(one is not None for one in of)}

    def _of_part(self, number: int, batch: Batch, moved: Mapping[str, Tensor]) -> Losses:
        """Each task's weighted loss on a part of the step, as its share of the step's."""
        training = self.training
        # Whoever draws (boxes of objects, dropout) draws the same with every weights.
        torch.manual_seed(_seed(training.settings.seed, self.step, number))
        # Statistics go into copies: those of the network stay as they are.
        buffers = {name: buffer.clone() for name, buffer in training.network.named_buffers()}
        content = batch.content(training.fabric.device)
        outputs = functional_call(
            training.network, {**buffers, **moved}, (batch.images, batch.rows, batch.boxes, content)
        )  # fmt: skip
        terms = {name: training.tasks[name].terms(of_task, batch.targets[name]) for name, of_task in outputs.items()}
        weighted = training.balance.weighted(terms)
        return {task: loss * (len(batch.rows[task]) / self.counts[task]) for task, loss in weighted.items()}

    def _rates(self) -> list[Tensor | None]:
        """What a gradient is multiplied by, for each of the shared weights; None: it has never moved, or can't."""
        training = self.training
        factor = learning_rate(self.step, training.total, training.settings)
        found: dict[int, Tensor] = {}
        for group in training.optimizer.param_groups:
            _, beta = group["betas"]
            for parameter in group["params"]:
                state = training.optimizer.state.get(parameter)
                if state:
                    moment = state["exp_avg_sq"] / (1 - beta ** state["step"].to(parameter.device))
                    found[id(parameter)] = group["base_lr"] * factor / (moment.sqrt() + group["eps"])
        return [found.get(id(one)) for one in self.shared.values()]

    @torch.no_grad()
    def _moved(
        self, gradient: list[Tensor | None], rates: list[Tensor | None], clipped: float
    ) -> dict[str, Tensor]:  # fmt: skip
        """The shared weights after a step along this gradient; those that it does not move are left out."""
        return {
            name: one - clipped * rate * own
            for (name, one), own, rate in zip(self.shared.items(), gradient, rates, strict=True)
            if own is not None and rate is not None
        }


def _plus(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


def _seed(*numbers: int) -> int:
    """A seed that belongs to these numbers alone."""
    found = 0
    for number in numbers:
        found = (found * 1_000_003 + number + 1) % (1 << 63)
    return found


@contextmanager
def _own_generators(device: torch.device) -> Iterator[None]:
    """Whatever is drawn meanwhile, torch's generators are afterwards as they were (on the CPU and on CUDA)."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
