"""A GPU's compiler takes the whole method, for T = double: one problem for each thread."""

import pytest

from tests.backends.cuda import nvrtc

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(nvrtc.library() is None, reason=nvrtc.ABSENT),
]

# optimised, it takes minutes
OPTIONS = ("--device-as-default-execution-space", "--device-debug")
SOURCE = """
#include "vjp.hpp"

using namespace kktdiff;

#define ONE_PROBLEM_PER_THREAD(name, work)                                            \\
  extern "C" __global__ void name(Call call, double *scratch, long long doubles) {    \\
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;             \\
    if (i >= call.sizes[0]) return;                                                   \\
    call.scratch = scratch + i * doubles;                                             \\
    work<double>(call, i, i + 1);                                                     \\
  }

ONE_PROBLEM_PER_THREAD(solve_each, solve_all)
ONE_PROBLEM_PER_THREAD(derive_each, derive_all)
ONE_PROBLEM_PER_THREAD(vjp_each, vjp_all)
"""


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_the_method_compiles_for_a_gpu(repository, architecture):
    folder = f"-I{repository / 'kktdiff' / 'kernels'}"
    compiled = nvrtc.compile_source(SOURCE, architecture, *OPTIONS, folder)
    assert set(compiled.kernels) == {"solve_each", "derive_each", "vjp_each"}
    assert not compiled.warnings
