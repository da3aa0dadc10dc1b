"""What holds for every problem that has an answer, over shapes, batches, layouts and dtypes."""

import numpy as np
import pytest
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
    assert_same_bits,
    element,
    grads_of,
    residuals,
)
from tests.problems import Answer, Data, tangent
from tests.strategies import BATCHES, LAYOUTS, MANY, broadcast_problems, problems
from tests.tolerances import (
    ADJOINT,
    ANSWER,
    DENSE_REFERENCE,
    PUBLIC_RESIDUAL,
    SHARED,
    SINGLE_ANSWER,
)

OUTPUTS = (*Answer._fields, "status", "iterations", "primal_residual", "duality_gap")


def cotangents(solution):
    """Fixed random ones of every output."""
    rng = np.random.default_rng(500)
    return {f: rng.normal(size=v.shape) for f, v in answer_of(solution)._asdict().items()}


def assert_solved(data, solution):
    """Every element, by residuals recomputed from its arrays; the reported ones are these."""
    assert np.all(solution.status == Status.SOLVED), solution.status
    for index in np.ndindex(solution.status.shape):
        own = element(answer_of(solution), index)
        found = residuals(element(data, index), own)
        assert max(found) <= PUBLIC_RESIDUAL, found
        for name in ("s", "lam", "lam_lb", "lam_ub"):
            assert np.all(getattr(own, name) >= 0.0), name


def spread(data, batch):
    """Every array copied out to the whole batch."""
    core = {f: 2 if f in "QGA" else 1 for f in Data._fields}
    return Data(
        *(
            None if a is None else np.broadcast_to(a, batch + a.shape[a.ndim - core[f] :]).copy()
            for f, a in data._asdict().items()
        )
    )


@MANY
@given(problem=problems())
def test_the_answer_is_the_known_one_and_meets_the_conditions(problem):
    solution = kktdiff.solve_qp(*problem.data)
    assert_solved(problem.data, solution)
    assert_answer(solution, problem.answer, ANSWER)


@pytest.mark.parametrize("tol", [1e-6, 1e-8, 1e-12])
@MANY
@given(problem=problems())
def test_gradients_are_finite_and_adjoint_to_tangents(problem, tol):
    solution = kktdiff.solve_qp(*problem.data, tol=tol)
    weights = cotangents(solution)
    assert_finite(solution.vjp(**weights))
    direction = tangent(np.random.default_rng(501), problem.data)
    assert_adjoint(solution, direction, weights, ADJOINT)


@MANY
@given(data=broadcast_problems())
def test_every_array_broadcasts_by_itself(data):
    solution = kktdiff.solve_qp(*data)
    whole = spread(data, solution.status.shape)
    assert_solved(whole, solution)
    assert_answer(solution, answer_of(kktdiff.solve_qp(*whole)), SHARED)
    direction = tangent(np.random.default_rng(502), data)
    assert_adjoint(solution, direction, cotangents(solution), ADJOINT)


@MANY
@given(data=broadcast_problems())
def test_gradients_are_those_of_the_copies_summed_to_each_shape(data):
    solution = kktdiff.solve_qp(*data)
    weights = cotangents(solution)
    found, batch = grads_of(solution.vjp(**weights)), solution.status.shape
    apart = grads_of(kktdiff.solve_qp(*spread(data, batch)).vjp(**weights))
    for name, array in data._asdict().items():
        if array is not None:
            whole = getattr(apart, name)
            lead = (1,) * (whole.ndim - array.ndim) + array.shape
            axes = tuple(i for i, own in enumerate(lead) if i < len(batch) and own == 1)
            expected = whole.sum(axis=axes, keepdims=True).reshape(array.shape)
            assert_near(getattr(found, name), expected, DENSE_REFERENCE, name)


@MANY
@given(problem=problems(batches=st.sampled_from([(1,), (3,), (2, 3)])), data=st.data())
def test_an_element_has_the_bits_that_it_has_alone(problem, data):
    together = kktdiff.solve_qp(*problem.data)
    weights = cotangents(together)
    grads = grads_of(together.vjp(**weights))
    batch = together.status.shape
    index = data.draw(st.sampled_from(list(np.ndindex(batch))))
    alone = kktdiff.solve_qp(*element(problem.data, index))
    for name in OUTPUTS:
        np.testing.assert_array_equal(
            getattr(alone, name), getattr(together, name)[index], err_msg=name
        )
    own = grads_of(alone.vjp(**{name: w[index] for name, w in weights.items()}))
    assert_same_bits(own, element(grads, index), Data._fields)


def use(data, weights):
    """Everything that reads the inputs."""
    solution = kktdiff.solve_qp(*data)
    moves = {f: np.ones(a.shape) for f, a in data._asdict().items() if a is not None}
    return solution, grads_of(solution.vjp(**weights)), solution.jvp(**moves)


@MANY
@given(problem=problems(), data=st.data())
def test_layouts_change_no_bit_and_no_input(problem, data):
    plain = problem.data
    before = Data(*(None if a is None else a.copy() for a in plain))
    weights = {f: np.ones(np.shape(v)) for f, v in problem.answer._asdict().items()}
    laid = Data(*(None if a is None else data.draw(LAYOUTS)(a) for a in plain))
    left, right = use(laid, weights), use(plain, weights)
    for pair, names in zip(
        zip(left, right, strict=True), (OUTPUTS, Data._fields, Answer._fields), strict=True
    ):
        assert_same_bits(*pair, names)
    assert_same_bits(laid, before, Data._fields)
    assert_same_bits(plain, before, Data._fields)


@MANY
@given(problem=problems(batches=st.just(())), batch=BATCHES, data=st.data())
def test_expanded_inputs_have_the_bits_of_their_copies(problem, batch, data):
    """Each array by itself: a batch of stride 0, or its copy in memory."""
    names = [f for f, a in problem.data._asdict().items() if a is not None]
    chosen = data.draw(st.sets(st.sampled_from(names)))
    copies = spread(problem.data, batch)
    views = {f: np.broadcast_to(getattr(problem.data, f), getattr(copies, f).shape) for f in chosen}
    weights = {f: np.ones(batch + np.shape(v)) for f, v in problem.answer._asdict().items()}
    left, right = use(copies._replace(**views), weights), use(copies, weights)
    assert_same_bits(left[0], right[0], OUTPUTS)
    assert_same_bits(left[1], right[1], Data._fields)
    assert_same_bits(left[2], right[2], Answer._fields)


@MANY
@given(problem=problems(singular=False))
def test_single_precision_is_double_precision_rounded(problem):
    """A Q of full rank: rounding a singular one to float32 may make it indefinite."""
    single = Data(*(None if a is None else a.astype(np.float32) for a in problem.data))
    double = Data(*(None if a is None else a.astype(np.float64) for a in single))
    solution, exact = kktdiff.solve_qp(*single), kktdiff.solve_qp(*double)
    assert np.all(solution.status == Status.SOLVED)
    assert_answer(solution, answer_of(exact), SINGLE_ANSWER)
    floats = (*Answer._fields, "primal_residual", "dual_residual", "duality_gap")
    assert {getattr(solution, f).dtype for f in floats} == {np.dtype(np.float32)}
    grads = solution.vjp(x=np.ones_like(solution.x), lam=np.ones_like(solution.lam))
    expected = grads_of(exact.vjp(x=np.ones_like(exact.x), lam=np.ones_like(exact.lam)))
    for name, gradient in grads_of(grads)._asdict().items():
        if gradient is not None:
            assert gradient.dtype == np.float32, name
            assert_near(gradient, getattr(expected, name), SINGLE_ANSWER, name)
