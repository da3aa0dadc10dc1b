"""Read an MPS file with HiGHS and write what it holds as an .npz file: a process of its own.

``python _highs.py IN.mps OUT.npz``. HiGHS is C++ code and the file need not be trusted: should it
crash, it does so alone. What it leaves out it tells on standard output.
"""

import sys
from typing import Any

import numpy as np


def main(source: str, output: str) -> None:
    """Read one file and write the other."""
    import highspy

    highs = highspy.Highs()
    highs.setOptionValue("small_matrix_value", 1e-12)  # the least: below it entries are dropped
    if highs.readModel(source) == highspy.HighsStatus.kError:
        sys.exit("not read")
    np.savez(output, **_arrays(highspy, highs.getModel()))


def _arrays(highspy: Any, model: Any) -> dict[str, Any]:
    lp, Q = model.lp_, model.hessian_
    columns = lp.a_matrix_.format_ == highspy.MatrixFormat.kColwise
    triangular = Q.format_ == highspy.HessianFormat.kTriangular
    continuous = all(kind == highspy.HighsVarType.kContinuous for kind in lp.integrality_)
    return {
        "sizes": np.array([lp.num_col_, lp.num_row_, Q.dim_]),
        "kinds": np.array([columns, triangular, continuous]),
        "sign": np.array(-1.0 if lp.sense_ == highspy.ObjSense.kMaximize else 1.0),
        "offset": np.array(float(lp.offset_)),
        **{name: np.array(getattr(lp, f"{name}_"), dtype=float) for name in _NUMBERS},
        **{
            f"{name}_{part}": np.array(getattr(matrix, f"{part}_"))
            for name, matrix in (("A", lp.a_matrix_), ("Q", Q))
            for part in ("start", "index", "value")
        },
    }


_NUMBERS = ("col_cost", "col_lower", "col_upper", "row_lower", "row_upper")

if __name__ == "__main__":
    main(*sys.argv[1:])
