"""The kernel `vjp` beside the array code's formulas, and the data that `solve` does not take."""

import numpy as np
import pytest

import kktdiff
from kktdiff._interior_point.residuals import multipliers
from kktdiff._sensitivity import arguments
from kktdiff._sensitivity.arguments import flat_cotangents
from kktdiff._sensitivity.first_order import Cotangents, adjoint, gradients
from kktdiff.kernels import method
from tests.checks import assert_near
from tests.kernels.calls import flat, problem_of
from tests.problems import FULL, Data, Sizes, known
from tests.tolerances import ADJOINT

pytestmark = pytest.mark.usefixtures("native")

OUTPUTS = tuple(arguments.OUTPUTS)
CASES = {
    "everything": FULL,
    "rows": Sizes(3, 9, 0),
    "box": Sizes(12, 0, 0, True, True),
    "equations": Sizes(5, 0, 2),
    "too large for lanes": Sizes(120, 30, 5, upper=True),
}


def solved(sizes, batch=(5,), **options):
    rng = np.random.default_rng(50)
    data, answer = known(rng, sizes, batch, **options)
    if data.lb is not None and data.ub is not None:
        data.ub[..., 0] = data.lb[..., 0] = answer.x[..., 0]
    sol = kktdiff.solve_qp(*data)
    assert np.all(sol.status == 0)
    return data, sol, {name: rng.normal(size=getattr(sol, name).shape) for name in OUTPUTS}


def by_formulas(sol, g, names, shared):
    """Return the gradients from one solve of `derive`, and the array code for all else."""
    engine = sol._engine
    (kept,) = engine.kept
    own = {name: g.get(name) for name in OUTPUTS}
    flat_g = Cotangents(**flat_cotangents(engine.problem.given, own))
    u = adjoint(kept, flat_g, least_squares=False)
    lam = multipliers(kept.qp, kept.point)
    return gradients(names, kept.qp, lam, kept.point, u, kept.backend, shared)


@pytest.mark.parametrize("wanted", [OUTPUTS, *((name,) for name in OUTPUTS)], ids="-".join)
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_the_formulas(case, wanted):
    data, sol, g = solved(CASES[case])
    g = {name: g[name] for name in wanted}
    names = [name for name, v in zip(Data._fields, data, strict=True) if v is not None]
    expected, found = by_formulas(sol, g, names, ()), sol.vjp(**g)
    for name in names:
        size = 1 + np.abs(expected[name]).max(initial=0)
        assert_near(getattr(found, name), expected[name], ADJOINT * size, name)
    assert np.array_equal(found.Q, found.Q.mT)


@pytest.mark.parametrize("shared", [("Q",), ("G", "A"), ("Q", "G", "A")])
def test_gradients_of_what_the_batch_shares_are_sums(shared):
    data, sol, g = solved(FULL, shared=shared)
    expected, found = by_formulas(sol, g, Data._fields, shared), sol.vjp(**g)
    for name in Data._fields:
        own = expected[name].reshape(getattr(data, name).shape)
        assert_near(getattr(found, name), own, ADJOINT * (1 + np.abs(own).max()), name)


def test_gradients_of_limits_that_the_batch_shares_are_sums():
    rng = np.random.default_rng(53)
    Q, p, lb, ub = np.eye(4), 3 * rng.normal(size=(5, 4)), -np.ones(4), np.ones(4)
    sol = kktdiff.solve_qp(Q, p, lb=lb, ub=ub)
    apart = kktdiff.solve_qp(Q, p, lb=np.tile(lb, (5, 1)), ub=np.tile(ub, (5, 1)))
    g = {"x": rng.normal(size=(5, 4)), "objective": rng.normal(size=5)}
    found, expected = sol.vjp(**g), apart.vjp(**g)
    assert np.abs(found.lb).max() > 0.1
    assert_near(found.lb, expected.lb.sum(0), ADJOINT)
    assert_near(found.ub, expected.ub.sum(0), ADJOINT)


def test_a_singular_system_changes_no_bit_of_the_gradients_beside_it():
    data, _, g = solved(FULL)
    apart = kktdiff.solve_qp(*data).vjp(**g)
    G, h = data.G.copy(), data.h.copy()
    row = int(np.argmax(kktdiff.solve_qp(*data).lam[2]))
    other = (row + 1) % G.shape[1]
    G[2, other], h[2, other] = G[2, row], h[2, row]  # an active row twice
    sol = kktdiff.solve_qp(*data._replace(G=G, h=h))
    found = sol.vjp(**g)
    good = [0, 1, 3, 4]
    for name in Data._fields:
        own, expected = getattr(found, name), getattr(apart, name)
        assert np.array_equal(own[good], expected[good]), name
    assert np.isfinite(found.G[2]).all()


BAD = [("Q", np.nan), ("p", np.inf), ("G", -np.inf), ("A", np.nan), ("b", 1e20), ("h", np.nan)]
BAD += [("h", -1e20), ("lb", 1e20), ("ub", -np.inf), ("lb", np.nan)]


@pytest.mark.parametrize(("name", "value"), [*BAD, ("Q", 1e200), ("h", 1e20), ("lb", -np.inf)])
def test_the_kernel_tells_what_the_array_code_finds_at_fault(name, value):
    data = known(np.random.default_rng(51), FULL, (3,)).data
    getattr(data, name)[1, ..., 0] = value
    with np.errstate(all="ignore"):
        problem = problem_of(data)
        faults, out = problem.faults, method.solve(flat(data), None, 100)
    bad = np.zeros(3, bool) if faults is None else faults.invalid | faults.contradictory
    assert np.array_equal(out.status == method.UNSOUND, bad)
    assert bad[1] == ((name, value) in BAD or np.isnan(value))


@pytest.mark.parametrize("gap", [0.0, 1e-15, 1e-9, 1e-3])
def test_bounds_that_meet_and_bounds_that_cross(gap):
    """What crosses is looked at again; what meets is fixed at once."""
    data = known(np.random.default_rng(52), FULL, (3,)).data
    data.lb[1, 0] = data.ub[1, 0] = 1.0
    data.lb[1, 0] += gap
    problem, out = problem_of(data), method.solve(flat(data), None, 100)
    assert (out.status[1] == method.UNSOUND) == (gap > 0)
    fixed = problem.qp.fixed is not None and problem.qp.fixed[1, 0]
    assert fixed == (gap < 1e-3)


def test_a_batch_mate_does_not_change_the_form_of_a_q_that_is_not_symmetric():
    """Its symmetric part is diagonal, whatever the numbers of zeros say."""
    Q = np.stack(
        [np.array([[2.0, 1.0], [-1.0, 3.0]]), np.eye(2), np.array([[2.0, 1.0], [1.0, 3.0]])]
    )
    p, lb = np.array([[-1.0, 2.0]] * 3), np.zeros((3, 2))
    whole = kktdiff.solve_qp(Q, p, lb=lb)
    assert [method.is_never_diagonal(Q[i : i + 1]) for i in range(3)] == [False, False, True]
    for i in range(3):
        alone = kktdiff.solve_qp(Q[i : i + 1], p[i : i + 1], lb=lb[i : i + 1])
        for name in ("x", "lam_lb", "objective", "iterations"):
            assert np.array_equal(getattr(alone, name), getattr(whole, name)[i : i + 1])
