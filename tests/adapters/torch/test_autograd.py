"""First and second derivatives against differences, by torch's own checks."""

import numpy as np
import pytest

from tests.adapters.torch.tensors import SMALL, outputs, tensors, there
from tests.problems import Sizes, feasible, known
from tests.tolerances import DIFFERENCE

torch = pytest.importorskip("torch")
from kktdiff.adapters.torch import solve_qp

# Forward mode loads parts of torch that torch itself has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")

TIGHT = 1e-12  # the differences divide what is left of the solver's error by their step
TINY = Sizes(n=2, m=2, k=1, lower=True, upper=True)
VECTORS, MATRICES = ("p", "h", "b", "lb", "ub"), ("Q", "G", "A")


def rng():
    return np.random.default_rng(640)


CASES = {
    "batched": known(rng(), SMALL, batch=(2,)).data,
    "shared matrices": known(rng(), SMALL, batch=(2,), shared=MATRICES).data,
    "shared vectors": feasible(rng(), TINY, dict.fromkeys(MATRICES, (2,))),
    "equalities": known(rng(), Sizes(n=3, k=2), batch=(2,)).data,
    "inequalities": known(rng(), Sizes(n=3, m=4), batch=(2,)).data,
    "bounds": known(rng(), Sizes(n=4, lower=True, upper=True), batch=(2,)).data,
    "lower bounds": known(rng(), Sizes(n=3, lower=True), batch=(2,)).data,
    "unconstrained": known(rng(), Sizes(n=3), batch=(2,)).data,
    "unbatched": known(rng(), SMALL).data,
    "tiny": known(rng(), TINY).data,
    "batches of one": known(rng(), TINY, batch=(1, 1)).data,
    "broadcast": feasible(
        rng(), TINY, {"Q": (2, 1), "p": (3,), "G": (3,), "h": (2, 3), "b": (1,), "ub": (2, 1)}
    ),
}
by_case = pytest.mark.parametrize("data", CASES.values(), ids=CASES)


def on(data, **options):
    """A function of the inputs that are there, and these inputs; away from kinks."""
    inputs = tensors(data)
    names = [name for name, t in inputs._asdict().items() if t is not None]

    def function(*given):
        return outputs(solve_qp(**dict(zip(names, given, strict=True)), tol=TIGHT, **options))

    solution = solve_qp(*inputs, tol=TIGHT)
    assert torch.all(solution.diagnostics().trustworthy), "a kink is near"
    return function, there(inputs)


def as_one(function, inputs):
    """The same from one vector of all inputs to one of all outputs: few solves check it."""
    shapes = [t.shape for t in inputs]

    def joined(vector):
        parts = vector.split([shape.numel() for shape in shapes])
        found = function(*(part.reshape(s) for part, s in zip(parts, shapes, strict=True)))
        return torch.cat([output.flatten() for output in found])

    return joined, [torch.cat([t.detach().flatten() for t in inputs]).requires_grad_()]


def check_first(function, inputs, fast=True):
    """In both modes. fast: along random directions, not entry by entry."""
    assert torch.autograd.gradcheck(
        function, inputs, atol=DIFFERENCE, rtol=DIFFERENCE, check_forward_ad=True, fast_mode=fast
    )


def check_second(function, inputs, fast=True):
    """Reverse over reverse, and forward over reverse."""
    assert torch.autograd.gradgradcheck(
        function,
        inputs,
        atol=DIFFERENCE,
        rtol=DIFFERENCE,
        check_fwd_over_rev=True,
        check_rev_over_rev=True,
        fast_mode=fast,
    )


@by_case
def test_first_derivatives_of_all_outputs_by_all_inputs(data):
    check_first(*as_one(*on(data)))


@by_case
def test_second_derivatives_of_all_outputs_by_all_inputs(data):
    check_second(*as_one(*on(data)))


def test_first_derivatives_of_each_output_by_each_input_entry_by_entry():
    check_first(*on(CASES["tiny"]), fast=False)


def test_second_derivatives_of_each_output_by_each_input():
    check_second(*on(CASES["tiny"]))


def test_least_squares_gradients_are_the_same_where_the_solution_is_unique():
    function, inputs = as_one(*on(CASES["batched"], gradient="least_squares"))
    check_first(function, inputs)
    check_second(function, inputs)


SINGULAR = known(rng(), Sizes(n=3, m=4, lower=True, rank=1), batch=(2,)).data


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (CASES["tiny"], ["p"]),
        (CASES["tiny"], ["Q", "G"]),
        (CASES["tiny"], ["h", "ub"]),
        (SINGULAR, ["p", "G", "h", "lb"]),  # some ways out of a singular Q are not convex
    ],
    ids=["p", "Q+G", "h+ub", "all but a singular Q"],
)
def test_derivatives_by_some_inputs(data, names):
    rest = tensors(data, grad=False)._asdict()

    def function(*given):
        return outputs(solve_qp(**rest | dict(zip(names, given, strict=True)), tol=TIGHT))

    inputs = [rest[name].clone().requires_grad_() for name in names]
    check_first(*as_one(function, inputs))
    check_second(*as_one(function, inputs))


def test_a_problem_made_of_the_solution_of_another():
    data = tensors(CASES["tiny"], grad=False)
    eye = torch.eye(2, dtype=torch.float64)

    def function(p):
        first = solve_qp(*data._replace(p=p), tol=TIGHT)
        second = solve_qp(data.Q + first.lam.sum() * eye, p * first.x, tol=TIGHT)
        return second.x * first.objective

    p = data.p.clone().requires_grad_()
    check_first(function, [p])
    check_second(function, [p])


def test_one_tensor_as_several_inputs():
    limit = torch.tensor([0.5, 0.7], dtype=torch.float64, requires_grad=True)
    Q = torch.eye(2, dtype=torch.float64)
    p = torch.tensor([-3.0, 0.2], dtype=torch.float64)

    def function(limit):
        found = outputs(solve_qp(Q, p + limit**2, lb=-limit, ub=limit, tol=TIGHT))
        return torch.cat([output.flatten() for output in found])

    check_first(function, [limit])
    check_second(function, [limit])
