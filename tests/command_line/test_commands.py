"""The command line: what it prints, what it writes, and its exit status."""

import re
import subprocess
import sys

import numpy as np
import pytest

import kktdiff
from kktdiff import _files, backends, kernels
from kktdiff._cli import _info
from kktdiff.backends import cupy
from tests.backends.cuda.fake_cuda import FakeCuda
from tests.checks import assert_one_sentence, residuals
from tests.problems import FULL, Data, known
from tests.tolerances import PUBLIC_RESIDUAL

# --------------------------------------------------------------------------------- wrong files


def text(path):
    path.write_text("not a board in sight\n")


def empty(path):
    path.write_bytes(b"")


def single(path):
    with path.open("wb") as file:
        np.save(file, np.eye(4))


def objects(path):
    np.savez(path, Q=np.array([{}], dtype=object), puzzles=np.array([{}], dtype=object))


def cut_short(path):
    np.savez(path, Q=np.eye(50))
    path.write_bytes(path.read_bytes()[:5000])


def damaged(path):
    np.savez_compressed(path, Q=np.random.default_rng(0).normal(size=(50, 50)))
    content = bytearray(path.read_bytes())
    content[4000:4100] = bytes(100)
    path.write_bytes(bytes(content))


def folder(path):
    path.mkdir()


def nothing(path):
    pass


@pytest.mark.parametrize(
    "make", [text, empty, single, objects, cut_short, damaged, folder, nothing]
)
@pytest.mark.parametrize("command", [("solve",), ("sudoku", "--data")], ids=lambda c: c[0])
def test_a_wrong_file_is_a_sentence(run, boards_file, tmp_path, command, make):
    path = tmp_path / "file.npz"
    make(path)
    assert_one_sentence(run(*command, path), path, f"kktdiff {command[0]}:")


def test_a_file_of_something_else_is_a_sentence(run, boards_file, tmp_path):
    np.savez(tmp_path / "qp.npz", Q=np.eye(2), p=np.ones(2))
    found = run("sudoku", "--data", tmp_path / "qp.npz")
    assert_one_sentence(found, "puzzles", "solutions", "found Q, p")
    assert_one_sentence(run("solve", boards_file), "puzzles, solutions", "Q, p, G, h, A, b, lb, ub")


# ------------------------------------------------------------------------------------- solve


@pytest.fixture
def solve(run, tmp_path):
    def call(arrays, *more):
        path = tmp_path / "qp.npz"
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
        return run("solve", path, "--force", *more)

    return call


def test_solve_round_trip(solve, tmp_path):
    data = known(np.random.default_rng(311), FULL).data
    code, out, error = solve(data._asdict())
    assert (code, error) == (0, "")
    solution = kktdiff.solve_qp(*data)
    with np.load(tmp_path / "qp-solution.npz") as file:
        for name in ("x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective", "status"):
            np.testing.assert_array_equal(file[name], getattr(solution, name), err_msg=name)
    assert max(residuals(data, solution)) <= PUBLIC_RESIDUAL
    facts = dict(re.split(r"  +", line, maxsplit=1) for line in out.splitlines()[:-1])
    assert facts["status"] == "SOLVED"
    assert float(facts["objective"]) == pytest.approx(float(solution.objective), rel=1e-9)
    for name in ("primal residual", "dual residual", "duality gap"):
        assert 0 <= float(facts[name]) <= PUBLIC_RESIDUAL


def test_solve_says_how_a_batch_ended(solve, tmp_path):
    p = np.zeros((7, 2))
    p[[2, 5]] = np.nan
    code, out, error = solve({"Q": np.eye(2), "p": p}, "--output", tmp_path / "named")
    assert code == 1
    assert error.startswith(f"kktdiff solve: {tmp_path / 'qp.npz'}: 2 of 7 problems not solved")
    assert re.search(r"^problems +7$", out, re.M)
    assert re.search(r"^SOLVED +5$", out, re.M)
    assert re.search(r"^INVALID_DATA +2 \(at 2, 5\)$", out, re.M)
    with np.load(tmp_path / "named") as file:
        np.testing.assert_array_equal(np.flatnonzero(file["status"]), [2, 5])


def test_solve_shows_x_and_the_head_of_what_is_long(solve):
    _, out, _ = solve({"Q": np.eye(2), "p": np.array([-1.5, 1e-9])})
    assert re.search(r"^x +1.5  -1e-09$", out, re.M)
    _, out, _ = solve({"Q": np.eye(12), "p": -np.arange(12.0)})
    assert re.search(r"^x +0  1  2  3  4  5  6  7  8  9  \.\.\.  \(12 entries\)$", out, re.M)
    _, out, _ = solve({"Q": np.eye(1), "p": -np.arange(7.0)[:, None]})
    assert [line.split()[1:] for line in out.splitlines() if line.startswith("x ")] == [
        *(["at", str(i), str(i)] for i in range(5)),
        ["at", "...", "the", "others", "are", "in", "the", "output"],
    ]


def test_solve_fails_where_there_is_no_solution(solve):
    data = {"Q": np.eye(1), "p": np.ones(1), "lb": np.ones(1), "ub": -np.ones(1)}
    code, out, error = solve(data)
    assert code == 1
    assert re.search(r"^status +PRIMAL_INFEASIBLE$", out, re.M)
    assert "rows lb[0], ub[0] contradict each other" in error


def test_solve_shifts_what_is_infeasible(solve, tmp_path):
    data = {"Q": np.eye(1), "p": np.ones(1), "lb": np.ones(1), "ub": -np.ones(1)}
    code, out, error = solve(data, "--infeasible", "closest")
    assert (code, error) == (0, "")
    assert re.search(r"^shift of lb +-1$", out, re.M)
    assert re.search(r"^shift of ub +1$", out, re.M)
    with np.load(tmp_path / "qp-solution.npz") as file:
        np.testing.assert_allclose([*file["shift_lb"], *file["shift_ub"]], [-1, 1], atol=1e-8)


@pytest.mark.parametrize(
    "price",
    [np.array(2), np.array(2.0), np.array([2.0, 5.0]), np.array([2.0, 5.0], np.float32)],
    ids=["whole number", "number", "rows", "float32"],
)
def test_solve_takes_prices_of_soft_rows(solve, tmp_path, price):
    """At least 2 and at most 1, each at a price: x is 1 where the second is not the cheaper."""
    data = {"Q": np.eye(1), "p": np.zeros(1), "G": np.array([[-1.0], [1.0]])}
    data |= {"h": np.array([[-2.0, 1.0], [-1.0, 2.0]])}
    if price.dtype == np.float32:
        data = {name: array.astype(np.float32) for name, array in data.items()}
    data["soft_h"] = price
    code, out, error = solve(data)
    assert (code, error) == (0, "")
    assert re.search(r"^violation of h +1$", out, re.M)
    with np.load(tmp_path / "qp-solution.npz") as file:
        np.testing.assert_allclose(file["violation_h"], [[1, 0], [0, 0]], atol=1e-8)
        assert "violation_lb" not in file.files
    assert re.search(r"^violation of h +1  0$", solve(data | {"h": data["h"][0]})[1], re.M)
    assert_one_sentence(solve(data | {"soft_h": -price}), "qp.npz", "soft['h'] has a price")
    assert_one_sentence(solve(data | {"soft_b": price}), "qp.npz", "b is None")


@pytest.mark.parametrize("missing", ["Q", "p"])
def test_solve_needs_one_of_the_two_parts_of_an_objective(solve, tmp_path, missing):
    data = {"Q": np.eye(2), "p": np.array([1.0, 2.0]), "lb": np.array([1.0, -3.0])}
    del data[missing]
    assert solve(data)[0] == 0
    with np.load(tmp_path / "qp-solution.npz") as file:
        np.testing.assert_allclose(file["x"], [1, -3 if missing == "Q" else 0], atol=1e-8)


def test_solve_passes_its_options_on(solve):
    data = known(np.random.default_rng(312), FULL).data._asdict()
    code, out, _ = solve(data, "--max-iter", 1)
    assert code == 1
    assert re.search(r"^status +MAX_ITER$", out, re.M)
    assert "iteration" in solve(data, "--verbose")[1].splitlines()[0]
    assert_one_sentence(solve(data, "--tol", 2), "tol=2.0")
    assert_one_sentence(solve(data, "--backend", "abacus"), "abacus")


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"P": np.eye(2)}, ["P", "Q, p, G, h, A, b, lb, ub"]),
        ({"Q": None, "p": None, "lb": np.ones(2)}, ["no array Q or p"]),
        ({"Q": np.eye(3)}, ["Q", "(3, 3)"]),
        ({"Q": np.eye(2, dtype=complex)}, ["Q", "complex128"]),
        ({"G": np.eye(2)}, ["G", "h"]),
    ],
    ids=["unknown", "missing", "shape", "dtype", "half"],
)
def test_solve_refuses_wrong_arrays(solve, changes, facts):
    assert_one_sentence(solve({"Q": np.eye(2), "p": np.ones(2)} | changes), "qp.npz", *facts)


def test_solve_says_that_memory_is_short(solve, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(kktdiff, "solve_qp", fail)
    found = solve({"Q": np.eye(2), "p": np.ones(2)})
    assert_one_sentence(found, "qp.npz", "needs more memory than there is")


def test_solve_says_where_it_cannot_write(solve, tmp_path):
    code, _, error = solve({"Q": np.eye(2), "p": np.ones(2)}, "--output", tmp_path)
    assert code == 2
    assert f"can't write to {tmp_path}" in error
    wrong = solve({"Q": np.eye(2), "p": np.ones(2)}, "-o", tmp_path / "x.csv")
    assert_one_sentence(wrong, "x.csv", "ends in .npz")


def test_every_argument_of_solve_qp_may_stand_in_a_file():
    assert (*Data._fields, *_files.PRICES) == _files.DATA


# --------------------------------------------------------------------------- info and the rest


def test_info_names_versions_and_backends(run):
    code, out, error = run("info")
    assert (code, error) == (0, "")
    assert re.search(rf"^kktdiff +{re.escape(kktdiff.__version__)}$", out, re.M)
    assert re.search(rf"^numpy +{re.escape(np.__version__)}$", out, re.M)
    for name in ("python", "scipy", "array-api-compat", "  torch", "  cupy"):
        assert re.search(rf"^{name} ", out, re.M)
    for name, reason in kktdiff.backends.available().items():
        assert re.search(rf"^  {name} +{re.escape(reason or 'available')}$", out, re.M)


def test_info_compiles_the_kernels_of_a_gpu_if_it_is_asked_to(run, monkeypatch):
    monkeypatch.setattr(backends, "available", lambda: {"cupy": "there is no GPU"})
    code, out, _ = run("info", "--warm")
    assert code == 1
    assert out.endswith("\nno kernels were compiled for a GPU: there is no GPU\n")
    monkeypatch.setattr(backends, "available", lambda: {"cupy": None})
    cuda = FakeCuda()
    monkeypatch.setattr(cupy, "backend", lambda: cupy.CuPyBackend(cuda))
    code, out, _ = run("info", "--warm")
    assert code == 0
    assert re.search(r"^9 kernels were compiled for the GPU, in \d", out, re.M)


def test_info_says_why_these_kernels(run, monkeypatch):
    if kernels.variant() is None:
        pytest.skip("there are no kernels here")
    monkeypatch.delenv("KKTDIFF_KERNELS", raising=False)
    monkeypatch.delenv("KKTDIFF_THREADS", raising=False)
    assert "the best that this processor runs; threads: one for each processor" in run("info")[1]
    monkeypatch.setenv("KKTDIFF_KERNELS", kernels.variant())
    monkeypatch.setenv("KKTDIFF_THREADS", "1")
    monkeypatch.setattr(kernels, "processors", lambda: 2)
    out = run("info")[1]
    assert "as KKTDIFF_KERNELS says; threads: as KKTDIFF_THREADS says" in out


def test_a_distribution_without_metadata_is_of_unknown_version(run, monkeypatch):
    def fail(name):
        raise _info.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(_info.metadata, "version", fail)
    assert re.search(r"^numpy +of unknown version$", run("info")[1], re.M)


def test_a_package_that_is_not_there_is_said_to_be_missing(run, monkeypatch):
    monkeypatch.setattr(_info.metadata, "packages_distributions", dict)
    assert re.search(r"^  matplotlib +not installed; .*kktdiff\[demo\]", run("info")[1], re.M)


def test_help_lists_the_commands(run):
    code, out, _ = run("--help")
    assert code == 0
    for command in ("sudoku", "solve", "bench", "info"):
        assert re.search(rf"^ +{command} ", out, re.M)
        assert run(command, "--help")[0] == 0


def test_no_command_and_an_unknown_one_are_wrong_use(run):
    assert run()[0] == 2
    assert run("bake")[0] == 2
    code, _, error = run("solve", "qp.npz", "--soft", "1")
    assert code == 2
    assert error.startswith("usage: kktdiff solve ")
    assert "kktdiff solve: error: unrecognized arguments: --soft 1" in error


def test_it_is_run_as_a_module(repository, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "kktdiff", "solve", str(tmp_path / "none.npz")],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"kktdiff solve: can't read {tmp_path / 'none.npz'}: No such file or directory"
    ]
