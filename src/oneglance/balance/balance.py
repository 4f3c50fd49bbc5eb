"""One step from the losses of all tasks: begin, add one part after another, finish.

    balance.begin(step, {"kind": 16, "squares": 8})      # how many images are labelled for each task, in the whole step
    for part in parts:                                   # micro-batches, or groups of another input size
        cut = balance.cut()
        outputs = network(part.images, part.rows, cut=cut)
        balance.add(terms, part.rows, cut)
    total = balance.finish()                             # gradients are in place

Methods that know their weights beforehand go backwards part by part. The others decide once, from the whole step: until
then the graphs of all parts are kept (of the trunk, where gradients are compared at the features).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from oneglance.balance import gradients, losses
from oneglance.balance.compare import cosines
from oneglance.balance.gathered import Gathered
from oneglance.balance.group import Group
from oneglance.balance.scale import GradientScale
from oneglance.balance.settings import LOSS_METHODS, BalanceSettings, split_names
from oneglance.errors import OneglanceError
from oneglance.network.cut import Cut

Terms = Mapping[str, Mapping[str, Tensor]]


@dataclass
class _Part:
    """Some images of a step: by the task's number its loss, its share of the task's labelled images in the step, and
    (once asked for) its gradient at the shared maps; ``rows`` int64 [n]: its images."""

    losses: dict[int, Tensor]
    shares: dict[int, float]
    rows: dict[int, Tensor]
    cut: Cut | None
    gradients: dict[int, list[Tensor | None]] = field(default_factory=dict)


class Balance:
    """Turns the losses of the tasks that occur in a step into gradients, by the method that the settings name.

    A factor multiplies each task's weighted loss (or, by the gradient methods, its gradient from the shared maps on;
    heads then learn from the plain weighted loss). The magnitudes of a step's factors sum to the number of tasks in it,
    as in the plain sum, whatever the method, so that a learning rate carries over; only UPGrad, DualProj, PCGrad and
    GradVac, which are the plain sum until gradients conflict, have larger ones where they do. A task without a labelled
    image in the step, of weight 0 or of gradient 0 has no part in it, and what the method keeps of it stays as it is.

    Args:
        settings: the method and its options.
        weights: the tasks' own weights by name.
        parts: by task the parts of its loss (``TaskSettings.parts``), for ``over: terms``.
        shared: the parameters that tasks share; needed for ``at: parameters``.
        seed: of the methods that draw.
        device: where the network is.
        group: the processes that train together.
    """

    def __init__(
        self,
        settings: BalanceSettings,
        weights: Mapping[str, float],
        *,
        parts: Mapping[str, Mapping[str, tuple[str, ...]]] | None = None,
        shared: Iterable[nn.Parameter] = (),
        seed: int = 0,
        device: torch.device | str = "cpu",
        group: Group | None = None,
    ) -> None:
        self.settings, self.seed, self.device = settings, seed, torch.device(device)
        self.group = group or Group()
        split = split_names({name: (parts or {}).get(name, {}) for name in sorted(weights)}, settings.over)
        self.names = tuple(split)
        self.terms = tuple(split.values())
        self.tasks = tuple(name if not terms else name.rpartition(".")[0] for name, terms in split.items())
        self.weights = self._weights(weights)
        size = len(self.names)
        self.by_losses: losses.LossMethod | None = None
        self.by_gradients: gradients.GradientMethod | None = None
        if settings.method in LOSS_METHODS:
            self.by_losses = losses.METHODS[settings.method](settings, size, self.device, seed)
        else:
            self.by_gradients = gradients.GradientMethod(settings, size, seed)
        lowest = [settings.lowest.get(name, 0.0) for name in self.names]
        self._lowest = torch.tensor(lowest, device=self.device)
        self._initial = torch.zeros(size, device=self.device)  # 0: not known yet
        self._begun: set[int] = set()  # those whose initial loss is known
        self._gradient_scale = GradientScale(self.tasks, self.device)
        self._decided = np.zeros(size)  # by the gradient methods at last; 0: not yet
        self._shared = [one for one in shared if one.requires_grad]
        #: Factors of the last step by task; where they were recorded, the lengths of the tasks' gradients, and the
        #: cosines between them.
        self.factors: Tensor = torch.ones(size)
        self.lengths: Tensor | None = None
        self.cosines: Tensor | None = None

    def change(self, settings: BalanceSettings, weights: Mapping[str, float]) -> None:
        """Go on with other weights and other numbers of the same method; what it keeps between steps stays."""
        self.settings = settings
        self.weights = self._weights(weights)
        for method in (self.by_losses, self.by_gradients):
            if method is not None:
                method.settings = settings

    def _weights(self, weights: Mapping[str, float]) -> list[float]:
        """What each loss is weighted by, from the tasks' own weights by name."""
        settings, given = self.settings, self.settings.weights
        pairs = list(zip(self.names, self.tasks, strict=True))
        found = [
            1.0 if settings.method == "equal" else given.get(name, given.get(task, weights[task]))
            for name, task in pairs
        ]
        if settings.method == "coupled":
            first = {task: name for name, task in reversed(pairs)}
            found = [
                weight if name == first[task] else weight * settings.coupling
                for (name, task), weight in zip(pairs, found, strict=True)
            ]
        return found

    # -- a step ------------------------------------------------------------------------------------------------------

    def begin(self, step: int, rows: Mapping[str, int]) -> None:
        """A new step; ``rows``: how many of this process's images in it are labelled for each task."""
        own = torch.tensor([float(rows.get(task, 0)) for task in self.tasks])
        self._step = step
        self._totals = (self.group.sum(own.to(self.device)) if self.group.world > 1 else own).tolist()
        self._present = [i for i, count in enumerate(self._totals) if count and self.weights[i]]
        self._mask = self._moved([float(i in set(self._present)) for i in range(len(self.names))]) > 0
        self.lengths = self.cosines = None
        self._recording = bool(self.settings.record) and step % self.settings.record == 0
        # A task that was not there at the last decision calls for a new one.
        due = step % self.settings.every == 0 or not all(self._decided[self._present])
        self._measuring = self.settings.normalise == "gradient" and self._gradient_scale.wants(self._present)
        self._comparing = due or self._recording or self._measuring
        self._parts: list[_Part] = []
        size = len(self.names)
        self._losses = torch.zeros(size, device=self.device)
        self._gathered = Gathered(self.settings.at, size, self._shared, self.group, self.device)
        waits = self.settings.normalise == "initial" and not self._begun.issuperset(self._present)
        ahead = self.by_losses is None or self.by_losses.ahead
        self._at_once = ahead and not waits
        if self.by_losses is not None and self._at_once:
            self.factors = self._normalised(self.by_losses.factors(self._losses, self._mask, step))

    def cut(self) -> Cut | None:
        """What the forward pass of the next part is to be given; None: nothing."""
        if self.by_gradients is not None:
            return Cut()
        return Cut(part=False) if self._recording or self._measuring else None

    def add(self, terms: Terms, rows: Mapping[str, Tensor], cut: Cut | None) -> None:
        """Some of the step's images: the loss terms (scalars) and the labelled images (int64 [n]) by task."""
        part = _Part({}, {}, {}, cut)
        for i in self._present:
            task = self.tasks[i]
            if task in terms:
                kept = self.terms[i] or tuple(terms[task])
                part.losses[i] = torch.stack([terms[task][name] for name in kept]).sum()
                part.shares[i] = len(rows[task]) / self._totals[i]
                part.rows[i] = rows[task]
        if not part.losses:
            return
        self._losses = self._losses + self._vector(part, lambda i: part.losses[i].detach().float()) * self._moved(
            [part.shares.get(i, 0.0) for i in range(len(self.names))]
        )
        if self._at_once:
            self._consume(part)
        self._parts.append(part)

    def weighted(self, terms: Terms) -> dict[str, Tensor]:
        """Each task's loss as the weights make it, before the method acts: scalars with their graph. Tasks of weight 0
        are left out; ``terms`` as for :meth:`add`."""
        scale = self._scale()
        found: dict[str, Tensor] = {}
        for i, task in enumerate(self.tasks):
            if task in terms and self.weights[i]:
                kept = self.terms[i] or tuple(terms[task])
                loss = torch.stack([terms[task][name].float() for name in kept]).sum() * scale[i]
                found[task] = found[task] + loss if task in found else loss
        return found

    def finish(self) -> Tensor:
        """Bring the gradients of all parts into place; returns what was minimised, a detached scalar: the sum of factor
        x weight x loss over the tasks, of all processes."""
        values = self.group.sum(self._losses)
        if self.settings.normalise == "initial":
            self._initial = torch.where(self._mask & (self._initial == 0), values.abs(), self._initial)
            self._begun |= set(self._present)
        scale = self._scale()
        scaled = torch.where(self._mask, values * scale, torch.zeros_like(values))
        if self.by_losses is not None:
            self.by_losses.lowest = self._lowest * scale
            if not self._at_once:
                self.factors = self._normalised(self.by_losses.factors(scaled, self._mask, self._step))
        if not self._at_once:
            for part in self._parts:
                self._consume(part)
        if self.by_losses is not None:
            self.by_losses.learn(scaled, self._mask)
            if self._recording or self._measuring:
                whole = self._gathered.gramian()
                if self._measuring:
                    self._gradient_scale.learn(whole, scale, self._present, self._mask)
                if self._recording:
                    self._record(whole)
        else:
            self._finish_gradients(self.by_gradients, scale)
        self._parts, self._gathered.rows = [], {}  # as large as the shared weights, for each task
        return (self.factors * scaled).sum().detach()

    def end_epoch(self) -> None:
        """An epoch is over."""
        if self.by_losses is not None:
            self.by_losses.end_epoch()

    def records(self) -> dict[str, dict[str, dict[str, float]]]:
        """What was recorded at the last step, by kind, task and name; nothing where none was due. Waits for the device.

        ``factor``: each present task's (name ``factor``); ``gradient``: the length of its weighted loss's gradient
        where the tasks are compared (name ``length``); ``conflict``: the cosine between the gradients of a task and
        another (the name), each pair once. Unknown ones are left out.
        """
        if not self._recording:
            return {}
        factors = self.factors.tolist()
        found: dict[str, dict[str, dict[str, float]]] = {
            "factor": {self.names[i]: {"factor": factors[i]} for i in self._present}, "gradient": {}, "conflict": {},
        }  # fmt: skip
        if self.lengths is not None:
            lengths = self.lengths.tolist()
            found["gradient"] = {self.names[i]: {"length": lengths[i]} for i in self._present if lengths[i] > 0}
        if self.cosines is not None:
            for i in self._present:
                pairs = {self.names[j]: float(self.cosines[i, j]) for j in self._present if j > i}
                known = {name: value for name, value in pairs.items() if np.isfinite(value)}
                if known:
                    found["conflict"][self.names[i]] = known
        return found

    # -- what is kept ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """What the method keeps between steps: what a resumed training must know."""
        method = self.by_losses or self.by_gradients
        assert method is not None
        decided = torch.from_numpy(self._decided.copy())
        return {
            "initial": self._initial,
            **{f"scale.{name}": value for name, value in self._gradient_scale.state().items()},
            "decided": decided,
            **{f"method.{name}": value for name, value in method.state.items()},
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state. Raises OneglanceError where it is another method's, or of other tasks."""
        own = self.state()
        if own.keys() != state.keys() or any(own[name].shape != state[name].shape for name in own):
            raise OneglanceError("the state of the balance is of another method, or of other tasks")
        moved = {name: value.to(own[name].device, own[name].dtype, copy=True) for name, value in state.items()}
        self._initial = moved.pop("initial")
        self._gradient_scale.load({name: moved.pop(f"scale.{name}") for name in self._gradient_scale.state()})
        self._decided = moved.pop("decided").numpy()
        self._begun = {i for i, value in enumerate(self._initial.tolist()) if value}
        method = self.by_losses or self.by_gradients
        assert method is not None
        method.state = {name.removeprefix("method."): value for name, value in moved.items()}

    # -- inside ------------------------------------------------------------------------------------------------------

    def _moved(self, numbers: list[float]) -> Tensor:
        return torch.tensor(numbers).to(self.device, non_blocking=True)

    def _vector(self, part: _Part, of) -> Tensor:  # type: ignore[no-untyped-def]
        nothing = torch.zeros((), device=self.device)
        return torch.stack([of(i) if i in part.losses else nothing for i in range(len(self.names))])

    def _scale(self) -> Tensor:
        """What each loss is multiplied by before the method sees it, float [T]."""
        weights = self._moved(self.weights)
        match self.settings.normalise:
            case "initial":
                return weights / torch.where(self._initial > 0, self._initial, torch.ones_like(self._initial))
            case "gradient":
                return weights * self._gradient_scale.factors()
        return weights

    def _normalised(self, factors: Tensor) -> Tensor:
        """The factors scaled so that their magnitudes sum to the number of tasks in the step."""
        total = factors.abs().sum()
        return factors * torch.where(total > 0, len(self._present) / total, torch.ones_like(total))

    def _consume(self, part: _Part) -> None:
        """Go backwards through a part: wholly where the factors are known, to the shared maps else."""
        shares = self._moved([part.shares.get(i, 0.0) for i in range(len(self.names))])
        scale = self._scale() * shares
        if self._recording:
            self._gathered.count(part.rows)
        if self.by_losses is not None:
            if part.cut is not None:
                self._gathered.look(part.cut, part.losses, scale)
            chosen = torch.where(shares > 0, self.factors * scale, torch.zeros_like(scale))
            (self._vector(part, lambda i: part.losses[i].float()) * chosen).sum().backward()
            return
        assert part.cut is not None
        last = max(part.losses)
        for i, loss in part.losses.items():
            # Heads may have something in common (a branch, the terms of one task): their graph goes with the last.
            torch.autograd.backward(loss, scale[i].to(loss.dtype), retain_graph=i != last)
            part.gradients[i] = [seen.grad for seen in part.cut.seen]
            for seen in part.cut.seen:
                seen.grad = None
        if self._comparing:
            self._gathered.take(part.cut, part.gradients)
            if self.settings.at == "parameters":
                part.gradients, part.cut = {}, None  # the graph is not needed any more

    def _finish_gradients(self, method: gradients.GradientMethod | None, scale: Tensor) -> None:
        assert method is not None
        if not self._comparing:
            factors = np.where(np.isin(np.arange(len(self.names)), self._present), self._decided, 0.0)
            self.factors = self._moved(factors.tolist())
            for number, part in enumerate(self._parts):
                self._through_trunk(part, factors, number)
            return
        if self.settings.at == "parameters":
            self._gathered.sum_rows(self._present)
        whole = self._gathered.gramian()
        if self._measuring:
            self._gradient_scale.learn(whole, scale, self._present, self._mask)
        # The one place where the host waits for the device: everything further is small and done in float64.
        gramian = whole.detach().cpu().double().numpy()
        alive = [i for i in self._present if gramian[i, i] > 0 and np.isfinite(gramian[i, i])]
        factors = np.zeros(len(self.names))
        factors[self._present] = 1.0  # what is not finite must be seen by whoever checks the gradient
        if len(alive) > 1 and np.isfinite(gramian).all() and self.settings.method != "graddrop":
            chosen = np.array(alive)
            factors[chosen] = method.factors(gramian[np.ix_(chosen, chosen)], chosen, self._step)
        self._decided[alive] = factors[alive]
        self.factors = self._moved(factors.tolist())
        if self._recording:
            self._record(whole)
        if self._gathered.rows:
            self._place(factors)
            return
        for number, part in enumerate(self._parts):
            self._through_trunk(part, factors, number)

    def _through_trunk(self, part: _Part, factors: np.ndarray, number: int) -> None:
        """One backward pass of the trunk for all tasks."""
        assert part.cut is not None
        maps, combined = [], []
        for k, shared in enumerate(part.cut.shared):
            found = [(factors[i], of[k]) for i, of in part.gradients.items() if of[k] is not None]
            if found:
                maps.append(shared)
                combined.append(self._combined(found, (number, k)))
        if maps:
            torch.autograd.backward(maps, combined)

    def _combined(self, found: list[tuple[float, Tensor | None]], place: tuple[int, int]) -> Tensor:
        gradients_ = [one for _, one in found if one is not None]
        if self.settings.method == "graddrop":
            seed = np.random.SeedSequence([self.seed, self._step, self.group.rank, *place]).generate_state(1)[0]
            generator = torch.Generator(gradients_[0].device).manual_seed(int(seed))
            return gradients.drop_signs(gradients_, generator)
        total = gradients_[0] * found[0][0]
        for (factor, _), one in zip(found[1:], gradients_[1:], strict=True):
            total = total.add(one, alpha=factor)
        return total

    def _place(self, factors: np.ndarray) -> None:
        """The parameters' gradients from the tasks', divided among the processes whose gradients are to be summed."""
        for k, parameter in enumerate(self._shared):
            found = [(factors[i], rows[k]) for i, rows in self._gathered.rows.items() if rows[k] is not None]
            if found:
                combined = self._combined(found, (0, k)) / self.group.world
                parameter.grad = combined if parameter.grad is None else parameter.grad + combined

    def _record(self, gramian: Tensor) -> None:
        gramian = gramian.detach().float().cpu()
        self.lengths = gramian.diagonal().clamp(min=0).sqrt()
        found = cosines(gramian)
        if self._gathered.apart:  # where no image has both labels, nothing is known of conflict
            found[self._gathered.together().cpu() == 0] = torch.nan
        self.cosines = found
