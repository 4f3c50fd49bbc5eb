"""A BNNeck that any number of rows can pass."""

import pytest
import torch

from oneglance.recognition.neck import RowNorm, unit


def rows(n: int) -> torch.Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(n)) * 3 + 5


def test_after_many_rows_it_is_batch_norm_without_a_bias():
    norm, data = RowNorm(6, prior=0), rows(400)
    for part in data.split(40):
        norm(part)
    norm.eval()
    torch.testing.assert_close(norm.mean, data.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.var, data.var(0, correction=0), rtol=1e-4, atol=1e-4)
    expected = torch.nn.functional.batch_norm(data, data.mean(0), data.var(0, correction=0))
    torch.testing.assert_close(norm(data), expected, rtol=1e-3, atol=1e-3)
    assert [name for name, _ in norm.named_parameters()] == ["weight"]


def test_a_row_weighs_the_same_however_many_come_with_it():
    data = rows(60)
    one, other = RowNorm(6), RowNorm(6)
    for part in data.split(1):
        one(part)
    one_two = data.split([1, 2, 7, 50])
    for part in one_two:
        other(part)
    torch.testing.assert_close(one.mean, other.mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(one.var, other.var, rtol=1e-4, atol=1e-4)
    assert one.seen == other.seen == 60


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_batch_of_hardly_any_rows_passes_and_learns(n):
    norm = RowNorm(6)
    data = rows(n).requires_grad_()
    out = unit(norm(data))
    out[:, 0].sum().backward()
    assert torch.isfinite(out).all()
    assert torch.isfinite(data.grad).all()
    if n:
        assert (data.grad != 0).any()
        assert norm(rows(2)).abs().std() > 0.05  # two rows are not made +1 and -1 of


def test_answers_change_nothing():
    norm = RowNorm(6).eval()
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    norm(rows(10))
    assert all((v == before[k]).all() for k, v in norm.state_dict().items())
