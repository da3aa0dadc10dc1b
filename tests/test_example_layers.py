"""The examples in cvxpy and in JAX: each learns what it is to learn, from the command line."""

import pytest

from tests.commands import command, quick_example

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
def test_a_wrong_option_is_wrong_use(repository, name, arguments):
    done = command(repository, "-m", f"examples.{name}", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert arguments[0] in done.stderr


def test_a_batch_larger_than_the_data_is_refused(repository):
    for module in ("torch", "tqdm", "jax"):
        pytest.importorskip(module)
    options = ("--quick", "--batch", 201)
    done = command(repository, "-m", "examples.jax_layer", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--batch 201: there are 200 samples" in done.stderr
