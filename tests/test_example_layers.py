"""The examples in cvxpy and in JAX: each learns what it is to learn, from the command line."""

import json

import pytest

from tests.commands import command

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
    done = command(repository, "-m", f"examples.{name}", "--quick", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "epoch" in done.stderr  # the progress bar
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert found == {f"{name}.{ending}" for ending in ("md", "json", "png")}
    table = (tmp_path / "out" / f"{name}.md").read_text()
    assert table in done.stdout
    assert "nan" not in table
    before, after = learnt(name, json.loads((tmp_path / "out" / f"{name}.json").read_text()))
    assert 0 <= after < before / 2
    assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


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
