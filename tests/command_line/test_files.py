"""Files of the command line: what is refused and how, and what never happens to other files."""

import os
import re
import stat
import tracemalloc

import numpy as np
import pytest

from kktdiff import _files
from kktdiff._files import _memory, _npz
from kktdiff.bench import _command
from tests.checks import assert_one_sentence
from tests.command_line.hostile_files import FILES, GOOD

MOST = 64 * 2**20  # bytes that a refusal may take, of a file that asks for gigabytes


FACTS = {  # of some kinds, what is said apart from the file's name
    "300 GB": "(200000, 200000), 320 GB, but the file holds 0 bytes",
    "text": "dtype <U1",
    "objects": "Python objects",
    "bzip2": "compressed in a way that NumPy does not write",
    "lzma": "compressed in a way that NumPy does not write",
    "a password": "encrypted",
    "a bomb": "would expand to 1.09 GB",
    "many entries": "not an .npz file",
    "an array twice": "holds Q more than once",
    "a huge batch": "a solve takes at least",
    "a pipe": "a pipe or a device",
}


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "qp.npz"
    np.savez(path, **GOOD)
    return path


# ------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("kind", FILES)
def test_a_hostile_file_is_a_sentence_and_takes_no_memory(run, tmp_path, kind):
    path = tmp_path / "file.npz"
    FILES[kind](path)
    tracemalloc.start()
    try:
        found = run("solve", path)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert_one_sentence(found, path, FACTS.get(kind, ""))
    assert_printable(found[2])
    assert most < MOST
    assert [p.name for p in tmp_path.iterdir()] == ["file.npz"]


def assert_printable(error):
    assert error[:-1].isprintable()
    assert len(error) < 1000


@pytest.mark.parametrize("kind", ["a name of control characters", "a name without end", "a pipe"])
def test_boards_are_read_as_carefully(run, tmp_path, kind):
    path = tmp_path / "file.npz"
    FILES[kind](path)
    found = run("sudoku", "--data", path)
    assert_one_sentence(found, path)
    assert_printable(found[2])


@pytest.mark.parametrize("kind", ["text", "bzip2", "an array twice"])
def test_an_array_that_no_one_asked_for_is_not_read(tmp_path, kind):
    path = tmp_path / "file.npz"
    FILES[kind](path)
    if kind == "text":
        assert set(_files.read(path, lambda names: ["p"])) <= {"p"}
    else:
        with pytest.raises(_files.UsageError):
            _files.read(path, lambda names: ["Q"])


@pytest.mark.parametrize("name", ["a\x1b[31m.npz", "a\r\nb.npz", "a\u202e.npz"])
def test_the_name_of_a_file_is_shown_escaped(run, tmp_path, name):
    found = run("solve", tmp_path / name)
    assert_one_sentence(found, "No such file")
    assert_printable(found[2])
    np.savez(tmp_path / name, **GOOD)
    code, out, error = run("solve", tmp_path / name)
    assert (code, error) == (0, "")
    assert all(line.isprintable() for line in out.splitlines())


def test_memory_that_is_not_there_is_not_asked_for(run, good, monkeypatch):
    monkeypatch.setattr(_npz, "at_hand", lambda: 300)
    assert_one_sentence(run("solve", good), "holds 304 bytes", "300 bytes of memory at hand")


def test_memory_that_fails_is_a_sentence(run, good, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(_npz.npy, "read_array", fail)
    assert_one_sentence(run("solve", good), "needs more memory than there is")


def test_there_is_some_memory_at_hand():
    assert 2**26 < _memory.at_hand() < 2**50


def of_shapes(**shapes):
    return _memory.of_solve({k: np.broadcast_to(0.0, shape) for k, shape in shapes.items()})


def test_what_a_solve_takes_is_known_from_the_shapes():
    assert of_shapes(Q=(3, 3), p=(3,)) < 1000
    assert 1e9 < of_shapes(Q=(3, 3), p=(10**7, 3)) < 1e10
    assert of_shapes(Q=(99, 99)) == of_shapes(Q=(99, 99), p=(99,))  # which one may leave out
    each = of_shapes(Q=(10**5, 1000, 1000), p=(2, 10**5, 1000))
    shared = of_shapes(Q=(1000, 1000), p=(2, 10**5, 1000))
    assert each - shared == 8 * 2 * 10**5 * 10**6  # one Q for two elements is copied for each
    for wrong in ({"Q": (), "p": ()}, {"Q": (3,), "p": (3,)}, {"Q": (2, 2), "p": (2,), "h": ()}):
        assert of_shapes(**wrong) >= 0


# --------------------------------------------------------------------------------- what is taken


def solved(run, path, **arrays):
    np.savez(path, **arrays)
    code, out, error = run("solve", path, "--force")
    assert (code, error) == (0, ""), out
    with np.load(path.with_name("qp-solution.npz")) as file:
        return dict(file)


def test_integers_and_one_bound_for_all_are_taken(run, good):
    given = {"Q": np.eye(3, dtype=np.uint8), "p": np.array([-3, 0, 2])}
    found = solved(run, good, **given, lb=np.array(0), ub=np.array(1.5))
    np.testing.assert_allclose(found["x"], [1.5, 0.0, 0.0], atol=1e-8)
    assert found["x"].dtype == np.float64
    single = {"Q": np.eye(3, dtype=np.float32), "p": given["p"]}
    assert solved(run, good, **single, ub=np.array(1.0))["x"].dtype == np.float32


def test_bytes_in_another_order_and_columns_first_are_taken(run, good):
    Q = np.asfortranarray([[2.0, 0.5], [0.0, 1.0]]).astype(">f8")
    found = solved(run, good, Q=Q, p=np.array([-1.0, 1.0], ">f8"))
    expected = np.linalg.solve([[2.0, 0.25], [0.25, 1.0]], [1.0, -1.0])
    np.testing.assert_allclose(found["x"], expected, atol=1e-8)


def test_a_file_of_no_array_is_a_sentence(run, good):
    np.savez(good)
    assert_one_sentence(run("solve", good), "there is no array Q or p")


def test_none_is_an_absent_array(run, good):
    found = solved(run, good, **GOOD, G=np.array(None), h=np.array(None))
    np.testing.assert_allclose(found["x"], [-1.0, -1.0], atol=1e-8)
    assert found["lam"].shape == (0,)


def test_compressed_files_are_taken(run, good):
    np.savez_compressed(good, **GOOD)
    assert run("solve", good)[0] == 0


# ------------------------------------------------------------------------------------- writing


def test_an_output_is_replaced_only_by_force(run, good, tmp_path):
    output = tmp_path / "out.npz"
    output.write_bytes(b"precious")
    assert_one_sentence(run("solve", good, "--output", output), output, "--force")
    assert output.read_bytes() == b"precious"
    output.chmod(0o640)
    assert run("solve", good, "--output", output, "--force")[0] == 0
    assert stat.S_IMODE(output.stat().st_mode) == 0o640
    with np.load(output) as file:
        np.testing.assert_allclose(file["x"], [-1.0, -1.0], atol=1e-8)


def test_a_second_run_does_not_replace_the_first_ones_output(run, good):
    assert run("solve", good)[0] == 0
    assert_one_sentence(run("solve", good), "qp-solution.npz", "--force")


@pytest.mark.parametrize("path", [".", "/", ""])
def test_folders_without_a_name_are_refused(run, path):
    assert_one_sentence(run("solve", path), "folder")


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["plain", "force"])
@pytest.mark.parametrize("link", ["the file", "symbolic", "hard", "symbolic, twice", "folder"])
def test_an_output_never_replaces_the_input(run, good, tmp_path, link, force):
    output = {"the file": good, "folder": tmp_path / "other" / "qp.npz"}.get(link, tmp_path / "out")
    if link == "hard":
        output.hardlink_to(good)
    elif link == "folder":
        (tmp_path / "other").symlink_to(tmp_path)
    elif link.startswith("symbolic"):
        output.symlink_to(good)
    if link == "symbolic, twice":
        (tmp_path / "again").symlink_to(output)
        output = tmp_path / "again"
    before = good.read_bytes()
    assert_one_sentence(run("solve", good, "--output", output, *force), "is the file that is read")
    assert good.read_bytes() == before
    given = tmp_path / "given"
    given.symlink_to(good)  # the input by another name
    assert_one_sentence(run("solve", given, "--output", good, *force), "is the file that is read")
    assert good.read_bytes() == before


def test_the_usual_output_may_be_a_link_to_the_input(run, good):
    good.with_name("qp-solution.npz").symlink_to(good)
    before = good.read_bytes()
    assert run("solve", good, "--force")[0] == 2
    assert good.read_bytes() == before


def test_a_link_keeps_leading_to_what_is_written(run, good, tmp_path):
    link, target = tmp_path / "link.npz", tmp_path / "target.npz"
    link.symlink_to(target)  # to nothing yet
    assert_one_sentence(run("solve", good, "--output", link), "--force")
    assert run("solve", good, "--output", link, "--force")[0] == 0
    assert link.is_symlink()
    assert not target.is_symlink()
    assert run("solve", good, "--output", link, "--force")[0] == 0


NO_FILES = ["folder", "pipe", "device", "loop", "no folder", "in a file"]


@pytest.fixture(params=NO_FILES)
def no_file(request, tmp_path, good):
    """A path at which no file may be written; nothing changes in its folder."""
    path, there = tmp_path / "out", request.param
    if there == "folder":
        path.mkdir()
    elif there == "pipe":
        os.mkfifo(path)
    elif there in ("device", "loop"):
        path.symlink_to(os.devnull if there == "device" else path)
    else:
        path = (good if there == "in a file" else tmp_path / "none") / "out"
    before = sorted(tmp_path.iterdir())
    yield path
    assert sorted(tmp_path.iterdir()) == before
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_an_output_that_is_no_file_stays(run, good, no_file):
    for force in ((), ("--force",)):
        assert_one_sentence(run("solve", good, "--output", no_file, *force), "out")


def test_numbers_of_bench_replace_nothing_but_a_file(run, no_file):
    assert_one_sentence(run("bench", "--quick", "--json", no_file), no_file)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_file_that_is_not_written_to_its_end_leaves_nothing(run, good, monkeypatch, error):
    output = good.with_name("qp-solution.npz")
    output.write_bytes(b"precious")

    def write(file, **_):
        file.write(b"half")
        raise error

    monkeypatch.setattr(np, "savez", write)
    code, out, said = run("solve", good, "--force")
    assert code == (130 if error is KeyboardInterrupt else 2)
    assert "Traceback" not in said
    if code == 2:
        assert re.search(r"^x +-1  -1$", out, re.M)  # the solution is shown if it can't be kept
    assert output.read_bytes() == b"precious"
    assert sorted(p.name for p in good.parent.iterdir()) == ["qp-solution.npz", "qp.npz"]


def test_an_interrupted_run_of_bench_keeps_the_numbers_of_the_last(run, tmp_path, monkeypatch):
    file = tmp_path / "found.json"
    file.write_text("precious")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(_command, "run", interrupted)
    code, _, error = run("bench", "--quick", "--json", file)
    assert code == 130
    assert error.splitlines()[-1] == "kktdiff bench: interrupted"
    assert file.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [file]
