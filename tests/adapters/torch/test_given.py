"""`kktdiff.solve_qp` on tensors is the adapter's; numbers, lists, integers and what is absent."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import kktdiff
from kktdiff.adapters.torch import Solution, solve_qp
from tests.adapters.torch.tensors import tensors
from tests.problems import FULL, Data, known

DATA = known(np.random.default_rng(71), FULL, batch=(2,)).data
D = torch.float64
Q, p = torch.eye(2, dtype=D), torch.tensor([1.0, -3.0], dtype=D)


def test_the_core_hands_tensors_over():
    found, expected = kktdiff.solve_qp(*tensors(DATA)), solve_qp(*tensors(DATA))
    assert type(found) is Solution
    for left, right in zip(found[:13], expected[:13], strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize("name", Data._fields)
def test_one_tensor_is_enough_to_hand_over(name):
    """So that what differentiates it is never an array code without its graph."""
    given = dict.fromkeys(Data._fields) | {"lb": [0.0, 0.0], "p": [1, -2]}
    given |= {"G": [[1, 1]], "h": [3]} if name in "Gh" else {}
    given |= {"A": [[1, 1]], "b": [1]} if name in "Ab" else {}
    given |= {"Q": [[2, 0], [0, 2]], "ub": [4, 4]}
    given[name] = torch.tensor(given[name], dtype=D, requires_grad=True)
    found = kktdiff.solve_qp(**given)
    assert type(found) is Solution
    (grad,) = torch.autograd.grad(found.objective + found.x.sum(), given[name])
    assert grad.shape == given[name].shape


def test_options_go_along():
    closest = {"lb": [2.0, 2.0], "ub": [0.0, 5.0], "infeasible": "closest"}
    option = closest | {"shift_weights": {"lb": [3.0, 1.0]}}
    smooth = {"gradient": "smoothed", "smoothing": 1e-3}
    records = []
    found = kktdiff.solve_qp(Q, p, **option, **smooth, on_failure="raise")
    assert torch.equal(found.x, solve_qp(Q, p, **option).x)
    assert not torch.equal(found.x, solve_qp(Q, p, **closest).x)
    start = kktdiff.solve_qp(Q, p, lb=0, verbose=records.append)
    assert records
    assert torch.equal(kktdiff.solve_qp(Q, p, lb=0, warm_start=start).x, start.x)
    with pytest.raises(ValueError, match="infeasible='near'"):
        kktdiff.solve_qp(Q, p, infeasible="near")
    with pytest.raises(TypeError, match="'q': did you mean p"):
        kktdiff.solve_qp(Q, p, q=p)


def test_a_solution_of_tensors_is_no_start_for_arrays():
    start = kktdiff.solve_qp(Q, p, lb=0)
    says = r"is a kktdiff\.adapters\.torch\.Solution: expected a kktdiff\.Solution or None, as the"
    with pytest.raises(TypeError, match=says):
        kktdiff.solve_qp(Q.numpy(), p.numpy(), lb=0, warm_start=start)
    with pytest.raises(
        TypeError, match=r"warm_start=tensor.*: expected a kktdiff\.Solution or None$"
    ):
        kktdiff.solve_qp(Q, p, lb=0, warm_start=p)


@pytest.mark.parametrize("dtype", [torch.bool, torch.float16, torch.bfloat16])
def test_the_cure_for_a_dtype_is_a_tensors(dtype):
    with pytest.raises(TypeError, match=r"p has dtype .*: .*; p\.double\(\) converts it"):
        kktdiff.solve_qp(Q, p.to(dtype))
    kktdiff.solve_qp(Q, p.to(dtype).double())


def test_compiled_code_hands_over_too():
    how = {"fullgraph": True, "backend": "aot_eager"}  # torch's own would want a C++ compiler
    compiled = torch.compile(lambda p: kktdiff.solve_qp(Q, p, lb=0.0).x, **how)
    assert torch.equal(compiled(p), solve_qp(Q, p, lb=0.0).x)


@pytest.mark.parametrize("number", [0, 0.5, np.float64(0.5), torch.tensor(0.5, dtype=D)])
def test_a_number_is_for_all_entries(number):
    full = torch.full((2,), float(number), dtype=D)
    assert torch.equal(solve_qp(Q, p, lb=number).x, solve_qp(Q, p, lb=full).x)


def test_the_gradient_of_a_number_is_a_number():
    bound = torch.tensor(0.5, dtype=D, requires_grad=True)

    def solved(bound):
        return solve_qp(Q, torch.ones(3, 2, dtype=D), lb=bound).x.sum()

    (grad,) = torch.autograd.grad(solved(bound), bound)
    assert grad == 6
    each = torch.func.vmap(torch.func.grad(solved))(torch.tensor([0.5, 1.0], dtype=D))
    assert each.tolist() == [6, 6]


def test_absent_Q_and_p_are_zero():
    (x,) = solve_qp(A=torch.ones(1, 2, dtype=D), b=1, lb=0)[:1]
    assert x.dtype == D
    assert torch.allclose(x.sum(), torch.ones((), dtype=D))
    assert torch.equal(solve_qp(Q, lb=p).x, solve_qp(Q, 0 * p, lb=p).x)
    assert torch.equal(solve_qp(p=p, lb=-1, ub=1).x, torch.tensor([-1.0, 1.0], dtype=D))


def test_integers_take_the_dtype_of_the_others_or_torch_s_own():
    whole = torch.tensor([[2, 0], [0, 2]])
    for dtype in (torch.float32, D):
        assert solve_qp(whole, p.to(dtype)).x.dtype == dtype
    assert solve_qp(whole, whole[0]).x.dtype == torch.get_default_dtype()


def test_a_solution_is_shown_in_two_lines():
    found = solve_qp(*tensors(DATA))
    core = kktdiff.solve_qp(*DATA)
    assert repr(found) == repr(core)
    assert found._repr_html_() == core._repr_html_()
    assert found.status_names == core.status_names
    assert repr(found.diagnostics()) == repr(core.diagnostics())


def test_within_a_transformation_sizes_alone_are_shown():
    seen = []

    def solved(p):
        found = solve_qp(Q, p)
        seen.extend([repr(found), found._repr_html_()])
        return found.x

    torch.func.vmap(solved)(p.repeat(3, 1))
    assert seen[0] == ("Solution of one QP, n=2, m=0, k=0: not known within a transformation")
    assert "not known within a transformation" in seen[1]
