"""The emulator notices what a GPU leaves undefined, and does what CUDA defines."""

import numpy as np
import pytest

from tests.backends.cuda import emulator
from tests.backends.cuda.emulator import ORDERS, Emulator, EmulatorError
from tests.backends.cuda.fixtures import sanitized
from tests.backends.cuda.toys import SUMS, TOYS, WARPS

pytestmark = pytest.mark.skipif(emulator.compiler() is None, reason=emulator.NO_COMPILER)


@pytest.fixture(scope="module")
def toys():
    return Emulator(TOYS)


def sums(compiled, order, without=None):
    a = np.random.default_rng(0).standard_normal((3, 500))
    out = np.full((3, 2), np.nan)
    compiled.launch("sums", 3, 128, a, out, 500, order=order, without=without)
    return a, out


def rotated(compiled, order, without=None):
    a = np.arange(64.0)
    compiled.launch("rotate", 1, 64, a, order=order, without=without)
    return (a,)


@pytest.mark.parametrize("options", [(), ("-DPORTABLE_SWITCH",)], ids=["quick", "portable"])
def test_sum_of_a_block_is_the_same_in_every_order(options):
    compiled = Emulator(SUMS, options=options)
    a, first = sums(compiled, "forward")
    np.testing.assert_allclose(first, np.stack([a.sum(1), (a * a).sum(1)], axis=1), rtol=1e-13)
    for order in ORDERS[1:]:
        np.testing.assert_array_equal(sums(compiled, order)[1], first)


def test_barrier_of_the_warp():
    expected = np.roll(np.arange(64.0).reshape(2, 32), -1, axis=1).ravel()
    compiled = Emulator(WARPS)
    for order in ORDERS:
        np.testing.assert_array_equal(*rotated(compiled, order), expected)


@pytest.mark.parametrize(("source", "run", "places"), [(SUMS, sums, 4), (WARPS, rotated, 2)])
def test_missing_barrier_shows(source, run, places):
    compiled = Emulator(source)
    right = run(compiled, "forward", without=places)[-1]
    assert compiled.barriers == places
    shows = [
        not all(np.array_equal(run(compiled, o, without=number)[-1], right) for o in ORDERS)
        for number in range(places)
    ]
    # the last one of the sums has nothing behind it
    assert shows == [True] * (places - 1) + [source == WARPS]


def test_barrier_left_out_is_one_of_those_that_a_function_has_where_it_is_inlined():
    compiled = Emulator(SUMS)
    right = sums(compiled, "forward")[1]
    found = [sums(compiled, "reverse", without=number)[1] for number in (0, 2)]
    assert not np.array_equal(found[0][:, 0], right[:, 0])
    np.testing.assert_array_equal(found[1][:, 0], right[:, 0])


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (
            "returns_early",
            r"block 0: a barrier .*31 wait at the block's of line 6; threads 32\.\.63 have ret",
        ),
        (
            "two_barriers",
            r"0\.\.39 wait at the block's of line 12; threads 40\.\.63 wait .* of line 14",
        ),
        ("half_warp", r"threads 0\.\.15 wait at the warp's of line 19; threads 16\.\.63 have ret"),
        ("half_mask", r"threads 0\.\.63 wait at the warp's of line 23 with a mask that is not all"),
    ],
)
@pytest.mark.parametrize("order", ORDERS)
def test_barrier_that_some_threads_miss(toys, kernel, message, order):
    with pytest.raises(EmulatorError, match=message):
        toys.launch(kernel, 1, 64, np.zeros(1), order=order)


def test_emulator_goes_on_after_an_error(toys):
    with pytest.raises(EmulatorError):
        toys.launch("two_barriers", 1, 64, np.zeros(1))
    test_shuffles(toys)


@pytest.mark.parametrize("beyond", [0, 200])
def test_write_past_shared_memory(toys, beyond):
    toys.launch("write_shared", 1, 32, 49, shared=50)
    with pytest.raises(EmulatorError, match=rf"shared\[{50 + beyond}\]"):
        toys.launch("write_shared", 1, 32, 50 + beyond, shared=50)


def test_shared_memory_is_poisoned_for_every_block(toys):
    a = np.zeros((3, 2))
    toys.launch("before_written", 3, 32, a)
    assert np.isnan(a).all()


def test_shared_memory_is_known(toys):
    out = np.zeros(7, np.int64)
    toys.launch("is_shared", 1, 32, np.zeros(1), out, shared=10)
    assert out[[0, 1, 2, 3, 5, 6]].tolist() == [1, 1, 0, 1, 0, 0]


def test_record_by_value(toys):
    out = np.zeros(3)
    fields = [("count", "i8", 3), ("factor", "f8"), ("address", "u8")]
    record = np.array([([1, 2, 2**40], 0.5, out.ctypes.data)], fields)
    toys.launch("by_value", 1, 32, record)
    assert out.tolist() == [0.5, 1.0, 2.0**39]
    with pytest.raises(EmulatorError, match="record has 40 bytes, and the array is of 32"):
        toys.launch("by_value", 1, 32, np.zeros(1, fields[:2]))


def test_shuffles(toys):
    for order in ORDERS:
        a, b = np.zeros((3, 32)), np.zeros((3, 32), np.int32)
        toys.launch("shuffles", 1, 32, a, b, order=order)
        lane = np.arange(32)
        rows = [lane ^ 5, np.full(32, 7)]
        np.testing.assert_array_equal(a, [*(100 + row for row in rows), 100 + (lane + 5) % 32])
        np.testing.assert_array_equal(b, [*rows, (lane + 1) % 32])


def test_votes_of_warps_and_of_the_block(toys):
    for order in ORDERS:
        out = np.zeros((96, 3), np.int64)
        toys.launch("votes", 1, 96, out, order=order)
        assert (out == [1, 1, 0]).all()


def test_order_of_blocks(toys):
    for order, expected in (("forward", 5 * 64 - 1), ("reverse", 0)):
        last = np.zeros(1, np.int32)
        toys.launch("last_block", 5, 64, last, order=order)
        assert last[0] == expected


def test_sizes_of_the_grid(toys):
    out = np.zeros(2, np.int64)
    toys.launch("sizes", 7, 96, out)
    assert out.tolist() == [7, 96]


def test_full_stack_is_reported(toys):
    toys.launch("far_down", 1, 32, 120 << 10)
    with pytest.raises(EmulatorError, match="stack of a thread is full"):
        toys.launch("far_down", 1, 32, 126 << 10)


def test_arithmetic_is_rounded_as_written(toys):
    a = np.array([1 + 2.0**-30, 1 - 2.0**-30, -1.0, 1 - 2.0**-30])
    out = np.zeros(3)
    toys.launch("arithmetic", 1, 32, a, out)
    exact = -(2.0**-60)  # of a[0]*a[1] + a[2]; rounded after the product it is 0
    np.testing.assert_array_equal(out, [exact, 0.0, 0.5])


@pytest.mark.parametrize(
    ("kernel", "blocks", "threads", "arguments", "message"),
    [
        ("absent", 1, 32, (), "no kernel 'absent'"),
        ("sizes", 0, 32, (np.zeros(3, np.int64),), "0 blocks"),
        ("sizes", 1, 48, (np.zeros(3, np.int64),), "48 threads"),
        ("sizes", 1, 2048, (np.zeros(3, np.int64),), "2048 threads"),
        ("sizes", 1, 32, (), "0 arguments for 1"),
        ("sizes", 1, 32, (3,), "out must be an array, not int"),
        ("sizes", 1, 32, (np.zeros(3),), "points to long long, and the array is of float64"),
        ("sizes", 1, 32, (np.zeros(6, np.int64)[::2],), "out is not C-contiguous"),
        ("sizes", 1, 32, (np.broadcast_to(np.int64(1), (1,)),), "the array is read-only"),
        ("write_shared", 1, 32, (1.0,), "i must be an int, not float"),
        ("write_shared", 1, 32, (np.int64(1),), "i must be an int, not int64"),
        ("write_shared", 1, 32, (2**63,), "does not fit long long"),
        ("takes_int", 1, 32, (3,), "n is declared int"),
    ],
)
def test_wrong_launch(toys, kernel, blocks, threads, arguments, message):
    with pytest.raises(EmulatorError, match=message):
        toys.launch(kernel, blocks, threads, *arguments)


def test_more_threads_than_the_bound():
    with pytest.raises(EmulatorError, match="more threads than __launch_bounds__"):
        Emulator(SUMS).launch("sums", 1, 160, np.zeros((1, 4)), np.zeros((1, 2)), 4)


def test_read_only_array_is_taken_where_it_is_only_read():
    a = np.ones((1, 4))
    a.flags.writeable = False
    out = np.zeros((1, 2))
    Emulator(SUMS).launch("sums", 1, 32, a, out, 4)
    assert out.tolist() == [[4.0, 4.0]]


def test_compiler_messages_name_the_line():
    with pytest.raises(EmulatorError, match=r"source\.cu:3:\d+: error: .*missing"):
        Emulator('extern "C" __global__ void f(double *a) {\n  a[0] = 1.0;\n  a[1] = missing;\n}')


@pytest.mark.parametrize("name", ["INFINITY", "NAN"])
def test_macros_that_cuda_lacks_are_not_known(name):
    with pytest.raises(EmulatorError, match=rf"{name}.* was not declared|undeclared .*{name}"):
        Emulator(f'extern "C" __global__ void f(double *a) {{ a[0] = {name}; }}')


def test_kernel_of_another_form_is_reported():
    with pytest.raises(EmulatorError, match="1 kernels are not of the form"):
        Emulator('extern "C" __global__ void f(double *a) {}\n__global__ void g(double *a) {}')


@pytest.mark.parametrize(("entries", "accepted"), [(40, True), (41, False)])
def test_address_sanitizer_sees_the_first_byte_past_an_array(
    entries, accepted, repository, tmp_path
):
    program = (
        "import numpy as np\n"
        "from tests.backends.cuda.emulator import Emulator\n"
        "from tests.backends.cuda.toys import OUTSIDE\n"
        f"Emulator(OUTSIDE, sanitize=True).launch('fill', 1, 32, np.zeros(40), {entries})\n"
    )
    done = sanitized(program, repository, tmp_path)
    assert (done.returncode == 0) is accepted, done.stderr
    if not accepted:
        assert "heap-buffer-overflow" in done.stderr
        assert "source.cu:3" in done.stderr
