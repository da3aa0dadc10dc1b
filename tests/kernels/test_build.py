"""Code for one instruction set stays apart from the rest, and a GPU's compiler takes it too."""

import shutil
import subprocess

import pytest

from tests.backends.cuda import nvrtc

OPERATIONS = """
namespace kktdiff {
extern "C" __global__ void operations(const double *a, double *out) {
  const double x = load<double>(a, 1), y = load<double>(a + 1, 1);
  const double z = select(any(x < y) && all(y < x), fma(x, y, sqrt(x)), 2.0);
  store(out, 1, min(round(z), max(abs(x), power_of_two(y))));
}
}  // namespace kktdiff
"""


def symbols(objects):
    """Names, and the letter that nm has for each, in object files."""
    command = ["nm", "--demangle", "--no-sort", str(objects)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line[17:].split(" ", 1) for line in lines]


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm on this machine")
def test_no_function_of_one_instruction_set_can_stand_in_for_anothers(repository):
    """All are local but the table, and none of the standard library is called."""
    folder = repository / "kktdiff" / "kernels"
    objects = sorted(folder.glob("CMakeFiles/kernels_*.dir/variant.cpp.o"))
    if not objects:
        pytest.skip("the kernels were not compiled in this checkout")
    for path in objects:
        variant = path.parent.stem.removeprefix("kernels_")
        found = symbols(path)
        shared = [name for letter, name in found if letter.isupper() and letter != "U"]
        assert shared == [f"kktdiff::table_{variant}"]
        assert not [name for letter, name in found if letter in "vVwWu" or "std::" in name]


@pytest.mark.skipif(nvrtc.library() is None, reason=nvrtc.ABSENT)
def test_a_gpu_compiles_the_operations(repository):
    header = (repository / "kktdiff" / "kernels" / "pack.hpp").read_text()
    compiled = nvrtc.compile_source(header.replace("#pragma once", "") + OPERATIONS, "sm_90")
    assert not compiled.warnings
    assert compiled.kernels["operations"].spilled == 0
