"""The experiments: their pieces are right, and each runs from the command line."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("tqdm")

from examples import beside_qpth, denoising, digits, report
from examples.sudoku import as_input, loss_of, new_layer
from kktdiff import sudoku
from kktdiff.adapters.qpth import QPFunction
from kktdiff.adapters.torch import OptNetLayer, solve_qp
from tests.checks import assert_near
from tests.commands import command, quick_example
from tests.tolerances import PUBLIC_RESIDUAL, SCALED_ANSWER, SUM

WRITTEN = {"sudoku": "log", "denoising": "test", "digits": "runs"}


@pytest.fixture(autouse=True)
def _in_float64():
    """As the experiments set it for themselves."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(before)


# ------------------------------------------------------------------------ from the command line


@pytest.mark.parametrize("name", WRITTEN)
def test_an_experiment_runs_and_writes_what_it_found(repository, tmp_path, name):
    numbers, progress = quick_example(repository, tmp_path / "out", name)
    assert "batch/s" in progress  # the bar
    assert numbers[WRITTEN[name]]


def test_the_training_benchmark_runs(repository, tmp_path):
    cases = ("recipe", "early", "nan")
    options = ("--quick", "--seeds", 1, "--cases", *cases, "--output", tmp_path)
    done = command(repository, "-m", "benchmarks.training", *options)
    assert done.returncode == 0, done.stderr
    runs = json.loads((tmp_path / "training.json").read_text())["runs"]
    assert set(runs) == set(cases)
    assert runs["recipe"][0]["unsolved"] == 0
    assert runs["nan"][0]["nan_after"] == 2  # the first step already leaves the feasible ones


@pytest.mark.parametrize("arguments", [("--epochs", "0"), ("--batch", "x"), ("--no-such",)])
def test_a_wrong_option_is_wrong_use(wrong_use, arguments):
    code, out, err = wrong_use("examples.digits", *arguments)
    assert (code, out) == (2, "")
    assert arguments[0] in err


@pytest.mark.parametrize(
    ("module", "option"), [("examples.sudoku", "--data"), ("benchmarks.training", "--boards")]
)
def test_a_missing_file_is_a_sentence(wrong_use, module, option):
    code, out, err = wrong_use(module, option, "no-such.npz")
    assert (code, out) == (2, "")
    assert "no-such.npz: there is no such file" in err


def test_two_processes_learn_what_one_does(repository, tmp_path):
    """Through DistributedDataParallel, which averages the gradients of the two shares."""
    script = ("-m", "examples.distributed", "--steps", 10, "--output")
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2)
    for more, name in (((), "one"), (launch, "two")):
        done = command(repository, *more, *script, tmp_path / name)
        # Threads of torch 2.13 outlive the process group, and on a busy machine one in some dozens
        # of runs ends with this when Python does, all work done: it is torch's.
        torchs = name == "two" and "terminate called without an active exception" in done.stderr
        assert done.returncode == 0 or torchs, done.stderr
        assert done.stdout.count("loss") == (1 if name == "one" else 2)
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("one", "two"))
    begin = new_layer_of(0).state_dict()
    for name, value in one.items():
        assert (value - begin[name]).abs().max() > 0.1  # ten steps have led somewhere
        assert_near(two[name].numpy(), value.numpy(), PUBLIC_RESIDUAL, name)


def new_layer_of(seed):
    torch.manual_seed(seed)
    return new_layer()


def test_a_batch_that_does_not_divide_is_refused(wrong_use, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")  # as torch.distributed.run sets it
    code, out, err = wrong_use("examples.distributed")
    assert (code, out) == (2, "")
    assert "3 processes: expected a number that divides the batch of 40" in err


# ------------------------------------------------------------------------------------- pieces


def test_signals_are_piecewise_constant_with_noise():
    noisy, clean = (v.numpy() for v in denoising.draw_signals(2000, np.random.default_rng(330)))
    jumps = (np.diff(clean) != 0).sum(1)
    assert (clean.min(), clean.max()) == (10, 99)
    assert (jumps.min(), jumps.max()) == (0, 8)
    assert abs(jumps.mean() - 4) < 0.3
    assert abs((noisy - clean).std() - denoising.NOISE) < 0.1
    assert abs((noisy - clean).mean()) < 0.1


def test_mirrored_signals_stay_pairs():
    noisy, clean = denoising.draw_signals(3, np.random.default_rng(331))
    seen = set()
    for _ in range(40):
        y, x = denoising.mirrored(noisy, clean)
        assert_near(abs(y - x).sum().item(), abs(noisy - clean).sum().item(), SUM, "noise")
        assert 10 <= x.min() <= x.max() <= 99
        seen.add(round(x[0, 0].item(), 6))
    corners = [clean[0, 0], clean[0, -1], 109 - clean[0, 0], 109 - clean[0, -1]]
    assert seen == {round(corner.item(), 6) for corner in corners}


@pytest.mark.parametrize("kind", ["tv", "matrix", "strengths"])
def test_a_denoiser_solves_the_penalised_problem(kind):
    """Against the QP of the paper, in x and a bound on each |Dx|; with random parameters."""
    model = denoising.Denoiser(kind)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape))
        y = denoising.draw_signals(2, np.random.default_rng(332))[0]
        found = model.primal(y, solve_qp(**model.problem(y), tol=1e-9).x)
        assert_near(model(y).numpy(), found.numpy(), SCALED_ANSWER, "x by forward")
        strength, D = model.problem(y)["ub"], model.D
        P = torch.linalg.inv(model.M @ model.M.T)
        n, m = 100, 99
        Q = torch.zeros(n + m, n + m)
        Q[:n, :n] = P
        p = torch.cat([-y @ model.V.T @ P, strength.expand(2, m)], 1)
        G = torch.cat([torch.cat([D, -torch.eye(m)], 1), torch.cat([-D, -torch.eye(m)], 1)])
        expected = solve_qp(Q, p, G, torch.zeros(2 * m), tol=1e-9).x[:, :n]
    assert_near(found.numpy(), expected.numpy(), SCALED_ANSWER, "x")


def test_unsolved_boards_add_nothing_to_the_loss():
    boards = sudoku.generate(6, np.random.default_rng(333))
    inputs, targets = -as_input(boards.puzzles), as_input(boards.solutions)
    layer = new_layer()
    layer.options["on_failure"] = "ignore"
    whole = loss_of(layer, inputs, targets)
    spoilt = inputs.clone()
    spoilt[0] = float("nan")
    loss = loss_of(layer, spoilt, targets)
    loss.backward()
    first = loss_of(layer, inputs[:1], targets[:1])
    assert_near(6 * loss.item(), 6 * whole.item() - first.item(), SUM, "loss")
    assert layer.A.grad.isfinite().all()
    all_lost = loss_of(layer, spoilt[:1], targets[:1])
    assert all_lost.item() == 0


@pytest.mark.parametrize("nonnegative", [True, False])
def test_qpth_is_given_the_same_problem(nonnegative):
    layer = OptNetLayer(5, 3, 2, nonnegative=nonnegative)
    problem = layer.problem() | {"ub": 1.5 + torch.rand(4, 5)}
    p = torch.randn(4, 5)
    expected = solve_qp(p=p, **problem).x
    Q = problem.pop("Q")
    assert_near(
        QPFunction()(Q, p, *beside_qpth.rows_of(Q, **problem)).detach().numpy(),
        expected.detach().numpy(),
        PUBLIC_RESIDUAL,
        "x",
    )


def test_digits_are_held_out():
    learn, held_out = digits.load(1797, np.random.default_rng(334))
    assert (len(learn[0]), len(held_out[0])) == (1438, 359)
    assert float(learn[0].max()) == 1


def test_a_table_is_markdown():
    assert report.table([{"": "a", "n": 1}, {"": "b", "n": 2}]) == (
        "|  | n |\n| --- | --- |\n| a | 1 |\n| b | 2 |\n"
    )
