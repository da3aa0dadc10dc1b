"""The derivation, formula by formula, and its signs on problems small enough to do by hand.

u solves the symmetric KKT system of the active rows with the cotangent on the right,

    [ Q  G'    A' ] [ u_x   ]     [ g_x   ]
    [ G  -s/lam   ] [ u_lam ] = - [ g_lam ]
    [ A           ] [ u_nu  ]     [ g_nu  ]

and every gradient is a product of u with x, lam and nu.
"""

from typing import NamedTuple

import numpy as np
import pytest

import kktdiff
from tests.checks import answer_of, assert_near
from tests.problems import Answer, Data, Sizes, known
from tests.tolerances import DENSE_REFERENCE, HAND_DERIVATIVE


class System(NamedTuple):
    """A solved problem, its gradients, and u for each block; zero off the active set."""

    answer: Answer
    grads: object
    u_x: np.ndarray
    u_lam: np.ndarray
    u_nu: np.ndarray
    u_lb: np.ndarray
    u_ub: np.ndarray


@pytest.fixture(scope="module")
def system():
    """A lower bound is the row -x <= -lb, an upper bound the row x <= ub."""
    rng = np.random.default_rng(130)
    data, answer = known(rng, Sizes(n=7, m=9, k=2, lower=True, upper=True))
    g = {f: rng.normal(size=getattr(answer, f).shape) for f in ("x", "lam", "nu")}
    g |= {f: rng.normal(size=7) for f in ("lam_lb", "lam_ub")}
    blocks = [
        (data.G, g["lam"], answer.lam > 0),
        (data.A, g["nu"], np.ones(2, bool)),
        (-np.eye(7), g["lam_lb"], answer.lam_lb > 0),
        (np.eye(7), g["lam_ub"], answer.lam_ub > 0),
    ]
    assert all(on.any() for _, _, on in blocks), "every block needs an active row"
    rows = np.vstack([C[on] for C, _, on in blocks])
    K = np.block([[data.Q, rows.T], [rows, np.zeros((len(rows), len(rows)))]])
    right = np.concatenate([g["x"]] + [c[on] for _, c, on in blocks])
    u_x, rest = np.split(-np.linalg.solve(K, right), [7])
    parts = np.split(rest, np.cumsum([on.sum() for _, _, on in blocks])[:-1])
    spread = [np.zeros(on.shape) for _, _, on in blocks]
    for full, (_, _, on), part in zip(spread, blocks, parts, strict=True):
        full[on] = part
    return System(answer, kktdiff.solve_qp(*data).vjp(**g), u_x, *spread)


def test_dQ_is_the_symmetric_product_of_u_and_x(system):
    product = np.outer(system.u_x, system.answer.x)
    assert_near(system.grads.Q, (product + product.T) / 2, DENSE_REFERENCE, "Q")


def test_dp_is_u(system):
    assert_near(system.grads.p, system.u_x, DENSE_REFERENCE, "p")


def test_dG_holds_lam_once(system):
    a = system.answer
    expected = np.outer(a.lam, system.u_x) + np.outer(system.u_lam, a.x)
    assert_near(system.grads.G, expected, DENSE_REFERENCE, "G")


def test_dh_is_minus_u(system):
    assert_near(system.grads.h, -system.u_lam, DENSE_REFERENCE, "h")


def test_dA_is_the_product_with_nu(system):
    a = system.answer
    expected = np.outer(a.nu, system.u_x) + np.outer(system.u_nu, a.x)
    assert_near(system.grads.A, expected, DENSE_REFERENCE, "A")


def test_db_is_minus_u(system):
    assert_near(system.grads.b, -system.u_nu, DENSE_REFERENCE, "b")


def test_dlb_is_plus_u(system):
    assert_near(system.grads.lb, system.u_lb, DENSE_REFERENCE, "lb")


def test_dub_is_minus_u(system):
    assert_near(system.grads.ub, -system.u_ub, DENSE_REFERENCE, "ub")


def one(value):
    return np.array([float(value)])


def matrix(value):
    return np.array([[float(value)]])


def derivatives(data, **cotangent):
    solution = kktdiff.solve_qp(*data)
    return answer_of(solution), solution.vjp(**cotangent)


def near(value, expected):
    assert_near(value, np.full(np.shape(value), float(expected)), HAND_DERIVATIVE)


def test_unconstrained_in_one_variable():
    """x = -p/Q at Q = 2, p = 3: x = -1.5, dx/dp = -1/2, dx/dQ = p/Q^2 = 3/4, f = -p^2/2Q."""
    answer, grads = derivatives(Data(matrix(2), one(3)), x=one(1))
    near(answer.x, -1.5)
    near(answer.objective, -2.25)
    near(grads.p, -0.5)
    near(grads.Q, 0.75)


def test_an_active_row_in_one_variable():
    """min x^2/2 - 5x with 2x <= 4: x = h/G = 2, lam = (5 - x)/G = 3/2, dx = (1/2, -1)."""
    data = Data(matrix(1), one(-5), matrix(2), one(4))
    answer, grads = derivatives(data, x=one(1))
    near(answer.lam, 1.5)
    near(grads.h, 0.5)
    near(grads.G, -1.0)
    near(grads.p, 0.0)
    near(grads.Q, 0.0)


def test_the_multiplier_of_an_active_row_in_one_variable():
    """lam = -(p + Q h/G)/G at Q = 1, p = -5, G = 2, h = 4."""
    _, grads = derivatives(Data(matrix(1), one(-5), matrix(2), one(4)), lam=one(1))
    near(grads.p, -0.5)
    near(grads.h, -0.25)
    near(grads.Q, -1.0)
    near(grads.G, 5 * -0.25 + 2 * 4 / 8)  # p/G^2 + 2Qh/G^3


def test_an_equality_in_one_variable():
    """x = b/A and nu = -(p + Q b/A)/A at Q = 1, p = 1, A = 2, b = 6: x = 3, nu = -2."""
    data = Data(matrix(1), one(1), A=matrix(2), b=one(6))
    answer, grads = derivatives(data, x=one(1))
    near(answer.nu, -2.0)
    near(grads.b, 0.5)
    near(grads.A, -1.5)
    _, grads = derivatives(data, nu=one(1))
    near(grads.p, -0.5)
    near(grads.b, -0.25)
    near(grads.A, 1 / 4 + 2 * 6 / 8)  # p/A^2 + 2Qb/A^3


def test_an_active_lower_bound_in_one_variable():
    """min x^2/2 + x with x >= 2: lam_lb = x + 1 = 3, dx/dlb = 1, dlam_lb = (dlb, dp, x dQ)."""
    data = Data(matrix(1), one(1), lb=one(2))
    answer, grads = derivatives(data, x=one(1))
    near(answer.lam_lb, 3.0)
    near(grads.lb, 1.0)
    near(grads.p, 0.0)
    _, grads = derivatives(data, lam_lb=one(1))
    near(grads.lb, 1.0)
    near(grads.p, 1.0)
    near(grads.Q, 2.0)


def test_an_active_upper_bound_in_one_variable():
    """min x^2/2 - 5x with x <= 2: lam_ub = 5 - x = 3, dx/dub = 1, dlam_ub = -(dub, dp, x dQ)."""
    data = Data(matrix(1), one(-5), ub=one(2))
    answer, grads = derivatives(data, x=one(1))
    near(answer.lam_ub, 3.0)
    near(grads.ub, 1.0)
    _, grads = derivatives(data, lam_ub=one(1))
    near(grads.ub, -1.0)
    near(grads.p, -1.0)
    near(grads.Q, -2.0)


def test_the_slack_of_an_inactive_row():
    """s = h - Gx with x = -p/Q = 1 free, G = 2, h = 5: s = 3, ds = dh - x dG + (G/Q) dp."""
    answer, grads = derivatives(Data(matrix(1), one(-1), matrix(2), one(5)), s=one(1))
    near(answer.s, 3.0)
    near(grads.h, 1.0)
    near(grads.G, -1.0)
    near(grads.p, 2.0)
    near(grads.Q, 2.0)  # -G dx/dQ = G x / Q


def test_the_slack_of_an_active_row_stays_zero():
    _, grads = derivatives(Data(matrix(1), one(-5), matrix(2), one(4)), s=one(1))
    for gradient in (grads.h, grads.G, grads.p, grads.Q):
        near(gradient, 0.0)


def test_the_objective_has_the_multipliers_for_gradients():
    """The envelope theorem: df/dp = x, df/dQ = xx'/2, df/dh = -lam, df/dG = lam x', ..."""
    data, answer = known(np.random.default_rng(131), Sizes(6, 7, 2, True, True))
    grads = kktdiff.solve_qp(*data).vjp(objective=np.ones(()))
    x, lam, nu = answer.x, answer.lam, answer.nu
    expected = Data(
        np.outer(x, x) / 2,
        x,
        np.outer(lam, x),
        -lam,
        np.outer(nu, x),
        -nu,
        answer.lam_lb,
        -answer.lam_ub,
    )
    for name, value in expected._asdict().items():
        assert_near(getattr(grads, name), value, DENSE_REFERENCE, name)


def test_two_variables_on_a_line():
    """min |x|^2/2 with x0 + x1 = b: x = b/2 each; moving A by (t, 0) moves x by (0, -t b/2).

    x = A' b / |A|^2, so dx = (dA' b - 2 A'(A dA') b/|A|^2) / |A|^2, at A = (1, 1), b = 2.
    """
    data = Data(np.eye(2), np.zeros(2), A=np.ones((1, 2)), b=one(2))
    moved = kktdiff.solve_qp(*data).jvp(A=np.array([[1.0, 0.0]]))
    assert_near(moved.x, np.array([0.0, -1.0]), HAND_DERIVATIVE, "x")
    assert_near(moved.nu, np.array([1.0]), HAND_DERIVATIVE, "nu = -b/|A|^2")
