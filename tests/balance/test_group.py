"""Two processes, each with half of every step's images: the same numbers in both, and those of one process with all."""

import os
import socket
from pathlib import Path

import pytest
import torch
from small import PARTLY, Small, balance_of, images_of, step
from torch import distributed, multiprocessing

from oneglance.balance import Group

STEPS = 50
CASES = [
    ("sum", {}), ("uncertainty", {"lr": 0.1}), ("geometric", {}), ("famo", {}), ("random", {}), ("dwa", {}),
    ("cagrad", {}), ("pcgrad", {}), ("gradvac", {"beta": 0.3}), ("nash_mtl", {"at": "channels"}),
    ("mgda", {"at": "parameters"}), ("imtl_g", {"normalise": "initial"}), ("graddrop", {}),
    ("equal", {"normalise": "gradient"}),
]  # fmt: skip


def train(case, group, parts_of, steps):
    method, options = case
    net = Small("abc")
    balance = balance_of(method, net, group=group, record=7, **options)
    for number in range(steps):
        # Task c is now with one process, now with the other, now with none.
        rows = dict(PARTLY) if number % 4 else {"a": PARTLY["a"], "b": PARTLY["b"]}
        images = images_of(rows, seed=number)
        part = images.part(parts_of(number))
        counts = {name: len(part.rows.get(name, ())) for name in net.heads}
        step(balance, net, [part], number, counts)
        balance.records()
        with torch.no_grad():
            for parameter in net.parameters():
                if parameter.grad is not None:
                    parameter -= 0.02 * parameter.grad
        if number % 10 == 9:
            balance.end_epoch()
    return {**{n: p.detach() for n, p in net.named_parameters()}, **{f"_{n}": v for n, v in balance.state().items()}}


def work(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    found = {}
    for case in CASES:
        ended = train(case, Group(), lambda number: [k for k in range(8) if (k + number) % 2 == rank], STEPS)
        found[case[0]] = ended
    torch.save(found, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    multiprocessing.spawn(work, (port, str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("case", CASES, ids=[method for method, _ in CASES])
def test_two_processes_stay_equal_to_the_bit(case, both):
    one, other = (found[case[0]] for found in both)
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("case", [c for c in CASES if c[0] != "graddrop"], ids=lambda case: case[0])
def test_two_processes_are_one_with_all_the_images(case, both):
    alone = train(case, None, lambda number: range(8), STEPS)
    for name, value in both[0][case[0]].items():
        torch.testing.assert_close(alone[name], value, rtol=2e-2, atol=2e-3, equal_nan=True)


def test_a_process_alone_is_a_group():
    group = Group()
    assert (group.rank, group.world) == (0, 1)
    assert group.sum(torch.ones(2)).tolist() == [1, 1]
