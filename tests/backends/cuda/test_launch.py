"""How problems of a size are launched: threads, memory, and the arguments of the kernels."""

import numpy as np
import pytest

from kktdiff.backends.cuda._launch import CALL, pack, plan
from kktdiff.kernels import device
from tests.backends.cuda.fake_cuda import H200, FakeCuda, signatures
from tests.backends.cuda.guard import Device


def of(n, m, k=0, *, kernel="solve", cuda=None):
    return plan(cuda or FakeCuda(), kernel, (n, m, k, 0, 0, 0, 0))


def test_the_paper_s_problems_are_two_to_a_multiprocessor_with_their_matrix_in_shared_memory():
    found = of(100, 100)
    assert found.launch.blocks == 2 * H200.multiprocessors
    assert found.launch.threads == found.launch.team == 256
    assert 48 * 1024 < 8 * 100 * 100 < found.shared
    used = found.launch.shared + device.STATIC[256] + device.RESERVED
    assert 2 * used <= H200.shared_of_all


def test_small_problems_are_several_to_a_block_and_all_in_shared_memory():
    found = of(3, 9)
    assert (found.launch.team, found.launch.threads) == (32, 128)
    assert found.shared == device.memory("solve", (3, 9, 0, 0, 0, 0, 0)).fast
    assert found.launch.shared == 4 * found.shared
    assert found.launch.blocks == 4 * H200.multiprocessors


@pytest.mark.parametrize(("n", "blocks"), [(110, 2), (160, 1), (400, 2)])
def test_fewer_blocks_have_more_shared_memory_as_long_as_a_matrix_fits(n, blocks):
    found = of(n, n)
    fits = 8 * n * n + 64 <= found.shared
    assert fits == (n < 170)
    assert found.launch.shared + device.STATIC[256] <= H200.shared
    assert found.launch.blocks == blocks * H200.multiprocessors


def test_scratch_memory_is_within_what_is_free():
    cuda, need = FakeCuda(), device.memory("solve", (800, 800, 0, 0, 0, 0, 0)).all
    cuda.bytes = 10 * need
    assert of(800, 800, cuda=cuda).launch.blocks == 10
    cuda.bytes = 1
    assert of(800, 800, cuda=cuda).launch.blocks == 1
    assert of(100, 100, cuda=cuda).launch.blocks == 264  # so little that nobody asks


def test_arguments_are_packed_by_the_declaration():
    cuda, chosen = FakeCuda(), of(3, 9)
    shared, own = Device(np.zeros((1, 3, 3))), Device(np.zeros((5, 3)))
    arrays = (shared, own, None, Device(np.zeros((5, 0))))
    scratch = Device(np.zeros(8))
    (one,) = pack(cuda, (5, 3, 9), (1e-8,), arrays, chosen, scratch)
    assert one["sizes"].tolist() == [5, 3, 9] + 17 * [0]
    assert one["options"].tolist() == [1e-8, 0, 0, 0]
    addresses = [v._own.ctypes.data for v in (shared, own)]
    assert one["arrays"][:5].tolist() == [*addresses, 0, 0, 0]
    assert one["strides"][:4].tolist() == [0, 3, 0, 0]
    assert one["scratch"] == scratch._own.ctypes.data
    assert (one["elements"], one["shared_bytes"]) == (5, chosen.shared)
    with pytest.raises(ValueError, match="not C-contiguous"):
        pack(cuda, (5,), (), (Device(np.zeros((3, 5)).T),), chosen, scratch)


def test_there_is_room_for_the_arguments_of_every_kernel():
    for sizes, options, arrays in signatures().values():
        assert sizes <= CALL["sizes"].shape[0]
        assert options <= CALL["options"].shape[0]
        assert len(arrays) <= CALL["arrays"].shape[0]


def test_an_input_that_is_not_contiguous_is_copied(emulated):
    from kktdiff import solve_qp

    Q = np.diag([1.0, 2.0, 3.0]) + 0.1 * np.tri(3)
    p = np.random.default_rng(780).normal(size=(3, 4)).T
    lb = np.zeros(3)
    found = solve_qp(*(Device(v) for v in (Q.T, p)), lb=Device(lb))
    np.testing.assert_array_equal(found.x.get(), solve_qp(Q.T, p, lb=lb).x)
