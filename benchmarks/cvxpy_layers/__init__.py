"""Our `CvxpyLayer` beside that of cvxpylayers: the same models of cvxpy, in one process, in turns.

    python -m benchmarks.cvxpy_layers [--models tv,mpc] [--batches 1,32] [--output DIR] [--quick]

Times are medians. cvxpylayers is measured at its defaults and in the settings that we found to be
faster or more accurate. Answers are held against Clarabel's at tight tolerances, derivatives
against central differences. Needs the extra `cvxpy`; without cvxpylayers our layer is
measured alone.
"""
