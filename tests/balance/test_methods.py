"""Each method against its definition, and against TorchJD's where TorchJD has it without further solvers."""

import numpy as np
import pytest
import torch

from oneglance.balance import GRADIENT_METHODS, BalanceSettings, solvers
from oneglance.balance.gradients import GradientMethod
from oneglance.balance.losses import METHODS


def weights(method, gramian, tasks=None, step=0, **options):
    settings = BalanceSettings(method=method, **options)
    tasks = np.arange(len(gramian)) if tasks is None else tasks
    return GradientMethod(settings, len(gramian), 0).weights(gramian, tasks, step)


def jacobians(count=30, seed=0, most=7):
    """Random Jacobians float64 [K, n], many with conflict, some with rows of very different length."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        tasks = int(rng.integers(2, most))
        rows = rng.normal(size=(tasks, tasks + int(rng.integers(0, 9))))
        if number % 2:
            rows -= rows.mean(0) * rng.uniform(0.5, 0.95)
        if number % 3 == 0:
            rows *= 10 ** rng.uniform(-2, 2, (tasks, 1))
        yield rows


@pytest.mark.parametrize("method", ["upgrad", "dualproj", "mgda", "nash_mtl", "fairgrad", "imtl_g", "config"])
def test_a_conflict_free_method_increases_no_loss_to_first_order(method):
    for rows in jacobians():
        gramian = rows @ rows.T
        change = gramian @ weights(method, gramian)
        scale = np.sqrt(np.diag(gramian)) * np.sqrt(change @ np.linalg.pinv(gramian) @ change)
        assert (change >= -1e-5 * scale).all()


def test_the_plain_sum_is_not_conflict_free():
    assert any((rows @ rows.T @ np.ones(len(rows)) < 0).any() for rows in jacobians())


@pytest.mark.parametrize("method", [m for m in GRADIENT_METHODS if m not in ("graddrop", "gradvac")])
def test_gradients_of_one_length_at_right_angles_are_weighed_alike(method):
    found = weights(method, np.eye(3) * 4)
    np.testing.assert_allclose(found / found.sum(), np.full(3, 1 / 3), rtol=1e-4)


@pytest.mark.parametrize("method", [m for m in GRADIENT_METHODS if m not in ("graddrop", "pcgrad", "gradvac")])
def test_opposite_gradients_give_finite_weights_and_no_step(method):
    found = weights(method, np.array([[1.0, -1.0], [-1.0, 1.0]]))
    assert np.isfinite(found).all()
    found = found / max(np.abs(found).sum(), 1e-30)
    assert abs(found[0] - found[1]) < 1e-2


def test_mgda_is_the_shortest_convex_combination():
    for rows in jacobians():
        gramian = rows @ rows.T
        w = solvers.nearest_to_origin(solvers.scaled(gramian))
        slope = gramian @ w
        assert (w >= 0).all()
        assert w.sum() == pytest.approx(1)
        assert slope.min() >= w @ slope * (1 - 1e-5) - 1e-6 * np.diag(gramian).max() * 1e-3


def test_nash_and_fairgrad_solve_their_equation():
    for rows in jacobians():
        gramian = solvers.scaled(rows @ rows.T)
        for alpha in (1.0, 2.0, 0.5):
            x = solvers.fair(gramian, alpha)
            np.testing.assert_allclose((gramian @ x) * x ** (1 / alpha), 1, rtol=1e-3)


def test_nash_is_fairgrad_with_alpha_1():
    for rows in jacobians(5):
        gramian = rows @ rows.T
        np.testing.assert_allclose(weights("nash_mtl", gramian), weights("fairgrad", gramian, alpha=1.0))


def test_cagrad_is_the_mean_for_c_0_and_turns_to_mgda_for_a_large_one():
    for rows in jacobians(10):
        gramian = rows @ rows.T
        np.testing.assert_allclose(weights("cagrad", gramian, c=0), 1 / len(gramian))
        far, near = weights("cagrad", gramian, c=1e4), weights("mgda", gramian)
        np.testing.assert_allclose(far / far.sum(), near, atol=1e-2)


def test_cagrad_finds_the_best_worst_improvement_within_its_ball():
    rng = np.random.default_rng(1)
    for rows in jacobians(8, seed=3, most=4):
        gramian = rows @ rows.T
        found = weights("cagrad", gramian, c=0.5) @ rows
        mean = rows.mean(0)
        radius = 0.5 * np.linalg.norm(mean)
        assert np.linalg.norm(found - mean) <= radius * (1 + 1e-6)
        around = rng.normal(size=(2000, rows.shape[1]))
        around = mean + radius * around / np.linalg.norm(around, axis=1, keepdims=True)
        assert (rows @ found).min() >= (around @ rows.T).min(1).max() - 1e-9


def test_imtl_g_projects_alike_and_config_turns_alike():
    for rows in jacobians():
        if np.linalg.matrix_rank(rows) < len(rows):
            continue
        length = np.linalg.norm(rows, axis=1)
        for method in ("imtl_g", "config"):
            projected = rows @ (weights(method, rows @ rows.T) @ rows) / length
            np.testing.assert_allclose(projected, projected.mean(), rtol=1e-3)


def test_gradvac_with_no_memory_and_beta_0_is_pcgrad_of_two():
    for rows in jacobians(10, most=3):
        gramian = rows @ rows.T
        np.testing.assert_allclose(weights("gradvac", gramian, beta=0), weights("pcgrad", gramian), rtol=1e-6)


def test_drawing_depends_on_the_seed_and_the_step_alone_and_leaves_torchs_generator_alone():
    rows = next(jacobians(1, seed=4, most=8)) - 0.5
    gramian = rows @ rows.T
    before = torch.get_rng_state()
    one, other = weights("pcgrad", gramian, step=3), weights("pcgrad", gramian, step=3)
    assert (one == other).all()
    assert torch.equal(before, torch.get_rng_state())


# --- TorchJD -----------------------------------------------------------------------------------------------------

torchjd = pytest.importorskip("torchjd.aggregation")


@pytest.mark.parametrize(
    ("method", "theirs", "options"),
    [
        ("imtl_g", lambda: torchjd.IMTLGWeighting(), {}),
        ("aligned_mtl", lambda: torchjd.AlignedMTLWeighting(), {}),
        ("mgda", lambda: torchjd.MGDAWeighting(epsilon=1e-8, max_iters=3000), {}),
        ("upgrad", lambda: torchjd.UPGradWeighting(), {}),
        ("dualproj", lambda: torchjd.DualProjWeighting(), {}),
        ("cagrad", lambda: torchjd.CAGradWeighting(c=0.4, norm_eps=1e-12), {}),
        ("fairgrad", lambda: torchjd.FairGradWeighting(alpha=2.0), {}),
    ],
)
def test_weights_point_where_torchjds_point(method, theirs, options):
    try:
        asked = theirs()
    except ImportError as error:
        pytest.skip(f"TorchJD's needs more than this project does: {error}")
    rng = np.random.default_rng(0)
    for _ in range(8):
        rows = rng.normal(size=(3, 6)) + rng.normal(size=6) * 0.3
        gramian = rows @ rows.T / 6
        expected = asked(torch.from_numpy(gramian)).numpy() @ rows
        found = weights(method, gramian, **options) @ rows
        assert found @ expected / np.linalg.norm(found) / np.linalg.norm(expected) > 0.9995


def test_config_points_where_torchjds_points():
    for rows in jacobians(10):
        expected = torchjd.ConFIG()(torch.from_numpy(rows)).numpy()
        found = weights("config", rows @ rows.T) @ rows
        assert abs(found @ expected) / np.linalg.norm(found) / np.linalg.norm(expected) > 1 - 1e-6


@pytest.mark.parametrize("method", ["uncertainty", "imtl_l", "geometric", "stch"])
def test_factors_are_the_derivatives_of_torchjds_scalarisations(method):
    from torchjd import scalarization as s

    theirs = {"uncertainty": s.UW(3), "imtl_l": s.IMTLL(3), "geometric": s.GeometricMean(), "stch": s.STCH(0.5)}[method]
    ours = METHODS[method](BalanceSettings(method=method, mu=0.5, lr=0.1), 3, torch.device("cpu"), 0)
    present = torch.ones(3, dtype=torch.bool)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.1) if list(theirs.parameters()) else None
    for number in range(5):
        values = torch.tensor([0.5, 2.0, 1.0 + number], requires_grad=True)
        theirs.zero_grad()
        theirs(values).backward()
        found = ours.factors(values.detach(), present, number)
        expected = values.grad
        torch.testing.assert_close(found / found.sum(), expected / expected.sum(), rtol=1e-4, atol=1e-6)
        ours.learn(values.detach(), present)
        if optimizer is not None:
            optimizer.step()


def test_dwa_is_torchjds():
    from torchjd.scalarization import DWA

    theirs = DWA(2.0)
    ours = METHODS["dwa"](BalanceSettings(method="dwa"), 3, torch.device("cpu"), 0)
    present, rng = torch.ones(3, dtype=torch.bool), torch.Generator().manual_seed(0)
    for number in range(12):
        values = torch.rand(3, generator=rng).requires_grad_()
        theirs(values).backward()
        found = ours.factors(values.detach(), present, number)
        torch.testing.assert_close(3 * found / found.sum(), values.grad, rtol=1e-4, atol=1e-6)
        ours.learn(values.detach(), present)
        if number % 3 == 2:
            theirs.step(), ours.end_epoch()


def test_famo_is_torchjds_where_a_step_later_is_the_same_batch():
    from torchjd.scalarization import FAMO

    theirs = FAMO(3, lr=0.1)
    ours = METHODS["famo"](BalanceSettings(method="famo", lr=0.1), 3, torch.device("cpu"), 0)
    present, values = torch.ones(3, dtype=torch.bool), torch.tensor([1.0, 2.0, 0.5])
    for number in range(6):
        if number:
            theirs.update(values)
        asked = values.clone().requires_grad_()
        theirs(asked).backward()
        found = ours.factors(values, present, number)
        torch.testing.assert_close(found / found.sum(), asked.grad / asked.grad.sum(), rtol=1e-3, atol=1e-5)
        values = values * torch.tensor([0.9, 0.99, 0.7])


def test_random_factors_change_with_every_step_and_not_with_the_process():
    one, other = (METHODS["random"](BalanceSettings(method="random"), 3, torch.device("cpu"), 5) for _ in range(2))
    present, losses = torch.ones(3, dtype=torch.bool), torch.ones(3)
    assert torch.equal(one.factors(losses, present, 4), other.factors(losses, present, 4))
    assert not torch.equal(one.factors(losses, present, 4), other.factors(losses, present, 5))
