"""The examples in cvxpy and in JAX: each learns what it is to learn, from the command line."""

import pytest

from tests.commands import quick_example

NEEDED = {"mpc": "cvxpy", "jax_layer": "jax"}


@pytest.fixture(params=NEEDED)
def name(request):
    for module in ("torch", "tqdm", "matplotlib", NEEDED[request.param]):
        pytest.importorskip(module)
    return request.param


def learnt(name, numbers):
    """Before and after: the loss of the MPC; the held-out regret of the model with the QP."""
    log = numbers["epochs"] if name == "mpc" else numbers["models"]["regret"]
    measure = "error" if name == "mpc" else "regret"
    return log[0][measure], log[-1][measure]


def test_a_layer_learns_and_what_it_learnt_is_written(repository, tmp_path, name):
    numbers, progress = quick_example(repository, tmp_path / "out", name)
    assert "epoch" in progress  # the bar
    before, after = learnt(name, numbers)
    assert 0 <= after < before / 2


@pytest.mark.parametrize("arguments", [("--epochs", "0"), ("--no-such",)])
def test_a_wrong_option_is_wrong_use(wrong_use, name, arguments):
    code, out, err = wrong_use(f"examples.{name}", *arguments)
    assert (code, out) == (2, "")
    assert arguments[0] in err


def test_a_batch_larger_than_the_data_is_refused(wrong_use):
    for module in ("tqdm", "jax"):
        pytest.importorskip(module)
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    try:
        code, out, err = wrong_use("examples.jax_layer", "--quick", "--batch", 201)
    finally:
        torch.set_default_dtype(before)
    assert (code, out) == (2, "")
    assert "--batch 201: there are 200 samples" in err
