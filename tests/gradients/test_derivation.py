"""The derivation, formula by formula, and its signs on problems small enough to do by hand.

u solves the symmetric KKT system of the active rows with the cotangent on the right,

    [ Q  G'    A' ] [ u_x   ]     [ g_x   ]
    [ G  -s/lam   ] [ u_lam ] = - [ g_lam ]
    [ A           ] [ u_nu  ]     [ g_nu  ]

and every gradient is a product of u with x, lam and nu.
"""

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_answer, assert_near
from tests.problems import Data, Sizes, known
from tests.tolerances import DENSE_REFERENCE, HAND_DERIVATIVE


def test_every_gradient_is_a_product_of_u_with_the_solution():
    """A lower bound is the row -x <= -lb, an upper bound the row x <= ub; u is 0 off the rows."""
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
    u_lam, u_nu, u_lb, u_ub = (np.zeros(on.shape) for _, _, on in blocks)
    for u, (_, _, on), part in zip((u_lam, u_nu, u_lb, u_ub), blocks, parts, strict=True):
        u[on] = part
    expected = Data(
        Q=(np.outer(u_x, answer.x) + np.outer(answer.x, u_x)) / 2,
        p=u_x,
        G=np.outer(answer.lam, u_x) + np.outer(u_lam, answer.x),  # lam once
        h=-u_lam,
        A=np.outer(answer.nu, u_x) + np.outer(u_nu, answer.x),
        b=-u_nu,
        lb=u_lb,
        ub=-u_ub,
    )
    assert_answer(kktdiff.solve_qp(*data).vjp(**g), expected, DENSE_REFERENCE, Data._fields)


def in_one(**numbers):
    """A problem in one variable."""
    shaped = {k: np.full((1, 1) if k in "QGA" else 1, float(v)) for k, v in numbers.items()}
    return Data(**shaped)


FREE = in_one(Q=2, p=3)  # x = -p/Q
ROW = in_one(Q=1, p=-5, G=2, h=4)  # x = h/G, lam = -(p + Q h/G)/G
SLACK = in_one(Q=1, p=-1, G=2, h=5)  # x = -p/Q, s = h - G x
EQUAL = in_one(Q=1, p=1, A=2, b=6)  # x = b/A, nu = -(p + Q b/A)/A
LOWER = in_one(Q=1, p=1, lb=2)  # x = lb, lam_lb = p + Q lb
UPPER = in_one(Q=1, p=-5, ub=2)  # x = ub, lam_ub = -(p + Q ub)
BY_HAND = [  # the problem, an output, its value, and its derivatives by input
    (FREE, "x", -1.5, {"p": -1 / 2, "Q": 3 / 4}),
    (FREE, "objective", -2.25, {"p": -1.5, "Q": 2.25 / 2}),
    (ROW, "x", 2, {"h": 1 / 2, "G": -1, "p": 0, "Q": 0}),
    (ROW, "lam", 1.5, {"p": -1 / 2, "h": -1 / 4, "Q": -1, "G": -5 / 4 + 2 * 4 / 8}),
    (ROW, "s", 0, {"h": 0, "G": 0, "p": 0, "Q": 0}),
    (SLACK, "s", 3, {"h": 1, "G": -1, "p": 2, "Q": 2}),
    (EQUAL, "x", 3, {"b": 1 / 2, "A": -1.5, "p": 0, "Q": 0}),
    (EQUAL, "nu", -2, {"p": -1 / 2, "b": -1 / 4, "A": 1 / 4 + 2 * 6 / 8, "Q": -1.5}),
    (LOWER, "x", 2, {"lb": 1, "p": 0, "Q": 0}),
    (LOWER, "lam_lb", 3, {"lb": 1, "p": 1, "Q": 2}),
    (UPPER, "x", 2, {"ub": 1, "p": 0, "Q": 0}),
    (UPPER, "lam_ub", 3, {"ub": -1, "p": -1, "Q": -2}),
]


@pytest.mark.parametrize(("data", "output", "value", "slopes"), BY_HAND)
def test_derivatives_by_hand_in_one_variable(data, output, value, slopes):
    solution = kktdiff.solve_qp(*data)
    found = getattr(solution, output)
    assert_near(found, np.full(found.shape, value), HAND_DERIVATIVE, output)
    grads = solution.vjp(**{output: np.ones(found.shape)})
    for name, slope in slopes.items():
        gradient = getattr(grads, name)
        assert_near(gradient, np.full(gradient.shape, slope), HAND_DERIVATIVE, name)


def test_the_objective_has_the_multipliers_for_gradients():
    """The envelope theorem: df/dp = x, df/dQ = xx'/2, df/dh = -lam, df/dG = lam x', ..."""
    data, answer = known(np.random.default_rng(131), Sizes(6, 7, 2, True, True))
    grads = kktdiff.solve_qp(*data).vjp(objective=np.ones(()))
    x, lam, nu = answer.x, answer.lam, answer.nu
    matrices = {"Q": np.outer(x, x) / 2, "G": np.outer(lam, x), "A": np.outer(nu, x)}
    expected = Data(**matrices, p=x, h=-lam, b=-nu, lb=answer.lam_lb, ub=-answer.lam_ub)
    assert_answer(grads, expected, DENSE_REFERENCE, Data._fields)


def test_two_variables_on_a_line():
    """min |x|^2/2 with x0 + x1 = b: x = b/2 each; moving A by (t, 0) moves x by (0, -t b/2).

    x = A' b / |A|^2, so dx = (dA' b - 2 A'(A dA') b/|A|^2) / |A|^2, at A = (1, 1), b = 2.
    """
    data = Data(np.eye(2), np.zeros(2), A=np.ones((1, 2)), b=np.full(1, 2.0))
    moved = kktdiff.solve_qp(*data).jvp(A=np.array([[1.0, 0.0]]))
    assert_near(moved.x, np.array([0.0, -1.0]), HAND_DERIVATIVE, "x")
    assert_near(moved.nu, np.array([1.0]), HAND_DERIVATIVE, "nu = -b/|A|^2")
