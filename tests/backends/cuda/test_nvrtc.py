"""The kernels compile for the GPUs that there are, with nothing to warn of, in registers."""

import pytest

from kktdiff.kernels import device
from tests.backends.cuda import nvrtc

ARCHITECTURES = ("sm_80", "sm_90", "sm_100", "sm_120")

pytestmark = pytest.mark.skipif(nvrtc.library() is None, reason=nvrtc.ABSENT)

# 96 values of each thread, and registers for 32 of them: 65536 are shared by 1024 threads
SPILLS = r"""
extern "C" __global__ void __launch_bounds__(1024) spills(double *a) {
  double v[96];
  #pragma unroll
  for (int i = 0; i < 96; ++i) v[i] = a[threadIdx.x + 1024 * i];
  #pragma unroll 1
  for (int round = 0; round < 10; ++round) {
    #pragma unroll
    for (int i = 0; i < 96; ++i) v[i] = v[i] * v[(7 * i + 5) % 96] + v[(11 * i + 3) % 96];
  }
  #pragma unroll
  for (int i = 0; i < 96; ++i) a[threadIdx.x + 1024 * i] = v[i];
}

extern "C" __global__ void small(double *a) { a[threadIdx.x] += 1.0; }
"""


@pytest.mark.parametrize("team", [32, 256])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels(architecture, team):
    """512 threads of a multiprocessor, 2 blocks at n = m = 100, have 128 registers each."""
    compiled = nvrtc.compile_source(
        device.source(), architecture, *device.OPTIONS, *device.QUICKLY, f"-DTEAM={team}"
    )
    assert compiled.cubin[:4] == b"\x7fELF"
    assert compiled.warnings == []
    assert set(compiled.kernels) == {"solve", "derive", "vjp"}
    for usage in compiled.kernels.values():
        assert usage.registers <= 128
        assert usage.spilled <= 600  # bytes, of functions that are called once or twice
        assert usage.shared <= device.STATIC[team]
        assert usage.stack <= 2 << 10


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_spilling_is_seen(architecture):
    usage = nvrtc.compile_source(SPILLS, architecture).kernels
    assert set(usage) == {"spills", "small"}
    assert usage["spills"].registers == 64
    assert usage["spills"].spilled > 0
    assert usage["spills"].stack > 0
    assert usage["small"].spilled == usage["small"].stack == 0


def test_warning_is_seen():
    source = 'extern "C" __global__ void f(double *a) {\n  int unused;\n  a[0] = 1.0;\n}'
    (warning,) = nvrtc.compile_source(source, "sm_90").warnings
    assert warning.startswith("source.cu(2): warning")
    assert "unused" in warning


def test_error_is_the_compilers():
    source = 'extern "C" __global__ void f(double *a) {\n  a[0] = missing;\n}'
    with pytest.raises(
        nvrtc.CompileError, match=r'source\.cu\(2\): error: identifier "missing" is undefined'
    ):
        nvrtc.compile_source(source, "sm_90")


def test_unknown_option_is_an_error():
    with pytest.raises(nvrtc.CompileError, match="unrecognized option --bogus"):
        nvrtc.compile_source(SPILLS, "sm_90", "--bogus")
