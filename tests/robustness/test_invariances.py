"""The same problem written in another way has the same answer; degenerate writing harms nothing.

One element at a time; the multipliers and x are known from how the problems are made. Other units:
`test_scale` and `test_laws`.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import kktdiff
from kktdiff import Status
from tests.checks import (
    answer_of,
    assert_adjoint,
    assert_answer,
    assert_finite,
    assert_near,
    grads_of,
    residuals,
)
from tests.problems import Answer, Data, Known, known, tangent
from tests.strategies import MANY, SEEDS, problems, sizes
from tests.tolerances import ADJOINT, ANSWER, DENSE_REFERENCE, PUBLIC_RESIDUAL

ONE = problems(batches=st.just(()))
DETERMINED = ("x", "objective")  # where multipliers are not unique


def assert_solved(data):
    """The solution, once its status and its residuals are found to be right."""
    solution = kktdiff.solve_qp(*data)
    assert solution.status == Status.SOLVED, Status(int(solution.status)).name
    found = residuals(data, answer_of(solution))
    assert max(found) <= PUBLIC_RESIDUAL, found
    return solution


# ---- the same problem


@MANY
@given(seed=SEEDS, shape=sizes())
def test_the_order_of_rows_and_variables_is_the_order_of_the_answer(seed, shape):
    rng = np.random.default_rng(seed)
    data, answer = known(rng, shape)
    v, r, e = (rng.permutation(size) for size in (shape.n, shape.m, shape.k))

    def picked(array, *index):
        return None if array is None else array[np.ix_(*index)]

    def mixed(d):
        places = {"Q": (v, v), "p": (v,), "G": (r, v), "h": (r,), "A": (e, v), "b": (e,)}
        places |= {"lb": (v,), "ub": (v,)}
        return Data(*(picked(getattr(d, name), *places[name]) for name in Data._fields))

    order = {"x": v, "s": r, "lam": r, "nu": e, "lam_lb": v, "lam_ub": v}
    expected = answer._replace(**{f: getattr(answer, f)[i] for f, i in order.items()})
    solution, weight = assert_solved(mixed(data)), rng.normal(size=shape.n)
    assert_answer(solution, expected, ANSWER)
    grads = mixed(grads_of(kktdiff.solve_qp(*data).vjp(weight)))
    for name, value in grads_of(solution.vjp(weight[v]))._asdict().items():
        if value is not None:
            assert_near(value, getattr(grads, name), DENSE_REFERENCE, name)


@MANY
@given(seed=SEEDS, shape=sizes())
def test_bounds_may_be_written_as_rows(seed, shape):
    data, answer = known(np.random.default_rng(seed), shape)
    eye = np.eye(shape.n)
    blocks = [(data.G, data.h, answer.lam)] if shape.m else []
    blocks += [(-eye, -data.lb, answer.lam_lb)] if shape.lower else []
    blocks += [(eye, data.ub, answer.lam_ub)] if shape.upper else []
    if blocks:
        G, h, lam = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        found = assert_solved(data._replace(G=G, h=h, lb=None, ub=None))
        assert_near(found.x, answer.x, ANSWER, "x")
        assert_near(found.lam, lam, ANSWER, "lam")


# ---- degenerate structure


def repeated(rng, problem):
    """Rows of G and A again, some with a factor: of each a multiple, and the same limit."""
    data = problem.data
    for matrix, limit in (("G", "h"), ("A", "b")):
        M, v = getattr(data, matrix), getattr(data, limit)
        if M is not None:
            rows = rng.integers(len(v), size=2)
            c = rng.choice([1.0, 0.5, 3.0], size=2)
            new = {matrix: np.vstack([M, c[:, None] * M[rows]])}
            data = data._replace(**new, **{limit: np.append(v, c * v[rows])})
    return data


def with_zero_rows(rng, problem):
    """0 x <= h with h > 0 and h = 0, and 0 x = 0."""
    data, n = problem.data, problem.data.p.size
    if data.G is not None:
        zeros = np.insert(data.G, [0, 0], 0.0, axis=0)
        data = data._replace(G=zeros, h=np.insert(data.h, [0, 0], [0.0, rng.uniform()]))
    if data.A is not None:
        data = data._replace(A=np.vstack([data.A, np.zeros((1, n))]), b=np.append(data.b, 0.0))
    return data


def dependent(rng, problem):
    """Sums of the equalities, and of rows of G: implied, with no room where the rows hold."""
    data = problem.data
    for matrix, limit, weight in (("A", "b", rng.normal), ("G", "h", rng.uniform)):
        M, v = getattr(data, matrix), getattr(data, limit)
        if M is not None:
            w = weight(size=len(v))
            new = {matrix: np.vstack([M, w @ M]), limit: np.append(v, w @ v)}
            data = data._replace(**new)
    return data


def weakly_active(rng, problem):
    """Rows that touch the solution with multiplier 0."""
    data, x = problem.data, problem.answer.x
    new = rng.normal(size=(2, x.size)) / np.sqrt(x.size)
    G, h = (np.zeros((0, x.size)), np.zeros(0)) if data.G is None else (data.G, data.h)
    return data._replace(G=np.vstack([G, new]), h=np.append(h, new @ x))


def fixed(rng, problem):
    """Some variables fixed at their values."""
    data, x = problem.data, problem.answer.x
    some = rng.uniform(size=x.size) < 0.5
    lb = np.full(x.size, -np.inf) if data.lb is None else data.lb
    ub = np.full(x.size, np.inf) if data.ub is None else data.ub
    return data._replace(lb=np.where(some, x, lb), ub=np.where(some, x, ub))


def flat(rng, problem):
    """A variable more, of which the objective and the constraints know nothing."""
    data = problem.data
    new = {
        f: np.pad(getattr(data, f), ((0, 0), (0, 1))) for f in "GA" if getattr(data, f) is not None
    }
    for name, side in (("lb", -1.0), ("ub", 1.0)):
        if getattr(data, name) is not None:
            new[name] = np.append(getattr(data, name), side * rng.uniform(0.5, 1.5))
    return data._replace(Q=np.pad(data.Q, (0, 1)), p=np.append(data.p, 0.0), **new)


def assert_adjoint_where_defined(rng, data, solution):
    """Constraints that depend on each other can't be moved apart, and only their force is unique.

    The answer of minimum norm is defined for all moves. (The objective's is its derivative anyway.)
    """
    weights = {f: rng.normal(size=np.shape(getattr(solution, f))) for f in Answer._fields}
    unique = {f: weights[f] for f in DETERMINED}
    assert_adjoint(solution, tangent(rng, data, ["Q", "p"]), unique, ADJOINT)
    del weights["objective"]
    assert_adjoint(solution, tangent(rng, data), weights, ADJOINT, gradient="least_squares")


WAYS = st.lists(
    st.sampled_from([repeated, with_zero_rows, dependent, weakly_active, fixed]),
    min_size=1,
    max_size=2,
    unique=True,
)


@MANY
@given(seed=SEEDS, shape=sizes(most=6), ways=WAYS)
def test_degenerate_writing_leaves_the_answer(seed, shape, ways):
    rng = np.random.default_rng(seed)
    problem = known(rng, shape)
    answer, data = problem.answer, problem.data
    for way in ways:
        data = way(rng, Known(data, answer))
    solution = assert_solved(data)
    for name in DETERMINED:
        assert_near(getattr(solution, name), getattr(answer, name), ANSWER, name)
    if data.lb is not None and data.ub is not None:
        held = data.lb == data.ub
        np.testing.assert_array_equal(solution.x[held], data.lb[held])
    weights = {f: np.ones(np.shape(getattr(solution, f))) for f in Answer._fields}
    assert_finite(solution.vjp(**weights))
    assert_adjoint_where_defined(rng, data, solution)


@MANY
@given(seed=SEEDS, shape=sizes(most=6))
def test_a_variable_that_nothing_determines_harms_no_other(seed, shape):
    rng = np.random.default_rng(seed)
    problem = known(rng, shape)
    solution = assert_solved(flat(rng, problem))
    assert_near(solution.x[:-1], problem.answer.x, ANSWER, "x")
    assert_near(solution.objective, problem.answer.objective, ANSWER, "objective")
    assert_finite(solution.vjp(np.ones(shape.n + 1), objective=np.ones(())))
