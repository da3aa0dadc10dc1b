"""Arrays as people have them: lists, integers, numbers, tables; what is absent; what is refused."""

import array_api_strict
import numpy as np
import pytest
import scipy.sparse

import kktdiff
from tests.checks import assert_near, assert_same_bits
from tests.core.test_errors import says
from tests.namespaces import SECOND, SECOND_DEVICE
from tests.problems import FULL, Answer, Data, Sizes, known
from tests.tolerances import DENSE_REFERENCE

WHOLE = Data(  # of integers, so that every form holds the same numbers
    np.array([[4.0, 1.0], [1.0, 3.0]]),
    np.array([-6.0, -9.0]),
    np.array([[1.0, 2.0], [2.0, -1.0]]),
    np.array([3.0, 2.0]),
    np.array([[1.0, 1.0]]),
    np.array([2.0]),
    np.array([0.0, -1.0]),
    np.array([5.0, 4.0]),
)
FIELDS = (*Answer._fields, "status", "iterations")
EXPECTED = kktdiff.solve_qp(*WHOLE)


def nested(array):
    return [nested(v) for v in array] if array.ndim else int(array)


def frame(array):
    pandas = pytest.importorskip("pandas")
    if array.ndim == 2:
        return pandas.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])])
    return pandas.Series(array, index=[f"r{i}" for i in range(len(array))])


class Table:
    """What turns itself into a NumPy array, as files and images do."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


FORMS = {
    "lists": nested,
    "tuples": lambda a: tuple(tuple(v) if a.ndim == 2 else v for v in a),
    "integers": lambda a: a.astype(int),
    "unsigned": lambda a: a if a.min() < 0 else a.astype(np.uint8),
    "lists of NumPy's numbers": lambda a: [list(v) if a.ndim == 2 else v for v in a],
    "lists of arrays": lambda a: [np.array(v) for v in a],
    "pandas": frame,
    "pandas, of integers": lambda a: frame(a.astype(int)),
    "what has __array__": Table,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_has_the_bits_of_the_array(form):
    found = kktdiff.solve_qp(*map(form, WHOLE))
    assert found.x.dtype == np.float64
    assert type(found.x) is np.ndarray
    assert_same_bits(found, EXPECTED, FIELDS)
    weight = [1.0, -2.0]
    assert_same_bits(found.vjp(weight), EXPECTED.vjp(np.array(weight)), Data._fields)
    assert_same_bits(found.jvp(p=weight), EXPECTED.jvp(p=np.array(weight)), Answer._fields)


@pytest.mark.parametrize("name", Data._fields)
def test_one_list_may_stand_among_arrays_of_either_dtype(name):
    for dtype in ("float32", "float64"):
        data = Data(*(a.astype(dtype) for a in WHOLE))
        found = kktdiff.solve_qp(*data._replace(**{name: nested(getattr(data, name))}))
        assert found.x.dtype == dtype
        assert_same_bits(found, kktdiff.solve_qp(*data), FIELDS)


def test_a_list_joins_the_library_and_the_device_of_the_arrays():
    data = SECOND.data(WHOLE)._replace(p=nested(WHOLE.p), ub=4, lb=0.0, Q=None)
    found = kktdiff.solve_qp(*data)
    plain = kktdiff.solve_qp(
        *WHOLE._replace(ub=np.full(2, 4.0), lb=np.zeros(2), Q=np.zeros((2, 2)))
    )
    assert found.x.device == SECOND_DEVICE
    assert_near(SECOND.to_numpy(found.x), plain.x, DENSE_REFERENCE)
    grads = found.vjp([1, 0])
    assert grads.ub.device == grads.p.device == SECOND_DEVICE
    assert grads.Q is None


def test_arrays_of_two_float_dtypes_stay_an_error():
    with pytest.raises(TypeError, match=says("G", "float32", "h", "float64")):
        kktdiff.solve_qp([[1]], [1], WHOLE.G.astype(np.float32)[:, :1], WHOLE.h)


# ------------------------------------------------------------------------- one number for all

KINDS = [int, float, np.float64, np.float32, np.int64, lambda v: np.array(float(v)), np.array]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(("name", "number"), [("h", 3), ("b", 2), ("lb", 0), ("ub", 4)])
def test_one_number_is_for_all_entries_and_its_gradient_is_their_sum(name, number, kind):
    full = WHOLE._replace(**{name: np.full(getattr(WHOLE, name).shape, float(number))})
    found = kktdiff.solve_qp(*WHOLE._replace(**{name: kind(number)}))
    expected = kktdiff.solve_qp(*full)
    assert found.solved
    assert_same_bits(found, expected, FIELDS)
    weight = np.array([1.0, -2.0])
    grads, all_grads = found.vjp(weight, lam=weight), expected.vjp(weight, lam=weight)
    assert getattr(grads, name).shape == ()
    assert_near(getattr(grads, name), getattr(all_grads, name).sum(), DENSE_REFERENCE)
    assert_same_bits(grads, all_grads, [other for other in Data._fields if other != name])
    entries = np.ones(getattr(full, name).shape)
    moved, all_moved = found.jvp(**{name: 1.0}), expected.jvp(**{name: entries})
    assert_same_bits(moved, all_moved, Answer._fields)
    jacobian = found.jacobian(of="lam", wrt=name)
    assert_near(jacobian, expected.jacobian(of="lam", wrt=name).sum(-1), DENSE_REFERENCE)


def test_a_number_s_tangent_is_a_number():
    with pytest.raises(ValueError, match=says("the tangent of lb", (2,), ())):
        kktdiff.solve_qp(*WHOLE._replace(lb=0)).jvp(lb=np.ones(2))


def test_the_gradient_of_a_number_is_summed_over_the_batch():
    rng = np.random.default_rng(5)
    p, weight = rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 3, 2))
    found = kktdiff.solve_qp(np.eye(2), p, lb=0.5).vjp(weight)
    expected = kktdiff.solve_qp(np.eye(2), p, lb=np.full((2, 3, 2), 0.5)).vjp(weight)
    assert found.lb.shape == ()
    assert_near(found.lb, expected.lb.sum(), DENSE_REFERENCE)


@pytest.mark.parametrize("of", ["x", "objective"])
def test_a_number_where_the_closest_problem_is_solved(of):
    """x >= 2 and x <= 0 in all entries but one, which has room."""
    upper, close = np.array([0.0, 0.0, 5.0]), {"infeasible": "closest"}
    found = kktdiff.solve_qp(np.eye(3), np.ones(3), lb=2.0, ub=upper, **close)
    expected = kktdiff.solve_qp(np.eye(3), np.ones(3), lb=np.full(3, 2.0), ub=upper, **close)
    assert_same_bits(found, expected, (*FIELDS, "shift_lb", "shift_ub"))
    weight = {of: np.ones(getattr(found, of).shape)}
    assert_near(found.vjp(**weight).lb, expected.vjp(**weight).lb.sum(), DENSE_REFERENCE)
    assert_near(
        found.jacobian(of=of, wrt="lb"), expected.jacobian(of=of, wrt="lb").sum(-1), DENSE_REFERENCE
    )


# ------------------------------------------------------------------------------ Q and p absent


@pytest.mark.parametrize("absent", [("Q",), ("p",), ("Q", "p")])
def test_what_is_absent_is_zero_and_has_no_gradient(absent):
    zeros = {name: np.zeros(getattr(WHOLE, name).shape) for name in absent}
    found = kktdiff.solve_qp(*WHOLE._replace(**dict.fromkeys(absent)))
    expected = kktdiff.solve_qp(*WHOLE._replace(**zeros))
    assert_same_bits(found, expected, FIELDS)
    others = [name for name in Data._fields if name not in absent]
    grads = found.vjp(np.ones(2))
    assert_same_bits(grads, expected.vjp(np.ones(2)), others)
    assert all(getattr(grads, name) is None for name in absent)
    for name in absent:
        with pytest.raises(ValueError, match=says(name, "None")):
            found.jvp(**{name: zeros[name]})
        with pytest.raises(ValueError, match=says("wrt", name)):
            found.jacobian(wrt=name)


@pytest.mark.parametrize(
    "given",
    [
        {"p": [1, 1], "lb": 0},
        {"G": [[-1, 0], [0, -1]], "h": 0},
        {"A": [[1, 1]], "b": 2, "lb": 0},
        {"lb": [0, 0]},
        {"ub": [0, 1]},
        {"Q": [[1, 0], [0, 1]]},
    ],
    ids=lambda given: "-".join(given),
)
def test_any_array_tells_the_number_of_variables(given):
    found = kktdiff.solve_qp(**given)
    assert found.x.shape == (2,)
    assert found.status_names == "SOLVED"
    grads = found.vjp([1.0, 1.0])
    assert {name for name in Data._fields if getattr(grads, name) is not None} == set(given)


def test_nothing_of_float32_arrays_is_made_float64():
    given = {name: getattr(WHOLE, name).astype(np.float32) for name in ("G", "h", "A", "b", "lb")}
    found = kktdiff.solve_qp(**given)
    assert found.x.dtype == found.vjp([1, 1]).h.dtype == np.float32


# ---------------------------------------------------------------------------------- refused

REFUSED = {
    "masked": (np.ma.array([1.0, 2.0], mask=[0, 1]), ["masked", "p.filled(value)"]),
    "masked, with no entry masked": (np.ma.array([1.0, 2.0]), ["masked", "np.asarray(p)"]),
    "sparse matrix": (scipy.sparse.csr_matrix([[1.0, 2.0]]), ["sparse", "p.toarray()"]),
    "sparse array": (scipy.sparse.coo_array([1.0, 2.0]), ["sparse", "p.toarray()"]),
    "ragged": ([[1.0, 2.0], [3.0]], ["list", "differ in length"]),
    "words": (["a", "b"], ["<U1", "float64"]),
    "booleans": ([True, False], ["bool", "float64"]),
    "complex": ([1j, 2], ["complex128", "p.real"]),
    "none among numbers": ([1.0, None], ["object", "np.asarray(p, float)"]),
    "dates": (np.array(["2020-01-01", "2021-01-01"], "M8[D]"), ["datetime64[D]"]),
}


@pytest.mark.parametrize(("value", "facts"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_plain_meaning_is_refused_with_the_cure(value, facts):
    with pytest.raises((TypeError, ValueError), match=says("p", *facts)):
        kktdiff.solve_qp(np.eye(2), value)
    with pytest.raises((TypeError, ValueError), match=says("the cotangent of x")):
        EXPECTED.vjp(value)


@pytest.mark.parametrize("name", Data._fields)
def test_a_masked_array_is_refused_wherever_it_stands(name):
    with pytest.raises(TypeError, match=says(name, "masked")):
        kktdiff.solve_qp(*WHOLE._replace(**{name: np.ma.array(getattr(WHOLE, name))}))


def test_a_table_of_pandas_with_words_is_refused():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(TypeError, match=says("p", "object")):
        kktdiff.solve_qp(np.eye(2), pandas.Series(["a", 1.0], dtype=object))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_of_numpy_is_its_array():
    found = kktdiff.solve_qp(np.asmatrix(WHOLE.Q), WHOLE.p)
    assert type(found.x) is np.ndarray
    assert_same_bits(found, kktdiff.solve_qp(WHOLE.Q, WHOLE.p), FIELDS)


def test_strict_arrays_of_integers_are_converted():
    p = array_api_strict.asarray([1, 2])
    found = kktdiff.solve_qp(array_api_strict.eye(2), p)
    assert found.x.dtype == array_api_strict.float64
    assert_near(np.asarray(found.x), [-1.0, -2.0], DENSE_REFERENCE)


def test_a_batch_of_lists_is_a_batch():
    data = known(np.random.default_rng(3), Sizes(n=3, m=2), batch=(4,)).data
    found = kktdiff.solve_qp(*(a if a is None else a.tolist() for a in data))
    assert_same_bits(found, kktdiff.solve_qp(*data), FIELDS)


def test_the_caller_s_arrays_stay_what_they_are():
    data = known(np.random.default_rng(4), FULL).data._replace(lb=np.array(-9), ub=[9] * FULL.n)
    copies = [np.array(a) for a in data]
    kktdiff.solve_qp(*data).vjp([1] * FULL.n)
    for array, copy in zip(data, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
