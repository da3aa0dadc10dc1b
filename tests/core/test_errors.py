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


MISFITS = [  # what is given, and what the message says
    ({"p": np.zeros(4)}, ["p", (4,), 3]),
    ({"h": np.zeros(5)}, ["h", (5,), 4]),
    ({"b": np.zeros(3)}, ["b", (3,), 2]),
    ({"lb": np.zeros(2)}, ["lb", (2,), 3]),
    ({"p": np.zeros(())}, ["p", ()]),
    ({"h": None}, ["G", "h"]),
    ({"G": None}, ["h", "G"]),
    ({"b": None}, ["A", "b"]),
    ({"A": None}, ["b", "A"]),
    ({"p": np.zeros((5, 3)), "h": np.ones((6, 4))}, ["p", "h", (5, 3), (6, 4)]),
    ({"p": DATA.p.astype(np.float32)}, ["p", "float32", "float64"]),
    ({"G": STRICT.asarray(DATA.G)}, ["G", "ndarray"]),
    ({"G": np.ones(3)}, ["G", (3,), "G[None, :]"]),
    ({"A": np.ones(3)}, ["A", (3,), "A[None, :]"]),
    ({"Q": np.ones(3)}, ["Q", (3,), "np.diag"]),
    *(
        ({name: getattr(DATA, name)[:, None]}, [name, f"pass {name}[..., 0]"])
        for name in ("p", "h", "b", "lb")
    ),
]


@pytest.mark.parametrize(("changes", "facts"), MISFITS)
def test_what_does_not_fit_is_named_with_what_does(changes, facts):
    refused(facts, **changes)


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
    with pytest.raises(TypeError, match=says(f"no argument {name!r}", *facts)):
        kktdiff.solve_qp(**{name: 1})


@pytest.mark.parametrize("dtype", ["bool", "complex128", "float16", "object", "<U32"])
def test_only_real_numbers_are_taken(dtype):
    cure = "h.real" if dtype == "complex128" else "np.asarray(h, float) converts it"
    refused(["h", dtype, cure], h=DATA.h.astype(dtype))
    for name, array in DATA._asdict().items():
        refused([name, dtype, "float64 or float32"], **{name: array.astype(dtype)})
    with pytest.raises((TypeError, ValueError), match=says("Q", dtype)):
        kktdiff.solve_qp(np.eye(2).astype(dtype), np.zeros(2).astype(dtype))


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


SOLUTION, BARE = kktdiff.solve_qp(*DATA), kktdiff.solve_qp(DATA.Q, DATA.p)
ONES, OTHER = np.ones(3), STRICT.asarray(np.ones(3))
DERIVATIVES = [  # a call, and what the message says
    (lambda: SOLUTION.vjp(ONES, gradient="steepest"), ["exact", "smoothed", "least_squares"]),
    (lambda: SOLUTION.vjp(ONES, gradient="smoothed", smoothing=0.0), ["smoothing"]),
    (lambda: SOLUTION.vjp(ONES, gradient="smoothed", smoothing=-1.0), ["smoothing"]),
    (lambda: SOLUTION.vjp(ONES, smoothing=1e-3), ["smoothing"]),
    (lambda: SOLUTION.vjp(ONES, wrt="p"), ["wrt='p': expected a tuple of names, as in ('p',)"]),
    (lambda: SOLUTION.vjp(x=np.zeros(4)), ["x", (4,), (3,)]),
    (lambda: SOLUTION.vjp(lam=ONES), ["lam", (3,), (4,)]),
    (lambda: SOLUTION.vjp(nu=ONES), ["nu", (3,), (2,)]),
    (lambda: SOLUTION.vjp(objective=np.zeros(1)), ["objective", (1,), ()]),
    (lambda: SOLUTION.vjp(OTHER), ["x", "Array", "expected a ndarray"]),
    (lambda: SOLUTION.vjp(speed=ONES), ["speed"]),
    (lambda: SOLUTION.jvp(p=np.zeros(4)), ["p", (4,), (3,)]),
    (lambda: SOLUTION.jvp(Q=np.zeros((3, 4))), ["Q", (3, 4), (3, 3)]),
    (lambda: SOLUTION.jvp(G=np.zeros((3, 3))), ["G", (3, 3), (4, 3)]),
    (lambda: SOLUTION.jvp(ub=np.zeros((2, 3))), ["ub", (2, 3), (3,)]),
    (lambda: SOLUTION.jvp(p=OTHER), ["p", "Array", "expected a ndarray"]),
    (lambda: SOLUTION.jvp(speed=ONES), ["speed"]),
    (lambda: BARE.jvp(G=np.zeros((4, 3))), ["G"]),
    (lambda: SOLUTION.jacobian(of="y"), ["y"]),
    (lambda: SOLUTION.jacobian(wrt="c"), ["c"]),
    (lambda: BARE.jacobian(wrt="h"), ["h"]),
    (lambda: kktdiff.backends.get("abacus"), ["abacus", "numpy"]),
]


@pytest.mark.parametrize(("call", "facts"), DERIVATIVES)
def test_a_wrong_call_of_a_solution_is_refused_by_name(call, facts):
    with pytest.raises((TypeError, ValueError), match=says(*facts)):
        call()


def test_options_are_keywords_only():
    with pytest.raises(TypeError, match="positional"):
        kktdiff.solve_qp(*DATA, "numpy")


@pytest.mark.parametrize("name", Data._fields)
def test_a_refused_call_has_solved_nothing(name, capfd):
    """Errors come before any work: no warning, no output."""
    with pytest.raises((TypeError, ValueError)):
        kktdiff.solve_qp(*DATA._replace(**{name: np.zeros((0, 1, 1, 9))}), verbose=True)
    assert capfd.readouterr().out == ""
