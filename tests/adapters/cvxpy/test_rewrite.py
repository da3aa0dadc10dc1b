"""Spellings of cvxpy that become a QP, and variables that parameters fix: as if written plainly."""

import numpy as np
import pytest

from tests.checks import assert_near
from tests.tolerances import ANSWER, SHARED

torch = pytest.importorskip("torch")
cp = pytest.importorskip("cvxpy")
from kktdiff.adapters.cvxpy import CvxpyLayer
from kktdiff.adapters.cvxpy._rewrite import rewritten
from tests.adapters.cvxpy.elements import assert_harms_no_other

Q = np.array([[3.0, 1, 0], [1, 2, 0], [0, 0, 1]])
ROOT = np.linalg.cholesky(Q).T
SPELLINGS = {  # (x, X, r, a) -> the objective, and the same written plainly
    "norm(x) ** 2": (lambda x, X, r, a: cp.norm(x) ** 2, lambda x, X, r, a: cp.sum_squares(x)),
    "(-norm(x)) ** 2": (
        lambda x, X, r, a: cp.square(-cp.norm(x)) + cp.square(cp.abs(cp.norm(x - r))),
        lambda x, X, r, a: cp.sum_squares(x) + cp.sum_squares(x - r),
    ),
    "power(norm, 2)": (
        lambda x, X, r, a: cp.power(cp.norm(x - r, 2), 2) * 0.5 + cp.square(cp.norm2(x + r)),
        lambda x, X, r, a: cp.sum_squares(x - r) / 2 + cp.sum_squares(x + r),
    ),
    "quad_over_lin of a norm": (
        lambda x, X, r, a: cp.quad_over_lin(cp.norm(x - r), 4.0) + cp.quad_over_lin(x, 2.0),
        lambda x, X, r, a: cp.sum_squares(x - r) / 4 + cp.sum_squares(x) / 2,
    ),
    "a norm with factors": (
        lambda x, X, r, a: (3 * cp.norm(x - r) / 2) ** 2 + (a * cp.norm(x)) ** 2,
        lambda x, X, r, a: cp.sum_squares(1.5 * (x - r)) + cp.sum_squares(a * x),
    ),
    "rows and columns": (
        lambda x, X, r, a: (
            cp.sum_squares(cp.norm(X - 1, axis=1)) + cp.norm(x - r) ** 2
            + cp.sum(cp.norm(X, axis=0, keepdims=True) ** 2 @ np.array([[1.0], [2.0]]))
        ),
        lambda x, X, r, a: (
            cp.sum_squares(X - 1) + cp.sum_squares(x - r)
            + cp.sum_squares(X[:, 0]) + 2 * cp.sum_squares(X[:, 1])
        ),
    ),
    "norms of norms": (
        lambda x, X, r, a: cp.norm(cp.hstack([2 * cp.norm(x - r), cp.norm(X, "fro"), 1.0])) ** 2,
        lambda x, X, r, a: 4 * cp.sum_squares(x - r) + cp.sum_squares(X),
    ),
    "quad_form around a parameter": (
        lambda x, X, r, a: cp.quad_form(x - r, Q) + cp.quad_form(2 * x[:2] + a, Q[:2, :2]),
        lambda x, X, r, a: (
            cp.sum_squares(ROOT @ (x - r)) + cp.sum_squares(ROOT[:2, :2] @ (2 * x[:2] + a))
        ),
    ),
}  # fmt: skip


def run(layer, *values):
    """Results, and gradients of a loss in them."""
    leaves = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    out = layer(*leaves)
    sum((v * v.sin()).sum() for v in out).backward()
    return [v.detach() for v in out] + [leaf.grad for leaf in leaves]


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_spelling_is_what_it_stands_for(name):
    found = []
    for spell in SPELLINGS[name]:
        x, X = cp.Variable(3), cp.Variable((2, 2))
        r, a = cp.Parameter(3), cp.Parameter(nonneg=True)
        goal = cp.Minimize(spell(x, X, r, a) + a * cp.sum(x) + cp.sum_squares(X - cp.sum(r)))
        layer = CvxpyLayer(cp.Problem(goal, [cp.sum(x) <= 1, X >= 0]), [r, a], [x, X])
        found.append(run(layer, np.random.default_rng(980).normal(size=(5, 3)), 0.7))
    for left, right in zip(*found, strict=True):
        assert_near(left, right, SHARED, name)


def test_what_needs_no_other_spelling_stays_the_same_object():
    x, r = cp.Variable(3), cp.Parameter(3)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(x - r) + cp.norm1(x)), [x >= r])
    again = rewritten(problem)
    assert again.objective is problem.objective
    assert again.constraints == problem.constraints


@pytest.mark.parametrize("batched", [(), (0,), (1,), (2,), (0, 1, 2)])
def test_a_parameter_in_a_variable_is_the_product(batched):
    n, rng = 4, np.random.default_rng(981)
    x, W_, W = cp.Variable(n), cp.Variable((n, 3)), cp.Parameter((n, 3))
    b, v, c = cp.Parameter(n), cp.Parameter(3), cp.Parameter(n)
    goal = cp.Minimize(cp.sum_squares(x - W_ @ v - b))
    lifted = CvxpyLayer(cp.Problem(goal, [x >= 0, W_ == W]), [W, b, v], [x, W_])
    goal = cp.Minimize(cp.sum_squares(x - W @ v - b))
    direct = CvxpyLayer(cp.Problem(goal, [x >= 0]), [W, b, v], [x])
    plain = CvxpyLayer(cp.Problem(cp.Minimize(cp.sum_squares(x - c)), [x >= 0]), [c], [x])
    values = [rng.normal(size=shape) for shape in ((n, 3), (n,), (3,))]
    for place in batched:
        values[place] = np.stack([values[place] + e for e in range(3)])

    def product(W, b, v):
        (x,) = plain(b + (W @ v[..., None])[..., 0])
        return x, W.expand(*x.shape[:-1], n, 3)

    expected = run(product, *values)
    for left, right in zip(run(lifted, *values), expected, strict=True):
        assert_near(left, right, SHARED, "lifted")
    found = run(lambda *leaves: (direct(*leaves)[0], product(*leaves)[1]), *values)
    for left, right in zip(found, expected, strict=True):
        assert_near(left, right, SHARED, "direct")
    assert lifted.last.x.shape[-1] == direct.last.x.shape[-1] == n


@pytest.mark.parametrize("bad", ["NaN in W", "NaN in v", "infeasible"])
def test_a_bad_element_harms_no_other(bad):
    x, W_, W, v, low = cp.Variable(2), cp.Variable((2, 2)), *map(cp.Parameter, ((2, 2), 2, ()))
    rules = [x >= low, cp.sum(x) <= 1, W_ == W]
    goal = cp.Minimize(cp.sum_squares(x - W_ @ v))
    layer = CvxpyLayer(cp.Problem(goal, rules), [W, v, low], [x, W_])
    values = [np.eye(2), np.array([0.3, 0.6]), np.zeros(3)]
    if bad == "infeasible":
        values[2][1] = 3.0
    else:
        place = "Wv".index(bad[-1])
        values[place] = np.stack([values[place]] * 3)
        values[place][1].flat[-1] = np.nan
    assert_harms_no_other(layer, values, (2, 1, 0))


def test_variables_of_a_row_without_others_stay():
    """The row says whether there is a solution, and takes its share of the closest QP's shift."""
    x, y, p = cp.Variable(2), cp.Variable(2), cp.Parameter(2)
    rules = [y == p, cp.sum(y) <= 1]
    problem = cp.Problem(cp.Minimize(cp.sum_squares(x - y)), rules)
    values = torch.tensor([[0.2, 0.3], [2.0, 0.0]], dtype=torch.float64)
    layers = [CvxpyLayer(problem, [p], [x, y], eliminate=eliminate) for eliminate in (False, True)]
    layers[1](values, solver_args={"on_failure": "ignore"})
    assert layers[1].last.solved.tolist() == [True, False]
    whole, smaller = (layer(values, solver_args={"infeasible": "closest"}) for layer in layers)
    for left, right in zip(smaller, whole, strict=True):
        assert_near(left, right, ANSWER, "closest")


def test_the_multiplier_of_the_row_that_fixes():
    """It says how the optimal value moves: of (x - 3 y)^2 at x <= 1 and y = p, 6 (3 p - 1)."""
    x, y, p = cp.Variable(), cp.Variable(), cp.Parameter()
    fixes = y == p
    problem = cp.Problem(cp.Minimize(cp.square(x - 3 * y)), [x <= 1, fixes])
    layer = CvxpyLayer(problem, [p], [x, fixes.dual_variables[0]])
    leaf = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    x, price = layer(leaf)
    assert_near(-price.detach(), 30.0, SHARED, "price")
    (slope,) = torch.autograd.grad(-price, leaf)
    assert_near(slope, 18.0, SHARED, "slope")


def test_repr_has_the_sizes_and_the_parameters():
    x, W_, W = cp.Variable(4), cp.Variable((4, 3)), cp.Parameter((4, 3), name="W")
    a = cp.Parameter(name="a")
    goal = cp.Minimize(cp.sum_squares(cp.sum(W_, axis=1) - x - a))
    problem = cp.Problem(goal, [x >= 0, cp.sum(x) == 1, W_ == W, a * x[0] + x[1] <= 3])
    layer = CvxpyLayer(problem, [W, a], [x])
    expected = "CvxpyLayer(n=4, m=1, k=1, eliminated=16, parameters: W (4, 3), a ())"
    assert repr(layer) == expected
    from kktdiff.adapters.cvxpy.jax import CvxpyLayer as JaxLayer

    assert repr(JaxLayer(problem, [W, a], [x])) == expected
