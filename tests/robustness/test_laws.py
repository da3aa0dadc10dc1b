"""Laws: what no unit, no writing of a problem and no batch mate may change; what no status may say.

Powers of two change exponents alone, so that answers must be the same to the bit. A limit of 1e20
stands for none, so rows are multiplied only where their right-hand sides stay below it.
"""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import kktdiff
from kktdiff import Status
from tests.checks import assert_finite, assert_same_bits, element, grads_of
from tests.problems import FULL, Answer, Data, feasible, tangent
from tests.robustness import fuzz
from tests.robustness.backwards import in_units, with_rows
from tests.robustness.kinds import KINDS
from tests.strategies import SEEDS
from tests.tolerances import LAW
from tests.unsolvable import contradictory, stacked, unbounded

pytestmark = pytest.mark.slow

DOUBLE = [kind for kind in KINDS if kind != "float32_gram"]
OF_SIZE_ONE = [  # right-hand sides of size one: times 2^60 they are below 1e20
    "plain", "prices_linear", "prices_quadratic", "penalties", "low_rank", "circles",
    "fixed_variables", "degenerate",  # not where limits meet: least squares know the rows' units
]  # fmt: skip
# In other kinds some variables share no row with others: right-hand sides alone tell their unit.
COUPLED = ["plain", "dependent_equalities"]
WELL_POSED = ["plain", "prices_linear", "circles", "fixed_variables", "dependent_equalities"]
DIFFERENTIABLE = ("x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective")
MOST = 60
# A batch is small enough to look at, and to make it smaller takes minutes.
LAWS = settings(
    max_examples=25, phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False
)


def solve(data, **options):
    """Solve; failures are data."""
    return kktdiff.solve_qp(*data, on_failure="ignore", **options)


def draw(kind, seed):
    """Draw a batch of a kind, its reference, and a generator for what is done to it."""
    return *fuzz.draw(kind, seed), np.random.default_rng([seed, 1])


def powers(rng, *shape):
    """Draw powers of two."""
    return np.exp2(rng.integers(-MOST, MOST + 1, shape))


def factors(data, draw_factors):
    """Draw factors of every unit, as `in_units` takes them."""
    batch, n = data.p.shape
    m, k = (0 if v is None else v.shape[1] for v in (data.h, data.b))
    return {
        "objective": draw_factors(batch),
        "rows": draw_factors(batch, m),
        "equalities": draw_factors(batch, k),
        "variables": draw_factors(batch, n),
    }


def assert_equivalent(data, reference, units):
    """Solve in both units: the same status and iterations, and the same bits but for exponents."""
    plain, scaled = solve(data), solve(in_units(data, reference, **units)[0])
    for name in ("status", "iterations", "x"):
        np.testing.assert_array_equal(getattr(scaled, name), getattr(plain, name), err_msg=name)
    w = units.get("objective", np.ones(len(data.p)))
    scale = {
        "lam": w[:, None] / units.get("rows", 1.0),
        "nu": w[:, None] / units.get("equalities", 1.0),
        "lam_lb": w[:, None],
        "lam_ub": w[:, None],
        "objective": w,
        "s": units.get("rows", 1.0),
    }
    for name, factor in scale.items():
        expected = factor * getattr(plain, name)
        np.testing.assert_array_equal(getattr(scaled, name), expected, err_msg=name)


# ---- units


@LAWS
@given(kind=st.sampled_from(DOUBLE), seed=SEEDS)
def test_powers_of_two_of_the_objective_change_exponents_alone(kind, seed):
    data, reference, rng = draw(kind, seed)
    assert_equivalent(data, reference, {"objective": powers(rng, len(data.p))})


@LAWS
@given(kind=st.sampled_from(OF_SIZE_ONE), seed=SEEDS)
def test_powers_of_two_of_rows_change_exponents_alone(kind, seed):
    data, reference, rng = draw(kind, seed)
    units = factors(data, lambda *shape: powers(rng, *shape))
    assert_equivalent(data, reference, {name: units[name] for name in ("rows", "equalities")})


def assert_same_in_units(data, reference, units):
    """Solve in both units: the same status, and x to rounding, relative to its unit."""
    moved, answer = in_units(data, reference, **units)
    plain, scaled = solve(data), solve(moved)
    np.testing.assert_array_equal(scaled.status, plain.status)
    np.testing.assert_array_less(np.abs(scaled.x - answer.x) / answer.unit, LAW)


@LAWS
@given(kind=st.sampled_from(COUPLED), seed=SEEDS)
def test_powers_of_two_of_variables_change_x_by_rounding(kind, seed):
    data, reference, rng = draw(kind, seed)
    assert_same_in_units(data, reference, {"variables": powers(rng, *data.p.shape)})


@LAWS
@given(data=st.data(), seed=SEEDS)
@pytest.mark.parametrize("name", ["objective", "rows", "equalities", "variables"])
def test_other_factors_change_x_by_rounding(name, data, seed):
    kind = data.draw(st.sampled_from(COUPLED if name == "variables" else WELL_POSED))
    data, reference, rng = draw(kind, seed)
    units = factors(data, lambda *shape: 10.0 ** rng.uniform(-9, 9, shape))
    assert_same_in_units(data, reference, {name: units[name]})


# ---- writing


def as_rows(data):
    """Write the bounds as rows of G."""
    eye = np.broadcast_to(np.eye(data.p.shape[1]), data.Q.shape)
    for limit, sign in ((data.lb, -1), (data.ub, 1)):
        if limit is not None:
            data = with_rows(data, sign * eye, sign * limit)
    return data._replace(lb=None, ub=None)


@LAWS
@given(
    kind=st.sampled_from(["plain", "diagonal", "rhs_decades", "meeting_bounds", "fixed_variables"]),
    seed=SEEDS,
)
def test_bounds_may_be_written_as_rows(kind, seed):
    data, reference, _ = draw(kind, seed)
    bounds, rows = solve(data), solve(as_rows(data))
    if kind == "meeting_bounds":  # as rows these are the hardest: some are almost solved
        assert rows.status.max() <= Status.ALMOST_SOLVED
    else:
        np.testing.assert_array_equal(rows.status, bounds.status)
    allowed = np.broadcast_to(reference.x_tol[:, None], rows.x.shape)
    np.testing.assert_array_less(np.abs(rows.x - bounds.x) / reference.unit, allowed)


# ---- batch mates


def troubled(rng, batch=8):
    """Draw a batch with an element that is infeasible, one of 1e308, one hard; and the others."""
    data = feasible(rng, FULL, dict.fromkeys(Data._fields, (batch,)))
    data.lb[0], data.ub[0] = 1.0, -1.0
    data.p[1, 0] = 1e308
    data.G[2] *= 10.0 ** rng.uniform(-9, 0, (FULL.m, 1))
    data.Q[3] *= 1e12
    data.h[4, 0] = np.nan
    return data, np.arange(5, batch)


@LAWS
@given(seed=SEEDS)
def test_no_bit_of_an_element_depends_on_its_mates(seed):
    rng = np.random.default_rng(seed)
    data, others = troubled(rng)
    weights = rng.normal(size=data.p.shape)
    direction = tangent(rng, data)
    together, alone = solve(data), solve(element(data, others))
    apart = {name: value[others] for name, value in direction.items()}
    names = (*Answer._fields, "status", "iterations")
    assert_same_bits(_at(together, names, others), alone, names)
    grads = element(grads_of(together.vjp(weights)), others)
    assert_same_bits(grads, grads_of(alone.vjp(weights[others])), Data._fields)
    moved = _at(together.jvp(**direction), Answer._fields, others)
    assert_same_bits(moved, alone.jvp(**apart), Answer._fields)
    reverse = solve(element(data, np.arange(len(data.p))[::-1]))
    assert_same_bits(_at(reverse, names, slice(None, None, -1)), together, names)


class _Fields:
    """The named fields of an object, at some elements."""

    def __init__(self, values):
        self.__dict__.update(values)


def _at(record, names, index):
    return _Fields({name: getattr(record, name)[index] for name in names})


@LAWS
@given(
    seed=SEEDS,
    name=st.sampled_from(Data._fields),
    size=st.sampled_from([1e100, 1e155, 1e300, -1e300, 1e308, -1e308]),
)
def test_a_huge_entry_ends_in_a_status_and_harms_nobody_else(seed, name, size):
    rng = np.random.default_rng(seed)
    data = feasible(rng, FULL, dict.fromkeys(Data._fields, (4,)))
    array = getattr(data, name)[1]
    array[tuple(rng.integers(0, length) for length in array.shape)] = size
    solution, others = solve(data), np.array([0, 2, 3])
    assert int(solution.status[1]) in set(Status)
    weights = np.ones(data.p.shape)
    grads = grads_of(solution.vjp(weights))
    assert_finite(grads)
    solution.jvp(**tangent(rng, data))
    solution.diagnostics()
    alone = solve(element(data, others))
    assert_same_bits(element(grads, others), grads_of(alone.vjp(weights[others])), Data._fields)


# ---- statuses


@LAWS
@given(seed=SEEDS, infeasible=st.booleans())
def test_what_is_built_without_a_solution_is_not_solved(seed, infeasible):
    rng = np.random.default_rng(seed)
    data = stacked(contradictory if infeasible else unbounded, rng, FULL, (10,))
    wanted = Status.PRIMAL_INFEASIBLE if infeasible else Status.DUAL_INFEASIBLE
    np.testing.assert_array_equal(solve(data).status, wanted)


def has_solution(Q, p, G, h, lb):
    """Return True if a QP of small integers is feasible and no direction improves it for ever."""
    n = len(p)
    lower = [(None if v == -np.inf else v, None) for v in lb]
    feasible = linprog(np.zeros(n), G, h, bounds=lower).status == 0
    free = [(0.0 if v > -np.inf else -1.0, 1.0) for v in lb]
    ray = linprog(p, G, np.zeros(len(h)), Q, np.zeros(n), bounds=free)
    return feasible and ray.fun > -LAW


@pytest.mark.parametrize("bounded", [False, True])
def test_of_tiny_integer_problems_those_with_a_solution_are_solved(bounded):
    rng = np.random.default_rng(18)
    B, n = 300, 2 + bounded
    u = rng.integers(-1, 2, (B, n, 1)).astype(float)
    lb = rng.integers(-2, 1, (B, n)).astype(float) if bounded else np.full((B, n), -np.inf)
    p, G, h = (rng.integers(-2, 3, s).astype(float) for s in ((B, n), (B, 2, n), (B, 2)))
    expected = [has_solution(*each) for each in zip(u * u.mT, p, G, h, lb, strict=True)]
    assert B / 10 < sum(expected) < B
    np.testing.assert_array_equal(solve(Data(u * u.mT, p, G, h, lb=lb)).solved, expected)


@pytest.mark.parametrize("kind", DOUBLE)
def test_out_of_iterations_there_is_a_best_iterate_and_no_gradient(kind):
    data, _ = fuzz.draw(kind, 3)
    before, out_before = np.full((3, fuzz.BATCH), np.inf), True
    for most in (1, 2, 3, 5):
        solution = solve(data, max_iter=most)
        out = solution.status == Status.MAX_ITER
        assert np.all(np.isfinite(solution.x[out]))
        for gradient in grads_of(solution.vjp(np.ones(data.p.shape))):
            assert gradient is None or np.all(gradient[out] == 0)
        left = np.stack([solution.primal_residual, solution.dual_residual, solution.duality_gap])
        worse = np.all(left > 2 * before, axis=0)  # in every respect, and not by a choice of norm
        assert not np.any(worse & out & out_before)
        before, out_before = left, out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tol", [None, 1e-16])
def test_no_feasible_problem_ends_with_nan(kind, tol):
    data, _ = fuzz.draw(kind, 4)
    solution = solve(data, tol=tol)
    for name in DIFFERENTIABLE:
        assert np.all(np.isfinite(getattr(solution, name))), name
    for gradient in grads_of(solution.vjp(np.ones_like(data.p))):
        assert gradient is None or np.all(np.isfinite(gradient))
