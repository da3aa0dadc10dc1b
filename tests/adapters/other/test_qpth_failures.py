"""The qpth adapter on elements that are not solved."""

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_near
from tests.tolerances import ANSWER, SCALED_ANSWER, SHARED, SINGLE_ANSWER

torch = pytest.importorskip("torch")
from kktdiff.adapters.qpth import QPFunction
from tests.adapters.other.test_qpth import NAMES, assert_same, double, drawn, gradients


@pytest.mark.parametrize("verbose", [-1, 0, 1])
def test_one_warning_counts_what_is_not_solved(verbose):
    Q, p, G, h, A, b = drawn(404, dict.fromkeys(NAMES, (5,)))
    A[1], b[1], A[3], b[3], p[2] = 0.0, 1.0, 0.0, 1.0, torch.nan
    function = QPFunction(verbose=verbose)
    with pytest.warns(kktdiff.SolveWarning) as caught:
        function(Q, p.requires_grad_(), G, h, A, b)[0].sum().backward()
    (warning,) = caught
    assert str(warning.message) == (
        "3 of 5 problems not solved: 2 PRIMAL_INFEASIBLE, 1 INVALID_DATA. Their gradients are "
        "zero; see `last.status`."
    )
    assert warning.filename == __file__
    assert function.last.solved.tolist() == [True, False, False, False, True]


def test_what_is_not_solved_in_a_vmap_is_counted():
    Q, p, G, h, A, b = drawn(404, {"b": (3,)})
    A[1] = A[0]  # twice the same row
    b[[0, 2], 1] = b[[0, 2], 0] + 1.0
    b[1, 1] = b[1, 0]
    with pytest.warns(kktdiff.SolveWarning, match="^2 of 3 problems not solved: 2 PRIMAL_INF"):
        x = torch.func.vmap(lambda b: QPFunction()(Q, p, G, h, A, b))(b)
    assert x.shape == (3, 1, 5)
    assert x.isfinite().all()


def test_an_indefinite_Q_raises_only_when_it_is_checked():
    good, *rest = drawn(416)
    bad, function = good.clone(), QPFunction()
    bad[1] -= 100 * torch.eye(5)
    with pytest.raises(RuntimeError, match=r"^Q is not SPD\.$"):
        function(bad, *rest)
    assert function.last.status.tolist() == [0, kktdiff.Status.NONCONVEX, 0]
    with pytest.warns(kktdiff.SolveWarning, match="1 of 3 problems not solved: 1 NONCONVEX"):
        x, grads = gradients([bad, *rest], QPFunction(check_Q_spd=False))
    expected, same = gradients([good, *rest])
    assert_same(x[::2], expected[::2])
    assert x[1].isnan().all()
    for name in NAMES:
        assert_same(grads[name][::2], same[name][::2])
        assert not grads[name][1].any()


@pytest.mark.filterwarnings("ignore::kktdiff.SolveWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_infeasible_row_leaves_the_loss_finite_and_harms_no_other(dtype):
    tensors = [t.to(dtype) for t in drawn(417, {"p": (3,), "h": (3,)})]
    Q, p, G, h, A, b = tensors
    G[1], h[1, :2] = -G[0], -1.0  # of the second element: G[0] x <= -1 and G[0] x >= 1
    found = []
    for rows in (slice(None), slice(None, None, 2)):
        leaves = [t.clone().requires_grad_() for t in (Q, p[rows], G, h[rows], A, b)]
        loss = ((x := QPFunction()(*leaves)) - 1).square().sum()
        assert loss.isfinite()
        loss.backward()
        found.append([x.detach(), *(leaf.grad for leaf in leaves)])
    closest = kktdiff.solve_qp(*(t.numpy() for t in tensors), infeasible="closest").x
    assert_same(found[0][0][1], torch.tensor(closest[1]))
    for name, grad, expected in zip(("x", *NAMES), *found, strict=True):
        tol = SHARED if dtype == torch.float64 else SINGLE_ANSWER
        assert_near(grad[::2] if name in "xph" else grad, expected, tol, name)
    assert not found[0][2][1].any()
    assert not found[0][4][1].any()


@pytest.mark.filterwarnings("ignore::kktdiff.SolveWarning")
def test_a_training_set_with_infeasible_rows_is_learnt_from():
    """Every loss is finite, and all steps are those of the set without these rows."""
    rng = np.random.default_rng(420)
    limits, target = (
        torch.tensor(rng.uniform(0.5, 2.0, (8, 1))),
        torch.tensor(rng.normal(size=(8, 2))),
    )
    ends = {}
    for some in ("all", "feasible"):
        p, good = torch.zeros(2, dtype=torch.float64, requires_grad=True), torch.arange(8) % 3 != 1
        optimizer = torch.optim.SGD([p], lr=0.1)
        for _ in range(5):
            rows = torch.ones(8, dtype=torch.bool) if some == "all" else good
            # sum(x) <= limit, and sum(x) >= 0, or >= limit + 1 where there is no such x
            low = torch.where(good, 0.0, -limits[:, 0] - 1.0)[:, None]
            h = torch.cat([limits, low], 1)[rows]
            G = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
            x = QPFunction()(torch.eye(2, dtype=torch.float64), p, G, h, None, None)
            loss = (x - target[rows]).square().sum()
            assert loss.isfinite()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        ends[some] = p.detach().clone()
    assert ends["all"].abs().min() > 1e-3
    assert_near(ends["all"], ends["feasible"], SHARED, "p")


@pytest.mark.filterwarnings("ignore::kktdiff.SolveWarning")
def test_an_element_that_ran_out_of_iterations_has_its_best_iterate():
    tensors, function = drawn(421), QPFunction()
    function.max_iter = 1
    x, grads = gradients(tensors, function)
    stopped = function.last.status == int(kktdiff.Status.MAX_ITER)
    assert stopped.any()
    assert x.isfinite().all()
    assert_same(x, torch.tensor(kktdiff.solve_qp(*(t.numpy() for t in tensors), max_iter=1).x))
    for name in NAMES:
        assert not grads[name][stopped].any()


@pytest.mark.filterwarnings("ignore::kktdiff.SolveWarning")
def test_nan_is_left_where_there_is_no_point_to_return():
    G, none = -torch.eye(2, dtype=torch.float64), torch.Tensor()  # x >= 0
    Q, p = torch.zeros(3, 2, 2, dtype=torch.float64), torch.ones(3, 2, dtype=torch.float64)
    p[1], p[2] = -1.0, torch.nan  # unbounded, and no data
    function = QPFunction()
    x = function(Q, p, G, torch.zeros(2, dtype=torch.float64), none, none)
    names = [kktdiff.Status(int(status)).name for status in function.last.status]
    assert names == ["SOLVED", "DUAL_INFEASIBLE", "INVALID_DATA"]
    assert x.isnan().all(1).tolist() == [False, True, True]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_infeasible_by_the_rounding_of_float32_is_solved(dtype):
    G = torch.cat([torch.ones(1, 3), -torch.eye(3)]).to(dtype)  # sum(x) <= 1, x >= 0
    h, b = torch.eye(4, dtype=dtype)[0], 1 + double(0, 1e-8, 1e-7, 1e-6)[:, None].to(dtype)
    p, function = double(0.1, 0.2, -0.3).to(dtype).requires_grad_(), QPFunction()
    x = function(torch.eye(3, dtype=dtype), p, G, h, torch.ones(1, 3, dtype=dtype), b)
    x[:, 0].sum().backward()
    assert function.last.solved.all()
    tol, slope = (SINGLE_ANSWER,) * 2 if dtype == torch.float32 else (SCALED_ANSWER, ANSWER)
    assert_near(x.detach(), (1 / 3 - double(0.1, 0.2, -0.3)).expand(4, 3), tol, "x")
    assert_near(p.grad / 4, double(-2, 1, 1) / 3, slope, "p")
