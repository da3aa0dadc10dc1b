"""The examples in cvxpy and in JAX: each learns what it is to learn, from the command line."""

import pytest

from tests.commands import quick_example

NEEDED = {"mpc": "cvxpy", "jax_layer": "jax", "portfolio": "cvxpy"}


@pytest.fixture(params=NEEDED)
def name(request):
    for module in ("torch", "tqdm", "matplotlib", NEEDED[request.param]):
        pytest.importorskip(module)
    return request.param


@pytest.fixture
def float64_and_a_seed():
    for module in ("torch", "tqdm", "cvxpy"):
        pytest.importorskip(module)
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_default_dtype(before)


def learnt(name, numbers):
    """Before and after: the MPC's loss; the regret; what the plan by the truth has more."""
    if name == "portfolio":
        market = numbers["markets"][0]
        best = market["policies"]["truth known, plan of 8 weeks"]["utility"]
        log = market["utility"]["learnt through time"]
        return best - log[0], abs(best - log[-1])
    log = numbers["error"] if name == "mpc" else numbers["models"]["regret"]["regret"]
    return log[0], log[-1]


@pytest.mark.usefixtures("float64_and_a_seed")
def test_a_layer_learns_and_what_it_learnt_is_written(repository, tmp_path, name):
    numbers, progress = quick_example(repository, tmp_path / "out", name)
    assert "epoch" in progress  # the bar
    before, after = learnt(name, numbers)
    assert 0 <= after < before / 2


@pytest.mark.usefixtures("float64_and_a_seed")
def test_what_is_best_for_each_week_is_bettered_through_time_alone():
    import torch

    from examples import portfolio

    market = portfolio.draw_market()
    past, policy = portfolio.draw_weeks(market, 100, 20), portfolio.Policy(market)

    def slopes(cut):
        worth = portfolio.worth(policy, market, past, cut=cut)
        return torch.autograd.grad(worth, [policy.strength, policy.exposures])

    for slope in slopes(cut=True):
        assert slope.abs().max() < 1e-9
    strength, exposures = slopes(cut=False)
    assert strength[1] > 1  # the signal that lasts is to count for more
    assert exposures.abs().max() > 1e-3


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
