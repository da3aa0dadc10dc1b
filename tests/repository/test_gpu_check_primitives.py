"""The GPU check's calls of cuBLAS and cuSOLVER, over the host's memory."""

import numpy as np

from benchmarks.gpu_check import batched, device, primitives
from tests.backends.cuda.fake_cuda import FakeCuda

HOST = device.host()


def libraries():
    cuda = FakeCuda("")  # without kernels
    return batched.Libraries(np, cuda.cublas, cuda.cusolver, *cuda.handles(), cuda.address)


def test_the_routines_are_called_as_they_should_be():
    for build in batched.primitives(libraries(), 20, "d"):
        primitive = build()
        for _ in range(2):  # what was overwritten is restored
            primitive.restore()
            primitive.call()
        first, *_, last = primitive.kept
        if "potrf" in primitive.about["what"]:
            lower = np.tril(first.transpose(0, 2, 1))
            source, _ = batched._definite(libraries(), 20, "d", batched.N)
            np.testing.assert_allclose(lower @ lower.transpose(0, 2, 1), source, atol=1e-12)
        if "gemm" in primitive.about["what"]:
            np.testing.assert_allclose(primitive.kept[2], first @ first, atol=1e-12)
        if "trsm" in primitive.about["what"]:
            rhs = primitive.kept[2]
            back = np.tril(first) @ rhs.transpose(0, 2, 1)
            np.testing.assert_allclose(back, np.ones_like(back), atol=1e-12)
        assert last is not None


def test_primitives_on_numpy(monkeypatch):
    monkeypatch.setattr(primitives, "BATCHES", (3,))
    monkeypatch.setattr(primitives, "MANY", 2)
    found = list(primitives.records(30, device=HOST, make=libraries, large=16))
    whats = [r["what"] for r in found if "ms" in r]
    assert whats[:3] == ["device copy", "dgemm", "sgemm"]
    assert len([what for what in whats if "Batched" in what]) == 6
    failed = [r for r in found if "failed" in r]
    assert [r["dtype"] for r in failed] == ["s"] * 6  # the stand-in has no float32
    assert all(r["ms"] > 0 for r in found if "ms" in r)


def test_missing_libraries_are_told_once(monkeypatch):
    monkeypatch.setattr(primitives, "MANY", 2)

    def missing():
        raise ImportError("no libcublas")

    found = list(primitives.records(30, device=HOST, make=missing, large=16))
    assert [r["failed"] for r in found if "failed" in r] == ["ImportError: no libcublas"]
    assert [r["what"] for r in found if "ms" in r][:3] == ["device copy", "dgemm", "sgemm"]


def test_a_routine_that_fails_by_its_info_is_told():
    primitive = batched.cholesky(libraries(), 2, "d")
    bad = primitive._replace(call=lambda: primitive.info.fill(1))
    assert "not definite" in primitives.routine(HOST, lambda: bad)["failed"]
