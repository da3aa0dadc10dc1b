"""Derivatives through infeasible="closest": the shifts move with the data, and x with them.

Shifted constraints depend on each other, so their multipliers are not unique, and have no
derivative. What has one: x, s, the objective, and the multipliers of what is not shifted. With
gradient="least_squares" those of minimum norm stand for the others, and all identities hold.
"""

import numpy as np
import pytest

import kktdiff
from tests.checks import answer_of, assert_adjoint, assert_near, element, grads_of
from tests.problems import Answer, Data, Sizes, tangent
from tests.reference import difference
from tests.tolerances import ADJOINT, ANSWER, DENSE_REFERENCE, DIFFERENCE, SUM
from tests.unsolvable import HALF, conflicting, half_conflicting, stacked

SMALL = Sizes(n=4, m=6, k=2, lower=True, upper=True)
UNIQUE = ("x", "s", "objective")
WAYS = pytest.mark.parametrize(
    ("way", "outputs"), [("exact", UNIQUE), ("least_squares", Answer._fields)]
)
KEPT = {"lam": HALF.m, "nu": HALF.k, "lam_lb": HALF.n, "lam_ub": HALF.n}  # from here on
CASES = {"vertex": (conflicting, (1, 4)), "half": (half_conflicting, (1, 8, 9))}
POINTS = [(kind, seed) for kind, (_, seeds) in CASES.items() for seed in seeds]


def closest(data, tol=1e-8):
    return kktdiff.solve_qp(*data, infeasible="closest", on_failure="ignore", tol=tol)


def solve_closely(data):
    return answer_of(closest(data, 1e-12))


def direction(rng, kind, data, names=Data._fields):
    """A random move; in the half case it leaves the first rows' zeros alone.

    There x has freedom that the shifts know nothing of. A row that is shifted and begins to depend
    on it would have the objective decide on the shifts: a kink.
    """
    moves = tangent(rng, data, names)
    if kind == "half":
        for name, rows in (("G", HALF.m), ("A", HALF.k)):
            if name in moves:
                moves[name][..., :rows, HALF.n :] = 0.0
    return moves


@pytest.fixture(scope="module", params=POINTS, ids=lambda point: f"{point[0]}-{point[1]}")
def case(request):
    """(kind, data, solution, {input: (direction, differences of every output along it)})."""
    kind, seed = request.param
    rng = np.random.default_rng(seed)
    data = CASES[kind][0](rng, SMALL) if kind == "vertex" else half_conflicting(rng)
    report = kktdiff.solve_qp(*data, on_failure="ignore")
    assert report.status == kktdiff.Status.PRIMAL_INFEASIBLE
    moves = {name: direction(rng, kind, data, [name]) for name in Data._fields}
    table = {name: (t[name], difference(solve_closely, data, t)) for name, t in moves.items()}
    return kind, data, closest(data), table


def test_every_block_is_shifted(case):
    """So that the other tests say something; `half` has seeds for the bounds one by one."""
    kind, _, solution, _ = case
    shifted = [np.any(np.abs(getattr(solution, f"shift_{f}")) > 1e-3) for f in ("h", "b", "ub")]
    assert all(shifted)
    assert kind == "half" or np.any(solution.shift_lb < -1e-3)


@pytest.mark.parametrize("name", Data._fields)
def test_tangents_agree_with_central_differences(case, name):
    kind, _, solution, table = case
    move, expected = table[name]
    moved = solution.jvp(**{name: move})
    for output in UNIQUE:
        assert_near(getattr(moved, output), getattr(expected, output), DIFFERENCE, output)
    for output, first in KEPT.items() if kind == "half" else ():
        found = getattr(moved, output)[first:]
        assert_near(found, getattr(expected, output)[first:], DIFFERENCE, output)


@pytest.mark.parametrize("output", UNIQUE)
def test_gradients_agree_with_central_differences(case, output):
    _, _, solution, table = case
    weight = np.random.default_rng(200).normal(size=np.shape(getattr(solution, output)))
    grads = solution.vjp(**{output: weight})
    for name, (move, expected) in table.items():
        found = np.sum(getattr(grads, name) * move)
        assert_near(found, np.sum(weight * getattr(expected, output)), DIFFERENCE, name)


@pytest.mark.parametrize("output", KEPT)
def test_gradients_of_multipliers_of_what_is_not_shifted_agree_with_differences(case, output):
    kind, _, solution, table = case
    if kind == "vertex":
        return  # where every constraint that holds is shifted
    weight = np.random.default_rng(201).normal(size=getattr(solution, output).shape)
    weight[: KEPT[output]] = 0.0
    grads = solution.vjp(**{output: weight})
    for name, (move, expected) in table.items():
        found = np.sum(getattr(grads, name) * move)
        assert_near(found, np.sum(weight * getattr(expected, output)), DIFFERENCE, name)


@WAYS
def test_jacobians_agree_with_gradients(case, way, outputs):
    _, _, solution, _ = case
    for output in outputs:
        weight = np.random.default_rng(202).normal(size=np.shape(getattr(solution, output)))
        grads = solution.vjp(**{output: weight}, gradient=way)
        for name in Data._fields:
            J = solution.jacobian(of=output, wrt=name, gradient=way)
            expected = np.tensordot(weight, J, axes=weight.ndim)
            assert_near(getattr(grads, name), expected, DENSE_REFERENCE, f"d{output}/d{name}")


def test_tangents_keep_the_shifted_problem_stationary(case):
    """Not unique, but those of a stationary point: Qx + p + G'lam + A'nu - lam_lb + lam_ub = 0."""
    kind, data, solution, _ = case
    d = direction(np.random.default_rng(203), kind, data)
    t = solution.jvp(**d)
    terms = [
        (d["Q"] + d["Q"].T) @ solution.x / 2 + data.Q @ t.x + d["p"],
        d["G"].T @ solution.lam + data.G.T @ t.lam + d["A"].T @ solution.nu + data.A.T @ t.nu,
        t.lam_ub - t.lam_lb,
    ]
    assert_near(sum(terms), np.zeros(data.p.shape), DENSE_REFERENCE, "stationarity")


@WAYS
def test_the_adjoint_identity_holds(case, way, outputs):
    kind, data, solution, _ = case
    rng = np.random.default_rng(204)
    moves = direction(rng, kind, data)
    weights = {f: rng.normal(size=np.shape(getattr(solution, f))) for f in outputs}
    assert_adjoint(solution, moves, weights, ADJOINT, gradient=way)


@pytest.fixture(scope="module")
def sharing():
    """(shared data, the same in copies): h has a batch shape of its own, and so has ub.

    Some elements are feasible and some are not.
    """
    rng = np.random.default_rng(205)
    one = half_conflicting(rng)
    h = one.h + np.array([[0.0], [8.0], [0.3]])
    data = one._replace(
        h=h[:, None, :], b=0 * one.b, lb=one.lb - 8.0, ub=one.ub + np.array([[8.0], [9.0]])
    )
    core = {name: getattr(one, name).shape for name in Data._fields}
    copies = {f: np.broadcast_to(getattr(data, f), (3, 2, *core[f])).copy() for f in core}
    status = kktdiff.solve_qp(*data, on_failure="ignore").status
    np.testing.assert_array_equal(status, [[2, 2], [0, 0], [2, 2]])
    return data, Data(**copies)


def test_gradients_of_shared_inputs_are_sums(sharing):
    data, copies = sharing
    weight = np.random.default_rng(206).normal(size=(3, 2, 6))
    shared, apart = (grads_of(closest(d).vjp(weight)) for d in sharing)
    for name in Data._fields:
        own, whole = getattr(data, name).shape, getattr(apart, name)
        assert getattr(shared, name).shape == own, name
        lead = (1,) * (whole.ndim - len(own)) + own
        axes = tuple(i for i, size in enumerate(lead[:2]) if size == 1)
        expected = whole.sum(axis=axes).reshape(own)
        assert_near(getattr(shared, name), expected, DENSE_REFERENCE, name)
    assert_near(closest(data).x, closest(copies).x, ANSWER, "x")


def test_tangents_of_shared_inputs_move_every_element(sharing):
    data, copies = sharing
    move = direction(np.random.default_rng(207), "half", data)
    spread = {f: np.broadcast_to(t, getattr(copies, f).shape) for f, t in move.items()}
    left, right = closest(data).jvp(**move), closest(copies).jvp(**spread)
    for name in UNIQUE:
        assert_near(getattr(left, name), getattr(right, name), DENSE_REFERENCE, name)


@pytest.mark.parametrize("batch", [(1,), (3,), (2, 2)], ids=str)
def test_batches_have_the_derivatives_of_their_elements(batch):
    data = stacked(conflicting, np.random.default_rng(208), SMALL, batch)
    solution = closest(data)
    weight = np.random.default_rng(209).normal(size=(*batch, 4))
    grads, J = grads_of(solution.vjp(weight)), solution.jacobian(of="x", wrt="A")
    moves = tangent(np.random.default_rng(210), data)
    moved = solution.jvp(**moves)
    for index in np.ndindex(batch):
        alone = closest(element(data, index))
        expected = grads_of(alone.vjp(weight[index]))
        for name in Data._fields:
            assert_near(getattr(grads, name)[index], getattr(expected, name), SUM, name)
        own = alone.jvp(**{name: t[index] for name, t in moves.items()})
        assert_near(moved.x[index], own.x, SUM, "x")
        assert_near(J[index], alone.jacobian(of="x", wrt="A"), SUM, "jacobian")


def test_weights_are_differentiated_with():
    """x <= h0 and -x <= h1 with weights 1 and 2: x = h0 + t0, t0 = 2/3 (-h0 - h1)."""
    G, h = np.array([[1.0], [-1.0]]), np.array([-1.0, -2.0])
    solution = kktdiff.solve_qp(
        *Data(np.eye(1), np.array([7.0]), G, h),
        infeasible="closest",
        shift_weights={"h": np.array([1.0, 2.0])},
    )
    assert_near(solution.vjp(np.ones(1)).h, [1 / 3, -2 / 3], ANSWER, "h")
    assert_near(solution.jvp(h=np.array([1.0, 1.0])).x, [-1 / 3], ANSWER, "x")


def test_the_least_squares_gradient_is_the_exact_one_where_x_is_determined():
    data = conflicting(np.random.default_rng(1), SMALL)
    exact = closest(data).vjp(np.ones(4))
    least = closest(data).vjp(np.ones(4), gradient="least_squares")
    for name in Data._fields:
        assert_near(getattr(least, name), getattr(exact, name), DENSE_REFERENCE, name)
