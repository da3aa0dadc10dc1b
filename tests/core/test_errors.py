"""A wrong call raises at once, and the message names the array, what it got and what it wants."""

import numpy as np
import pytest

import kktdiff
from tests.namespaces import SECOND_DEVICE, STRICT
from tests.problems import Data, Sizes, known

DATA = known(np.random.default_rng(140), Sizes(n=3, m=4, k=2, lower=True, upper=True)).data


def says(*facts):
    """A pattern that wants every fact in the message, in any order; names as whole words."""
    words = (rf"(?<!\w){_escaped(fact)}(?!\w)" for fact in facts)
    return "(?s)" + "".join(f"(?=.*{word})" for word in words)


def _escaped(fact):
    text = str(fact)
    return "".join("\\" + c if c in "()[]{}.*+?^$|" else c for c in text)


def refused(facts, **changes):
    with pytest.raises((TypeError, ValueError), match=says(*facts)):
        kktdiff.solve_qp(*DATA._replace(**changes))


SHAPES = {
    "Q": [(3, 4), (4, 4), (3,), (2, 3)],
    "p": [(4,), (2,), (5, 4)],
    "G": [(4, 2), (4,), (6, 4, 5)],
    "h": [(3,), (5,), (2, 3)],
    "A": [(2, 4), (2,)],
    "b": [(3,), (5, 1)],
    "lb": [(2,), (4,), (7, 1)],
    "ub": [(2,), (4,), (7, 1)],
}


@pytest.mark.parametrize(
    ("name", "shape"), [(name, shape) for name, shapes in SHAPES.items() for shape in shapes]
)
def test_a_wrong_shape_is_named_with_its_array(name, shape):
    refused([name, shape], **{name: np.zeros(shape)})


def test_a_wrong_shape_comes_with_the_right_one():
    refused(["p", (4,), 3], p=np.zeros(4))
    refused(["h", (5,), 4], h=np.zeros(5))
    refused(["b", (3,), 2], b=np.zeros(3))
    refused(["lb", (2,), 3], lb=np.zeros(2))


def test_scalars_are_no_vectors():
    refused(["p", ()], p=np.zeros(()))


@pytest.mark.parametrize(("given", "missing"), [("G", "h"), ("h", "G"), ("A", "b"), ("b", "A")])
def test_half_a_block_is_refused(given, missing):
    refused([given, missing], **{missing: None})


@pytest.mark.parametrize(("G", "b"), [("G", "b"), ("h", "A")])
def test_halves_of_both_blocks_are_named_together(G, b):
    """Who mixes up the names gives one half of each."""
    with pytest.raises(ValueError, match=says(G, b, "G belongs to h, and A to b")):
        kktdiff.solve_qp(DATA.Q, DATA.p, **{G: getattr(DATA, G), b: getattr(DATA, b)})


@pytest.mark.parametrize("given", [{}, {"lb": 0.0}, {"lb": 0, "ub": np.ones(())}])
def test_something_must_tell_the_number_of_variables(given):
    with pytest.raises(ValueError, match="nothing tells the number of variables: pass p, Q, G or"):
        kktdiff.solve_qp(**given)
    with pytest.raises(ValueError, match=r"p has shape \(0,\): expected at least one variable"):
        kktdiff.solve_qp(p=np.zeros(0))


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("P", ["did you mean Q"]),
        ("q", ["did you mean p"]),
        ("A_ub", ["did you mean G"]),
        ("beq", ["did you mean b"]),
        ("l", ["lb, ub", "l <= Ax <= u is G = [A; -A] with h = [u; -l]"]),
        ("u", ["lb, ub", "l <= Ax <= u is G = [A; -A] with h = [u; -l]"]),
        ("bounds", ["lb, ub"]),
        ("maxiter", ["did you mean max_iter"]),
        ("warmstart", ["did you mean warm_start"]),  # a slip of the finger
        ("gradient", ["Solution.vjp"]),
        ("xyz", ["expected one of Q, p, G, h, A, b, lb, ub, backend", "tol, max_iter"]),
    ],
)
def test_an_argument_of_another_name_comes_with_the_one_that_is_meant(name, facts):
    with pytest.raises(TypeError, match=says(f"no argument {name!r}", *facts)):
        kktdiff.solve_qp(DATA.Q, DATA.p, **{name: 1})


def test_other_names_for_what_is_required_are_named_too():
    with pytest.raises(TypeError, match=says("'P'", "did you mean Q", "'q'", "did you mean p")):
        kktdiff.solve_qp(P=DATA.Q, q=DATA.p)


def test_batch_shapes_that_do_not_fit_name_both_arrays():
    refused(["p", "h", (5, 3), (6, 4)], p=np.zeros((5, 3)), h=np.ones((6, 4)))


def test_dtypes_are_not_mixed():
    refused(["p", "float32", "float64"], p=DATA.p.astype(np.float32))


@pytest.mark.parametrize("dtype", ["bool", "complex128", "float16", "object", "<U32"])
def test_only_real_numbers_are_taken(dtype):
    cure = "h.real" if dtype == "complex128" else "np.asarray(h, float) converts it"
    refused(["h", dtype, cure], h=DATA.h.astype(dtype))
    for name, array in DATA._asdict().items():
        refused([name, dtype, "float64 or float32"], **{name: array.astype(dtype)})
    with pytest.raises((TypeError, ValueError), match=says("Q", dtype)):
        kktdiff.solve_qp(np.eye(2).astype(dtype), np.zeros(2).astype(dtype))


def test_array_types_are_not_mixed():
    refused(["G", "ndarray"], G=STRICT.asarray(DATA.G))


def test_devices_are_not_mixed():
    data = STRICT.data(DATA)
    with pytest.raises((TypeError, ValueError), match=says("h", "device1")):
        kktdiff.solve_qp(*data._replace(h=data.h.to_device(SECOND_DEVICE)))


@pytest.mark.parametrize("value", ["text", {0: 1.0}, {1.0}, True])
def test_what_is_no_array_is_refused_by_name(value):
    refused(["p", type(value).__name__, "(..., n)", "np.asarray(p, float)"], p=value)


@pytest.mark.parametrize("value", [0, 1.0])
@pytest.mark.parametrize("name", ["Q", "p", "G", "A"])
def test_one_number_is_for_right_hand_sides_alone(name, value):
    cure = {"Q": ["leave Q out if it is zero", "Q * np.eye(n)"], "p": ["leave p out", "np.ones(n)"]}
    refused([name, (), *cure.get(name, [])], **{name: value})


@pytest.mark.parametrize(
    ("name", "facts"),
    [("G", ["G[None, :]"]), ("A", ["A[None, :]"]), ("Q", ["np.diag"])],
)
def test_a_row_in_the_place_of_a_matrix_comes_with_the_cure(name, facts):
    refused([name, (3,), *facts], **{name: np.ones(3)})


@pytest.mark.parametrize("name", ["p", "h", "b", "lb"])
def test_a_column_in_the_place_of_a_vector_comes_with_the_cure(name):
    column = getattr(DATA, name)[:, None]
    refused([name, column.shape, f"pass {name}[..., 0]"], **{name: column})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("infeasible", "hope"),
        ("on_failure", "panic"),
        ("backend", "abacus"),
        ("tol", 0.0),
        ("tol", -1e-8),
        ("tol", "1e-8"),
        ("tol", True),
        ("tol", float("nan")),
        ("max_iter", -1),
        ("max_iter", 2.5),
        ("max_iter", True),
        ("warm_start", 3),
        ("verbose", "loud"),
    ],
)
def test_an_option_with_an_unknown_value_is_refused_by_name(option, value):
    with pytest.raises((TypeError, ValueError), match=says(option, value)):
        kktdiff.solve_qp(*DATA, **{option: value})


@pytest.fixture(scope="module")
def solution():
    return kktdiff.solve_qp(*DATA)


def test_an_unknown_gradient_is_refused_with_the_known_ones(solution):
    facts = says("gradient", "steepest", "exact", "smoothed", "least_squares")
    with pytest.raises(ValueError, match=facts):
        solution.vjp(np.ones(3), gradient="steepest")


@pytest.mark.parametrize("smoothing", [0.0, -1.0])
def test_a_smoothed_gradient_needs_a_positive_smoothing(solution, smoothing):
    with pytest.raises((TypeError, ValueError), match=says("smoothing")):
        solution.vjp(np.ones(3), gradient="smoothed", smoothing=smoothing)


def test_smoothing_without_a_smoothed_gradient_is_refused(solution):
    with pytest.raises((TypeError, ValueError), match=says("smoothing")):
        solution.vjp(np.ones(3), smoothing=1e-3)


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [("x", (4,), (3,)), ("lam", (3,), (4,)), ("nu", (3,), (2,)), ("objective", (1,), ())],
)
def test_a_cotangent_of_the_wrong_shape_is_named(solution, name, shape, wanted):
    with pytest.raises(ValueError, match=says(name, shape, wanted)):
        solution.vjp(**{name: np.zeros(shape)})


@pytest.mark.parametrize(
    ("name", "shape"), [("p", (4,)), ("Q", (3, 4)), ("G", (3, 3)), ("ub", (2, 3))]
)
def test_a_tangent_of_the_wrong_shape_is_named(solution, name, shape):
    with pytest.raises(ValueError, match=says(name, shape, getattr(DATA, name).shape)):
        solution.jvp(**{name: np.zeros(shape)})


def test_cotangents_and_tangents_of_another_library_are_refused(solution):
    with pytest.raises(TypeError, match=says("x", "Array", "expected a ndarray")):
        solution.vjp(STRICT.asarray(np.ones(3)))
    with pytest.raises(TypeError, match=says("p", "Array", "expected a ndarray")):
        solution.jvp(p=STRICT.asarray(np.ones(3)))


def test_unknown_cotangents_and_tangents_are_refused(solution):
    with pytest.raises(TypeError, match="speed"):
        solution.vjp(speed=np.ones(3))
    with pytest.raises(TypeError, match="speed"):
        solution.jvp(speed=np.ones(3))


def test_a_tangent_of_an_absent_input_is_refused():
    absent = kktdiff.solve_qp(DATA.Q, DATA.p)
    with pytest.raises((TypeError, ValueError), match=says("G")):
        absent.jvp(G=np.zeros((4, 3)))


def test_one_name_is_no_tuple_of_names(solution):
    with pytest.raises(TypeError, match=r"wrt='p': expected a tuple of names, as in \('p',\)"):
        solution.vjp(np.ones(3), wrt="p")


@pytest.mark.parametrize(("of", "wrt", "fact"), [("y", "p", "y"), ("x", "c", "c")])
def test_a_jacobian_of_unknown_names_is_refused(solution, of, wrt, fact):
    with pytest.raises(ValueError, match=says(fact)):
        solution.jacobian(of=of, wrt=wrt)


def test_a_jacobian_in_an_absent_input_is_refused():
    absent = kktdiff.solve_qp(DATA.Q, DATA.p)
    with pytest.raises((TypeError, ValueError), match=says("h")):
        absent.jacobian(of="x", wrt="h")


def test_options_are_keywords_only():
    with pytest.raises(TypeError, match="positional"):
        kktdiff.solve_qp(*DATA, "numpy")


@pytest.mark.parametrize("name", Data._fields)
def test_a_refused_call_has_solved_nothing(name, capfd):
    """Errors come before any work: no warning, no output."""
    with pytest.raises((TypeError, ValueError)):
        kktdiff.solve_qp(*DATA._replace(**{name: np.zeros((0, 1, 1, 9))}), verbose=True)
    assert capfd.readouterr().out == ""


def test_an_unknown_backend_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=says("abacus", "numpy")):
        kktdiff.backends.get("abacus")
