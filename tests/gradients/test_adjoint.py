"""<g, J t> = <J'g, t> for random tangents t and cotangents g, on separate and shared inputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kktdiff
from tests.checks import answer_of, assert_adjoint, assert_near
from tests.problems import Data, Sizes, feasible, known, tangent
from tests.tolerances import ADJOINT, SUM

BATCHES = st.sampled_from([(), (3,), (1,), (2, 1), (1, 3), (2, 3)])


@st.composite
def problems(draw):
    """A strictly feasible problem; every array has a batch shape of its own."""
    n = draw(st.integers(1, 5))
    sizes = Sizes(
        n,
        m=draw(st.integers(0, 6)),
        k=draw(st.integers(0, n - 1)),
        lower=draw(st.booleans()),
        upper=draw(st.booleans()),
    )
    batches = {name: draw(BATCHES) for name in Data._fields}
    return feasible(np.random.default_rng(draw(st.integers(0, 2**16))), sizes, batches)


def assert_adjoint_at(data, tol, names=Data._fields):
    rng = np.random.default_rng(100)
    solution = kktdiff.solve_qp(*data, tol=tol)
    assert np.all(solution.solved)
    answer = answer_of(solution)._asdict()
    cotangents = {name: rng.normal(size=value.shape) for name, value in answer.items()}
    direction = tangent(rng, data, names)
    assert any(np.any(value != 0.0) for value in vars(solution.jvp(**direction)).values())
    assert_adjoint(solution, direction, cotangents, ADJOINT)


@pytest.mark.parametrize("tol", [1e-6, 1e-8, 1e-12])
@given(data=problems())
def test_the_adjoint_identity_holds_whatever_is_shared(tol, data):
    assert_adjoint_at(data, tol)


@pytest.mark.parametrize("tol", [1e-6, 1e-8, 1e-12])
@pytest.mark.parametrize("name", Data._fields)
@pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])
def test_the_adjoint_identity_holds_for_each_input(tol, name, shared):
    batches = dict.fromkeys(Data._fields, (4,)) | ({name: ()} if shared else {})
    sizes = Sizes(n=4, m=5, k=1, lower=True, upper=True)
    assert_adjoint_at(feasible(np.random.default_rng(101), sizes, batches), tol, [name])


@pytest.mark.parametrize("rank", [0, 2])
def test_the_adjoint_identity_holds_for_singular_Q(rank):
    sizes = Sizes(n=5, m=8, k=1, lower=True, rank=rank)
    assert_adjoint_at(known(np.random.default_rng(102), sizes, batch=(3,)).data, 1e-8)


@pytest.mark.parametrize("name", Data._fields)
def test_a_shared_gradient_is_the_sum_of_the_elements_gradients(name):
    batches = dict.fromkeys(Data._fields, (4,)) | {name: ()}
    sizes = Sizes(n=4, m=5, k=1, lower=True, upper=True)
    data = feasible(np.random.default_rng(103), sizes, batches)
    array = getattr(data, name)
    apart = data._replace(**{name: np.broadcast_to(array, (4, *array.shape)).copy()})
    weight = np.random.default_rng(104).normal(size=(4, 4))
    shared, separate = (getattr(kktdiff.solve_qp(*d).vjp(weight), name) for d in (data, apart))
    assert shared.shape == array.shape
    assert separate.shape == (4, *array.shape)
    assert_near(shared, separate.sum(axis=0), SUM, name)


@given(data=problems())
def test_gradients_and_tangents_have_the_shapes_of_what_they_belong_to(data):
    solution = kktdiff.solve_qp(*data)
    grads = solution.vjp(np.ones(solution.x.shape), objective=np.ones(solution.objective.shape))
    moved = solution.jvp(**tangent(np.random.default_rng(105), data))
    for name, array in data._asdict().items():
        gradient = getattr(grads, name)
        assert (gradient is None) == (array is None), name
        assert array is None or gradient.shape == array.shape, name
    for name, value in answer_of(solution)._asdict().items():
        assert getattr(moved, name).shape == value.shape, name
