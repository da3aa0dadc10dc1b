"""The one tolerance table. Every number stands beside its reason; tests use no other."""

ANSWER = 1e-7  # solutions at the default tol of 1e-8, times the conditioning of small problems
TIGHT_ANSWER = 1e-9  # solutions at tol 1e-12, times the same conditioning
SINGLE_ANSWER = 1e-4  # float32 answers: the default tol of 1e-5, times the same conditioning
SCALED_ANSWER = 1e-6  # as ANSWER, where the data spans orders of magnitude on purpose
RESIDUAL_ROUNDING = 1e-12  # two ways to add up the same residual, data of size 1, n up to 200
STATIONARITY = 1e-8  # the default tol is an absolute bound on the dual residual
COMPLEMENTARITY = 1e-8  # sum of lam_i s_i is the duality gap, at most the default tol
HAND_DERIVATIVE = 1e-8  # derivative at a solution of tol 1e-8 against one written by hand
DENSE_REFERENCE = 1e-8  # the library's promise for its derivatives at any tolerance
TERM_ROUNDING = 1e-14  # rounding of terms that cancel, relative to them, times the conditioning
DIFFERENCE = 1e-6  # fourth-order differences: truncation and magnified solver error near 1e-8
ADJOINT = 1e-8  # both sides of <g, J t> = <J'g, t>: rounding of refined solves, and no more
SUM = 1e-12  # the same numbers added in another order
SHARED = 1e-11  # 1e-13 of a product with a shared matrix, times the conditioning of a solve
SMOOTHED = 1e-6  # differences of a central path that the test itself follows to 1e-12
LEAST_SQUARES = 1e-8  # a minimum-norm solve at a solution of tol 1e-8
DATA_ANSWER = 1e-5  # published values are rounded to 8 digits, some solvers' to 6
PUBLIC_RESIDUAL = 1e-8  # the default tol, absolute and unscaled, on data that nobody scaled for us
HIGH_ACCURACY = 1e-9  # relative to the terms that cancel: the field's mark on public problems
DATA_OBJECTIVE = 1e-6  # reference objectives: the best of four solvers at 1e-9
DATA_GRADIENT = 1e-6  # against dense linear algebra on condition numbers up to 1e7
CERTIFICATE = 1e-6  # checked to 1e-7 in the equilibrated metric, times its weights near 1
OPTIMAL = 1e-6  # qpsolvers' own check of a solution: the default tol with room for its sums
OTHER_SOLVER = 1e-6  # another solver's answer at 1e-9 or better, times the conditioning
SQUARED_NORM = 1e-4  # another solver, which has cones for a squared norm, stops earlier
LOOK = 1e-2  # a point written down with two digits, to tell it from any other
LEAST_INFEASIBLE = 3.0  # times the least violation: an interior point stops near that point
CONSTRUCTION = 1e-12  # problems built backwards meet their conditions to rounding

ITERATIONS_MOST = 20  # interior-point methods need 8 to 15 on random problems of this kind
ITERATIONS_W1_MEAN = 12  # the published workload; plain Mehrotra takes 12.7
WORKSPACE = 64 * 2**20  # bytes: what one chunk of a batch may take on top of its results

# Random problems (`tests.robustness.kinds`), each relative to the sizes of its own terms or units.
KIND_ANSWER = 1e-6  # x: a relative gap of 1e-8, times a condition of 1e4, less what polishing gains
KIND_DEGENERATE = 1e-3  # x where a multiplier may be zero: the root of a gap of 1e-9 times 1e3
KIND_SINGLE = 1e-3  # x and objective from float32 data of rounding 6e-8, times the same condition
KIND_OBJECTIVE = 1e-7  # a relative gap of 1e-8, and rounding of the terms
KIND_RESIDUAL = 1e-6  # row by row, where the default tol of 1e-8 bounds a norm of all rows
KIND_PRICE = 1e-15  # rounding of the largest term of a stationarity, relative to it
KIND_ROUNDING = 1e-12  # limits that cross by more may end as ALMOST_SOLVED
FRESH_UNSOLVED = 1  # batch of 100: of 5,000, one is not solved
LAW = 1e-9  # the same x in other units: rounding, times a condition of 1e3 and more
