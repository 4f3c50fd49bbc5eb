"""The linear discriminant in closed form: scikit-learn's directions, no matter how many numbers a descriptor has."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from oneglance.recognition import discriminant as module
from oneglance.recognition.discriminant import discriminant


def people_in(width: int, people: int = 12, each: int = 20, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Descriptors [N, width]: who it is shows in three directions, and in others far more of what does not matter."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), each)
    basis, _ = np.linalg.qr(rng.normal(size=(width, width)))
    seen = rng.normal(size=(len(who), width))
    seen[:, :3] = 0.3 * seen[:, :3] + rng.normal(size=(people, 3))[who]
    seen[:, 3:6] *= 5
    return torch.from_numpy((seen @ basis.T + rng.normal(size=width)).astype(np.float32)), torch.from_numpy(who)


def cosines(rows: torch.Tensor, people: torch.Tensor, dim: int = 8) -> torch.Tensor:
    mean, matrix = discriminant(rows, people, dim)
    vectors = torch.nn.functional.normalize((rows - mean) @ matrix, dim=1)
    return vectors @ vectors.T


def apart(likeness: torch.Tensor, people: torch.Tensor) -> float:
    """How much more alike images of one person are than those of two, in spreads."""
    same = people[:, None] == people
    other = likeness[~same]
    own = likeness[same & ~torch.eye(len(people), dtype=torch.bool)]
    return float((own.mean() - other.mean()) / other.std())


def test_its_directions_are_scikit_learns(monkeypatch):
    monkeypatch.setattr(module, "SHRINKAGE", 1e-9)
    rows, people = people_in(10)
    mean, matrix = discriminant(rows, people, 3)
    other = LinearDiscriminantAnalysis(solver="eigen").fit(rows.numpy(), people.numpy())
    mine, theirs = (np.linalg.qr(one)[0] for one in (matrix.double().numpy(), other.scalings_[:, :3]))
    # The same three-dimensional space: all cosines between the two are 1.
    np.testing.assert_allclose(np.linalg.svd(mine.T @ theirs)[1], 1, atol=1e-4)
    torch.testing.assert_close(mean, rows.mean(0))


def test_what_does_not_tell_people_apart_has_no_say():
    rows, people = people_in(30)
    unit = torch.nn.functional.normalize(rows - rows.mean(0), dim=1)
    assert apart(cosines(rows, people), people) > 2 * apart(unit @ unit.T, people) > 0
    # Of people whom it was not made from, too.
    mean, matrix = discriminant(rows[people < 8], people[people < 8], 6)
    new = torch.nn.functional.normalize((rows[people >= 8] - mean) @ matrix, dim=1)
    assert apart(new @ new.T, people[people >= 8]) > 2 * apart(
        (unit @ unit.T)[people >= 8][:, people >= 8], people[people >= 8]
    )


def test_more_numbers_than_images_are_no_matter():
    rows, people = people_in(30, people=6, each=4)
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(200, 200)))
    wide = torch.from_numpy((np.pad(rows.numpy(), ((0, 0), (0, 170))) @ turn).astype(np.float32))
    torch.testing.assert_close(cosines(wide, people), cosines(rows, people), atol=1e-4, rtol=0)


def test_neither_the_order_of_images_nor_the_numbers_of_people_matter():
    rows, people = people_in(20, people=5)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    other = cosines(rows[order], (4 - people)[order])
    torch.testing.assert_close(other, cosines(rows, people)[order][:, order], atol=1e-4, rtol=0)


def test_directions_beyond_the_people_are_empty():
    rows, people = people_in(20, people=4)
    _, matrix = discriminant(rows, people, 9)
    assert matrix.shape == (20, 9)
    assert bool((matrix[:, :3].norm(dim=0) > 0).all())
    assert not matrix[:, 3:].any()


def test_one_image_a_person_and_equal_images_give_numbers():
    rows, _ = people_in(20, people=8, each=1)
    for some in (rows, rows.repeat_interleave(2, 0)):
        own = torch.arange(8) if len(some) == 8 else torch.arange(8).repeat_interleave(2)
        assert bool(torch.isfinite(cosines(some, own)).all())


def test_rows_that_are_all_equal_have_no_directions():
    mean, matrix = discriminant(torch.full((6, 5), 3.0), torch.arange(6) % 3, 4)
    assert matrix.shape == (5, 4)
    assert not matrix.any()
    torch.testing.assert_close(mean, torch.full((5,), 3.0))


@pytest.mark.parametrize("count", [0, 3])
def test_one_person_is_told_apart_from_nobody(count):
    with pytest.raises(ValueError, match="people: nobody is told apart from less than 2"):
        discriminant(torch.zeros(count, 4), torch.zeros(count, dtype=torch.long), 2)
