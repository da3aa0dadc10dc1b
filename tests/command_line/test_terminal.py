"""The command line in a process of its own: Ctrl-C, pipes, and terminals that lack something."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

unix = pytest.mark.skipif(os.name == "nt", reason="signals and shells of Unix")
COMMAND = (sys.executable, "-m", "kktdiff")
SLOW = 2500  # variables: a solve takes seconds


@pytest.fixture
def qp(tmp_path):
    path = tmp_path / "qp.npz"
    np.savez(path, Q=np.eye(2), p=np.ones(2))
    return path


@pytest.fixture
def shell(repository):
    """Runs a line of a shell; its exit status, standard output and standard error."""

    def call(line, **environment):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line.replace("kktdiff", " ".join(COMMAND), 1)],
            cwd=repository,
            env=os.environ | {"PYTHONUNBUFFERED": ""} | environment,
            capture_output=True,
            text=True,
            check=False,
            errors="surrogateescape",
            timeout=300,
        )
        assert "Traceback" not in done.stderr
        assert "Exception" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return call


# ------------------------------------------------------------------------------------- Ctrl-C


def started(repository, *arguments, options=()):
    return subprocess.Popen(
        [sys.executable, *options, *COMMAND[1:], *map(str, arguments)],
        cwd=repository,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_ctrl_c,
    )


def _heed_ctrl_c():
    """Undo what a shell does to the tests if they run behind it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@unix
@pytest.mark.parametrize("module", ["kktdiff._interrupt", "numpy", "kktdiff", "kktdiff._cli"])
def test_ctrl_c_leaves_no_traceback_whenever_it_comes(repository, module):
    process = started(repository, "bench", options=("-X", "importtime"))
    for line in process.stderr:  # one for each import that is done
        if line.split("|")[-1].strip() == module:
            break
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 130, error
    assert "interrupted" in error.splitlines()[-1]
    assert "Traceback" not in error


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="threads are counted on Linux")
def test_ctrl_c_ends_a_solve_at_once(repository, tmp_path):
    """The compiled code that is at work does not look for signals."""
    rng, path = np.random.default_rng(0), tmp_path / "qp.npz"
    Q, p, G = np.eye(SLOW), rng.normal(size=SLOW), rng.normal(size=(SLOW, SLOW))
    np.savez(path, Q=Q, p=p, G=G, h=np.ones(SLOW))
    process = started(repository, "solve", path)
    while len(os.listdir(f"/proc/{process.pid}/task")) == 1:
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    begun = time.perf_counter()
    _, error = process.communicate(timeout=300)
    assert (process.returncode, error) == (130, "kktdiff: interrupted\n")
    assert time.perf_counter() - begun < 2.0
    assert list(tmp_path.iterdir()) == [path]


@unix
def test_a_library_keeps_the_handler_of_ctrl_c(repository):
    code = "import signal, kktdiff; from kktdiff import _cli; _cli.main(['info']); "
    code += "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        check=True,
        capture_output=True,
        preexec_fn=_heed_ctrl_c,
    )


@unix
def test_a_command_that_is_to_ignore_ctrl_c_ignores_it(shell, qp):
    """As after nohup, or with & in a script."""
    line = f"trap '' INT; kktdiff solve {qp} & sleep 0.3; kill -INT $!; wait $!"
    assert shell(line)[0] == 0


# ------------------------------------------------------------------------------ standard output


@unix
@pytest.mark.parametrize(
    "command",
    ["info", "--help", "solve QP --verbose", "bench --quick --workloads small --call arrays"],
)
def test_a_reader_that_is_gone_is_no_error(shell, qp, command):
    code, _, error = shell(f"kktdiff {command.replace('QP', str(qp))} | true")
    assert code in (0, 141)
    assert error == "" or command.startswith("bench")  # its progress
    code, out, _ = shell("kktdiff info | head -1")
    assert out.startswith("kktdiff  ")


@unix
def test_a_solution_is_kept_whoever_reads_what_is_said_of_it(shell, qp):
    shell(f"kktdiff solve {qp} | true")
    assert qp.with_name("qp-solution.npz").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize("command", ["info", "--help", "solve QP", "solve QP --verbose"])
def test_a_full_disk_is_a_sentence(shell, qp, command):
    code, _, error = shell(f"kktdiff {command.replace('QP', str(qp))} > /dev/full")
    assert code == 1
    assert error == "kktdiff: can't write to standard output: [Errno 28] No space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_progress_that_no_one_can_see_is_lost(shell):
    line = "kktdiff bench --quick --workloads small --call arrays"
    assert "| small |" in shell(f"{line} 2> /dev/full")[1]
    code, out, _ = shell(f"{line} 2>&1 | head -1")
    assert code in (0, 141)
    assert len(out.splitlines()) == 1


@unix
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(shell, qp, closed):
    assert shell(f"kktdiff solve {qp} {closed}")[::2] == (0, "")
    code, out, _ = shell(f"kktdiff solve {qp} {closed}")
    assert (code, out) == (2, "")  # what is wrong goes to no other stream
    assert shell(f"kktdiff info {closed}")[::2] == (0, "")
    assert shell(f"kktdiff bench --quick --workloads small --call arrays {closed}")[0] == 0


@unix
def test_sudoku_needs_no_streams(shell, boards_file, tmp_path):
    pytest.importorskip("tqdm")
    line = f"kktdiff sudoku --epochs 1 --data {boards_file} --output {tmp_path} <&- >&- 2>&-"
    assert shell(line) == (0, "", "")


# ---------------------------------------------------------------------------------- terminals

ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@unix
@pytest.mark.parametrize("environment", [ASCII, {"PYTHONIOENCODING": "ascii"}], ids=["C", "ascii"])
def test_a_name_that_can_not_be_shown_is_escaped(shell, qp, environment):
    other = qp.with_name("é.npz")
    qp.rename(other)
    code, out, error = shell(f"kktdiff solve {other}", **environment)
    assert (code, error) == (0, "")
    assert out.splitlines()[-1].isascii()
    code, _, error = shell(f"kktdiff solve {other}", **environment)
    assert code == 2
    assert error.isascii()


@unix
@pytest.mark.parametrize(
    "environment", [{"COLUMNS": "1"}, {"COLUMNS": "none"}, {"COLUMNS": "-3"}, {"TERM": "dumb"}]
)
def test_a_terminal_of_any_size_gets_help(shell, environment):
    code, out, error = shell("kktdiff solve --help", **environment)
    assert (code, error) == (0, "")
    assert "--example" in out


def test_control_characters_of_an_argument_are_escaped(run):
    code, _, error = run("solve", "a", "\x1b[31mb")
    assert code == 2
    assert "unrecognized arguments: \\x1b[31mb" in error
