"""What is wrong with a call is said at once, with the tensor's name."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import kktdiff
from kktdiff.adapters.torch import solve_qp

Q, p = torch.eye(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
ROW = {"G": torch.ones(1, 2, dtype=torch.float64), "h": torch.ones(1, dtype=torch.float64)}


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((None, None), {}, ValueError, "nothing tells the number of variables"),
        ((None, None), {"lb": p[0]}, ValueError, "nothing tells the number of variables"),
        ((None, None), {"P": Q, "q": p}, TypeError, "'P': did you mean Q.*'q': did you mean p"),
        ((Q, p), {"q": p}, TypeError, "'q': did you mean p"),
        ((Q, p), {"shift_weights": 3}, ValueError, "shift_weights was given"),
        ((Q, p), {"shift_weights": 3, "infeasible": "closest"}, TypeError, "shift_weights=3"),
        ((np.eye(2), np.ones(2)), {}, TypeError, r"Q is a ndarray: .*torch.as_tensor\(Q\)"),
        ((Q, np.ones(2)), {}, TypeError, r"p is a ndarray: .*torch.as_tensor\(p\)"),
        (([[1.0]], [1.0]), {}, TypeError, "no torch.Tensor among Q, p"),
        ((Q, list(p)), {}, TypeError, r"p is a list of torch arrays: pass torch.stack\(p\)"),
        ((Q, p.to_sparse()), {}, TypeError, r"p is a sparse tensor: .*p.to_dense\(\)"),
        ((Q, p.bfloat16()), {}, TypeError, "p has dtype bfloat16"),
        ((Q, p.half()), {}, TypeError, "p has dtype float16: expected float64 or float32"),
        ((Q, p.to(torch.complex128)), {}, TypeError, "p has dtype complex128"),
        ((Q, p > 0), {}, TypeError, "p has dtype bool"),
        ((Q, p.float()), {}, TypeError, "p has dtype float32, but Q has float64"),
        ((Q, "text"), {}, TypeError, "p is a str"),
        ((Q, p[:1]), {}, ValueError, r"Q has shape \(2, 2\): expected .* p has shape \(1,\)"),
        ((Q, p), {"lb": p[:1]}, ValueError, r"lb has shape \(1,\)"),
        ((Q, p), {"G": ROW["G"]}, ValueError, "G was given without h"),
        ((Q, p), {"b": ROW["h"]}, ValueError, "b was given without A"),
        ((Q.to("meta"), p.to("meta")), {}, TypeError, "Q is on meta"),
        ((Q, p.to("meta")), {}, TypeError, "p is on meta, but Q is on cpu"),
        ((Q, p), {"gradient": "smoth"}, ValueError, "'smoth': .* 'exact', 'smoothed', "),
        ((Q, p), {"smoothing": 1.0}, ValueError, "smoothing=1.0"),
        ((Q, p), {"soft": 3.0}, TypeError, "soft=3.0: expected a dict.*such as .'h': 10.0"),
        ((Q, p), {"gradient": "smoothed", "smoothing": 0.0}, ValueError, "smoothing=0.0"),
        (
            (Q, p),
            ROW | {"infeasible": "closest", "shift_weights": {"h": np.ones(1)}},
            TypeError,
            r"shift_weights\['h'\] is a ndarray",
        ),
    ],
)
def test_a_wrong_call_is_refused(arguments, options, error, words):
    with pytest.raises(error, match=words):
        solve_qp(*arguments, **options)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested")
def test_nested_tensors_are_refused():
    for layout in (torch.strided, torch.jagged):
        with pytest.raises(TypeError, match="p is a nested tensor"):
            solve_qp(Q, torch.nested.as_nested_tensor([p, p], layout=layout))


def test_a_warning_points_at_the_caller():
    with pytest.warns(kktdiff.SolveWarning) as caught:
        solve_qp(Q, p * torch.nan)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("method", ["diagnostics", "certificate"])
def test_what_belongs_to_the_whole_batch_is_not_given_for_one_of_a_vmap(method):
    with pytest.raises(ValueError, match="inside vmap"):
        torch.func.vmap(lambda v: getattr(solve_qp(Q, v), method)())(p.repeat(3, 1))


def test_zeros_without_memory_are_zeros():
    q = p.clone().requires_grad_()
    zero = torch._efficientzerotensor((2,), dtype=torch.float64)
    (found,) = torch.autograd.grad(solve_qp(Q, q).x, q, zero)
    assert torch.equal(found, torch.zeros_like(p))
