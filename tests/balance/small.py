"""A network of a few hundred numbers, and steps on it: fast enough to put every method through every test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oneglance.balance import Balance, BalanceSettings, Group
from oneglance.network.cut import Cut


class Small(nn.Module):
    """Two shared maps, one made from the other; of the heads, `a` and `c` look at the first map, `b` at both."""

    def __init__(self, tasks: Sequence[str], seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.second = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 3, 3)
        names = sorted({*tasks, "a", "b", "c"})  # the same start, whichever tasks there are
        heads = {name: nn.Linear(4 + 3 * (name[-1] == "b"), 2) for name in names}
        self.heads = nn.ModuleDict({name: heads[name] for name in tasks})

    def forward(self, images: Tensor, rows: Mapping[str, Tensor], cut: Cut | None = None) -> dict[str, Tensor]:
        first = self.first(images).tanh()
        second = self.second(first).tanh()
        if cut is not None:
            cut.compare_at([first])
            first, second = cut(first), cut(second)
        answers = {}
        for name, at in rows.items():
            pooled = first[at].mean((2, 3))
            if name[-1] == "b":
                pooled = torch.cat([pooled, second[at].amax((2, 3))], 1)
            answers[name] = self.heads[name](pooled)
        return answers

    def shared(self) -> list[nn.Parameter]:
        return [*self.first.parameters(), *self.second.parameters()]


@dataclass
class Images:
    images: Tensor
    rows: dict[str, Tensor]
    truth: dict[str, Tensor]
    scale: Mapping[str, float]

    def part(self, at: Sequence[int]) -> "Images":
        """These images alone."""
        where = {old: new for new, old in enumerate(at)}
        kept = {name: [k for k, row in enumerate(rows.tolist()) if row in where] for name, rows in self.rows.items()}
        return Images(
            self.images[list(at)],
            {n: torch.tensor([where[int(self.rows[n][k])] for k in ks]) for n, ks in kept.items() if ks},
            {n: self.truth[n][ks] for n, ks in kept.items() if ks},
            self.scale,
        )


def images_of(rows: Mapping[str, Sequence[int]], seed: int = 0, scale: Mapping[str, float] | None = None) -> Images:
    """Eight random images, labelled as ``rows`` says; the truth of an image is the same whoever else is labelled."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(8, 2, 6, 6, generator=generator)
    truths = {name: torch.randn(8, 2, generator=generator) for name in "abc"}
    return Images(
        images,
        {name: torch.tensor(at) for name, at in rows.items() if at},
        {name: truths[name[-1]][list(at)] for name, at in rows.items() if at},
        scale or {},
    )


EVERYWHERE = {"a": range(8), "b": range(8), "c": range(8)}
PARTLY = {"a": [0, 1, 2, 5], "b": [1, 2, 3, 4, 7], "c": [2, 5, 6]}


def balance_of(method: str, net: Small, group: Group | None = None, **options: object) -> Balance:
    weights = dict.fromkeys(net.heads, 1.0)
    settings = BalanceSettings(method=method, **{"normalise": "none"} | options)
    return Balance(settings, weights, shared=net.shared(), group=group)


def step(balance: Balance, net: Small, parts: Sequence[Images], number: int = 0, counts=None) -> dict[str, Tensor]:
    """One step's gradients by parameter's name, left in place as well."""
    net.zero_grad(set_to_none=True)
    if counts is None:
        counts = {n: sum(len(part.rows.get(n, ())) for part in parts) for n in net.heads}
    balance.begin(number, counts)
    for part in parts:
        cut = balance.cut()
        answers = net(part.images, part.rows, cut)
        terms = {
            name: {"l1": part.scale.get(name, 1.0) * (answer - part.truth[name]).abs().mean()}
            for name, answer in answers.items()
        }
        balance.add(terms, part.rows, cut)
    balance.finish()
    balance.group.sum_gradients(net.parameters())
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def trunk(gradients: Mapping[str, Tensor]) -> Tensor:
    """The gradient of the shared parameters as float [n]."""
    return torch.cat([g.flatten() for name, g in gradients.items() if not name.startswith("heads.")])
